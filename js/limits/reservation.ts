// What is held until it is settled: an estimate that was charged, slots, or both. The native side renews it off the event
// loop, so that a long answer keeps it and a dead process doesn't.

import { named } from '../checks.js'
import { invalid, shown } from '../errors.js'
import type { RateLimiter, RateLimitCost } from './limiter.js'
import type { RateLimitReason, RateLimitResult, RateLimitSource, RateLimitState } from './result.js'

/** Options of `reserve`. */
export interface ReserveOptions {
  /** What it will probably come to. Default: 1. */
  estimate?: RateLimitCost | undefined
  /** After so many ms without renewal it comes back. Default: the window of the limiter's slots, or 30000; at least 1000. */
  leaseMs?: number | undefined
  /** For how long it is renewed at most, ms: what hangs does not hold it for ever. Default: 600000. */
  maxHoldMs?: number | undefined
}

const NAMES: readonly string[] = ['estimate', 'leaseMs', 'maxHoldMs']
const LEASE_MS = 30_000
const LEAST_LEASE_MS = 1_000
const MAX_HOLD_MS = 600_000
const LONGEST_MS = 86_400_000

/** What `reserve` answers: a result, and what is held if it is a success. */
export class Reservation implements RateLimitResult {
  /** By which any process can settle it; null: it was refused, and there is nothing to settle. */
  readonly id: string | null
  readonly success: boolean
  readonly reason: RateLimitReason | null
  readonly source: RateLimitSource
  readonly limit: number
  readonly remaining: number
  readonly resetTime: number
  declare readonly retryAfter?: number
  declare readonly retryAfterMs?: number
  readonly limits: RateLimitState[]
  readonly #limiter: RateLimiter
  readonly #key: string
  readonly #controller = new AbortController()
  #settled: { readonly how: 'commit' | 'release'; readonly answer: Promise<boolean> } | null = null

  /** @internal */
  constructor(limiter: RateLimiter, key: string, id: string | null, result: RateLimitResult, terms: HoldTerms) {
    this.id = id
    this.success = result.success
    this.reason = result.reason
    this.source = result.source
    this.limit = result.limit
    this.remaining = result.remaining
    this.resetTime = result.resetTime
    if (result.retryAfter !== undefined) this.retryAfter = result.retryAfter
    if (result.retryAfterMs !== undefined) this.retryAfterMs = result.retryAfterMs
    this.limits = result.limits
    this.#limiter = limiter
    this.#key = key
    if (id === null) return
    const lost = (): void => this.#controller.abort(new Error('the reservation is held no longer'))
    limiter.keepHold({ key, id, ...terms }, lost)
  }

  /** Aborted when it is held no longer though nobody settled it: nobody renewed it in time, or it was held for too long. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Counts what it came to instead of the estimate, also after it was lost. Once: again it answers what it answered; after a release, false. */
  commit(actual: RateLimitCost): Promise<boolean> {
    try {
      // It is held until it is known what it came to.
      if (this.id !== null) this.#limiter.checkActual(actual)
    } catch (thrown) {
      return Promise.reject(thrown as Error)
    }
    return this.#settle('commit', (id) => this.#limiter.commit(this.#key, id, actual))
  }

  /** Counts nothing. After a commit it does nothing and answers false. */
  release(): Promise<boolean> {
    return this.#settle('release', (id) => this.#limiter.release(this.#key, id))
  }

  /** The same, for `await using`: what was not committed is released. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  #settle(how: 'commit' | 'release', settle: (id: string) => Promise<boolean>): Promise<boolean> {
    const { id } = this
    if (id === null) return Promise.resolve(false)
    if (this.#settled !== null) return this.#settled.how === how ? this.#settled.answer : Promise.resolve(false)
    this.#limiter.dropHold(id)
    const answer = settle(id)
    this.#settled = { how, answer }
    // What failed may be tried again.
    answer.catch(() => (this.#settled = null))
    return answer
  }
}

/** For how long it is held. */
export interface HoldTerms {
  readonly leaseMs: number
  readonly maxHoldMs: number
}

/** Reads the options of `reserve`; `slotMs` is what a limiter with slots says of them. */
export function reserveTerms(
  options: ReserveOptions,
  slotMs: number | null,
  operation: string,
): HoldTerms & { estimate: unknown } {
  named(options, 'options', NAMES, operation)
  const { estimate, leaseMs = Math.max(LEAST_LEASE_MS, slotMs ?? LEASE_MS) } = options
  within(leaseMs, LEAST_LEASE_MS, 'options.leaseMs', operation)
  const { maxHoldMs = Math.max(MAX_HOLD_MS, leaseMs) } = options
  within(maxHoldMs, leaseMs, 'options.maxHoldMs', operation)
  return { estimate, leaseMs, maxHoldMs }
}

function within(given: unknown, least: number, path: string, operation: string): void {
  if (typeof given === 'number' && given >= least && given <= LONGEST_MS) return
  throw invalid(path, `${path} is ${shown(given)}; allowed: ${least} to ${LONGEST_MS} ms`, operation)
}
