// Events of an instance, typed. Delivery never holds the process open and no listener can break
// another one, or the instance: what a listener throws becomes a process warning.

import { describe, invalid, messageOf } from './errors.js'

/** What the connection is doing. */
export type BackendState = 'idle' | 'connecting' | 'online' | 'suspect' | 'degraded' | 'resyncing' | 'forced' | 'closed'

/** The events of an instance with what each carries. Times are milliseconds. */
export interface HoldfastEvents {
  /** The state changed. */
  'state-change': { from: BackendState; to: BackendState; reason: string | null }
  /** Redis answers, for the first time or again. */
  'backend-connected': Record<never, never>
  /** The connection to Redis is gone. */
  'backend-disconnected': { reason: string | null }
  /** Memory answers from now on. */
  'backend-degraded': { reason: string | null }
  /** Redis answers again, and the journal has been replayed. */
  'backend-recovered': Record<never, never>
  /** The journal is about to be replayed; `depth` is its length. */
  'resync-start': { depth: number }
  /** How far the replay has come; a few times a second. */
  'resync-progress': { replayed: number; remaining: number }
  /** The journal was replayed, as far as it could be. */
  'resync-end': { replayed: number; conflicts: number; failed: number; durationMs: number }
  /** No room for a set: it answered false, or became "delete what is older". `dropped` counts all such since the start. */
  'journal-overflow': { dropped: number }
  /** Writes of a process that is gone were taken over from `journalPath`; bytes at the end of its file that were no whole record. */
  'journal-adopted': { intents: number; tornBytes: number }
  /** The journal can't be written to disk, and why; null: it can again. */
  'journal-error': { reason: string | null }
  /** Memory was full, and so many entries had to go since the last such event. At most one a second. */
  'memory-eviction': { evicted: number }
}

/** The name of an event. */
export type HoldfastEventName = keyof HoldfastEvents

/** A listener of one event. */
export type HoldfastListener<Name extends HoldfastEventName> = (event: HoldfastEvents[Name]) => void

type AnyListener = (event: never) => unknown

const NAMES: ReadonlySet<string> = new Set<HoldfastEventName>([
  'state-change',
  'backend-connected',
  'backend-disconnected',
  'backend-degraded',
  'backend-recovered',
  'resync-start',
  'resync-progress',
  'resync-end',
  'journal-overflow',
  'journal-adopted',
  'journal-error',
  'memory-eviction',
])

export class Emitter {
  /** Listeners by event; an array is replaced, never changed, so that a delivery sees one state. */
  private readonly listeners = new Map<string, readonly AnyListener[]>()

  /** Whether anybody listens. */
  get isHeard(): boolean {
    return this.listeners.size > 0
  }

  on(name: string, listener: unknown, operation: string): void {
    const known = checked(name, listener, operation)
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), known])
  }

  /** Removes the listener once; not there is no error. */
  off(name: string, listener: unknown, operation: string): void {
    const known = checked(name, listener, operation)
    const present = this.listeners.get(name) ?? []
    const index = present.lastIndexOf(known)
    if (index < 0) return
    const left = present.filter((_, at) => at !== index)
    if (left.length > 0) this.listeners.set(name, left)
    else this.listeners.delete(name)
  }

  emit(name: string, event: object): void {
    for (const listener of this.listeners.get(name) ?? []) {
      hear(`a listener of '${name}'`, () => listener(event as never))
    }
  }
}

/** Runs what a user gave to be told of something. What it throws becomes a process warning. `who` names it there. */
export function hear(who: string, listener: () => unknown): void {
  try {
    const result = listener()
    if (isThenable(result)) result.then(undefined, (thrown: unknown) => warn(who, thrown))
  } catch (thrown) {
    warn(who, thrown)
  }
}

function checked(name: string, listener: unknown, operation: string): AnyListener {
  if (!NAMES.has(name)) {
    throw invalid('event', `event is no name of an event; allowed: ${[...NAMES].join(', ')}`, operation)
  }
  if (typeof listener !== 'function') {
    throw invalid('listener', `listener is ${describe(listener)}; allowed: a function`, operation)
  }
  return listener as AnyListener
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function warn(who: string, thrown: unknown): void {
  const stack = (thrown as { stack?: unknown } | null | undefined)?.stack
  const text = typeof stack === 'string' ? stack : messageOf(thrown)
  process.emitWarning(`${who} failed: ${text}`, 'HoldfastWarning')
}
