// What a limiter answers: as it crosses, and as its caller sees it.

import {
  DECIDER_DENY_CACHE,
  DECIDER_LOCAL,
  OUTCOME_DONE,
  OUTCOME_REFUSED,
  OUTCOME_UNAVAILABLE,
} from '../generated/operations.js'

/** Who decided: Redis, this process because memory is all there is or Redis does not answer, or this process because it knows that Redis would refuse. */
export type RateLimitSource = 'redis' | 'local' | 'deny-cache'

/**
 * Why a call was refused: the limit is used up; the cost is larger than a limit, so that it can never fit; or nobody can
 * tell, since Redis does not answer and the limiter is closed then.
 */
export type RateLimitReason = 'limited' | 'too-large' | 'unavailable'

/** How one limit stands. */
export interface RateLimitState {
  name: string
  /** How much of it there is; of a process that is alone, its share. */
  limit: number
  remaining: number
  /** ms until all of it is free again; 0: it is. */
  resetMs: number
  /** ms until more of it is free than now; 0: all is. */
  nextMs: number
  /** ms until what was asked for fits; 0: it does. `Infinity`: never. */
  retryAfterMs: number
}

/** What `check` answers. */
export interface RateLimitResult {
  /** Whether the call may go on. A refused one was charged nothing. */
  success: boolean
  /** Why not; null when it may. */
  reason: RateLimitReason | null
  source: RateLimitSource
  /** Of the limit that is closest to its end. */
  limit: number
  /** What is left of it. */
  remaining: number
  /** When all of it is free again, ms since 1970 on this host's clock: to show, not to compare. */
  resetTime: number
  /** Whole seconds until it is worth another try, rounded up; only of a refused call that can ever fit. */
  retryAfter?: number
  /** The same in ms. */
  retryAfterMs?: number
  /** Every limit, in the order in which they were given. */
  limits: RateLimitState[]
}

/** What crosses for each limit: limit, remaining, and ms until all is free, more is, and the cost fits. */
export const NUMBERS_OF_A_LIMIT = 5

/** A decision as it crosses. */
export interface Decision {
  readonly outcome: number
  readonly decider: number
  readonly numbers: readonly number[]
  /** By which it is known what is held; null: nothing is. */
  readonly id: string | null
}

/** Turns decisions into results for a limiter with limits of these names. */
export function resultOf(names: readonly string[], { outcome, decider, numbers }: Decision): RateLimitResult {
  return resultFrom(names, outcome, decider, numbers, 0)
}

/** The same of numbers that stand among others. */
export function resultFrom(
  names: readonly string[],
  outcome: number,
  decider: number,
  numbers: readonly number[] | Float64Array,
  first: number,
): RateLimitResult {
  const limits: RateLimitState[] = []
  let tightest = 0
  let least = Number.POSITIVE_INFINITY
  let retryAfterMs = 0
  for (let index = 0; index < names.length; index++) {
    const at = first + index * NUMBERS_OF_A_LIMIT
    const state: RateLimitState = {
      name: names[index] as string,
      limit: numbers[at] as number,
      remaining: numbers[at + 1] as number,
      resetMs: numbers[at + 2] as number,
      nextMs: numbers[at + 3] as number,
      retryAfterMs: numbers[at + 4] as number,
    }
    limits.push(state)
    if (state.retryAfterMs > retryAfterMs) retryAfterMs = state.retryAfterMs
    // The one that refuses, and refuses for longest; else the one that is closest to its end.
    const left = state.retryAfterMs > 0 ? -state.retryAfterMs : state.remaining / state.limit
    if (left < least) {
      least = left
      tightest = index
    }
  }
  const { limit, remaining, resetMs } = limits[tightest] ?? NOTHING
  const success = outcome !== OUTCOME_REFUSED && outcome !== OUTCOME_UNAVAILABLE
  const result: RateLimitResult = {
    success,
    reason: success
      ? null
      : outcome === OUTCOME_UNAVAILABLE
        ? 'unavailable'
        : retryAfterMs === Number.POSITIVE_INFINITY
          ? 'too-large'
          : 'limited',
    source: sourceOf(decider),
    limit,
    remaining,
    resetTime: Date.now() + resetMs,
    limits,
  }
  if (result.reason === 'limited') {
    result.retryAfterMs = retryAfterMs
    result.retryAfter = Math.max(1, Math.ceil(retryAfterMs / 1000))
  }
  return result
}

export function sourceOf(decider: number): RateLimitSource {
  return decider === DECIDER_LOCAL ? 'local' : decider === DECIDER_DENY_CACHE ? 'deny-cache' : 'redis'
}

/** Whether it changed anything: false for what was settled before, or is held no longer. */
export function isDone({ outcome }: Decision): boolean {
  return outcome === OUTCOME_DONE
}

const NOTHING: RateLimitState = { name: '', limit: 0, remaining: 0, resetMs: 0, nextMs: 0, retryAfterMs: 0 }
