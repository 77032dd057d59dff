// What a loader is told, and what it can say about its result.

import { copyOf } from './copies.js'
import { lifetimeMs, type Duration } from './durations.js'
import { describe, invalid, messageOf } from './errors.js'
import type { Found } from './inbox.js'
import { checkTags } from './tags.js'

/** What is still there for a key, though it is not fresh. */
export interface StaleEntry<T> {
  readonly value: T
  /** How long ago it was written. */
  readonly ageMs: number
}

/** What a loader gets. */
export interface LoadContext<T = unknown> {
  /** Aborted when `hardTimeoutMs` is over: nobody waits for the result any more. */
  readonly signal: AbortSignal
  /** The old entry, for a loader that can do with less; null when there is none. */
  readonly stale: StaleEntry<T> | null
  /** Says that the result is not to be cached. Answers undefined, to be returned where there is none. */
  skip(): undefined
  /** Ends the load as a failure: an old value serves where grace allows it, else every caller gets this error. */
  fail(reason: unknown): never
  /** The lifetime of the result, in place of the option. */
  setTtl(ttl: Duration): void
  /** The tags of the result, in place of the option. */
  setTags(tags: readonly string[]): void
}

/** @internal The context with what the loader said. */
export class Said<T> implements LoadContext<T> {
  skipped = false
  ttlMs: number | null = null
  tags: readonly string[] | null = null
  readonly stale: StaleEntry<T> | null

  constructor(
    readonly signal: AbortSignal,
    stale: Found | null,
    private readonly operation: string,
  ) {
    // The loader may change it, and the caller may get it all the same.
    this.stale = stale === null ? null : { value: copyOf(stale) as T, ageMs: stale.ageMs }
    // Loaders take it apart.
    this.skip = this.skip.bind(this)
    this.fail = this.fail.bind(this)
    this.setTtl = this.setTtl.bind(this)
    this.setTags = this.setTags.bind(this)
  }

  skip(): undefined {
    this.skipped = true
  }

  fail(reason: unknown): never {
    if (reason instanceof Error) throw reason
    if (typeof reason !== 'string' || reason === '') {
      throw invalid('reason', `reason is ${describe(reason)}; allowed: a text or an Error`, this.operation)
    }
    throw new Error(messageOf(reason))
  }

  setTtl(ttl: Duration): void {
    this.ttlMs = lifetimeMs(ttl, 0, 'ttl', this.operation)
    if (this.ttlMs === 0) this.ttlMs = null
  }

  setTags(tags: readonly string[]): void {
    // What is looked at later may be another by then.
    this.tags = [...checkTags(tags, 'tags', this.operation)]
  }
}
