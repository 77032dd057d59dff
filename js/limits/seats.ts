// Keys of limiters that are asked again and again. Each gets a number by which both sides name it. What is charged ahead
// for a key is lent to this side, which decides the next calls by itself.

import type { NativeEnvironment } from '../native-module.js'
import { now as clock } from '../timing.js'
import {
  NUMBERS_OF_A_LIMIT,
  resultFrom,
  sourceOf,
  type RateLimitResult,
  type RateLimitState,
} from './result.js'

/** The seats of a limiter's keys; a key that was asked for once has none yet. */
export type Seated = Map<string, number>
const ONCE = -1

/** Keys of limiters with more limits have no seats. */
export const MOST_SEATED_LIMITS = 7

/** Behind who decided, how many calls more are lent, and for how many ms. */
const LIMITS = 3

// A loan stands in one row of numbers, since those of many keys are read in turns. It begins with what a call costs; 0:
// nothing is lent.
const ROW = 32
/** Until when it may be drawn on, ms by `performance.now()`. */
const UNTIL = 1
const DECIDER = 2
/** Of each limit: itself, what remains when all is drawn, when all is free again, and when more is. */
const STATES = 3
const STATE = 4

export class Seats {
  private owners: Seated[] = []
  private keys: string[] = []
  private hand = 0
  /** How far the host's time is ahead of `performance.now()`, to show times. */
  private ahead = 0
  private readonly told: Float64Array
  private readonly cells: Int32Array
  private readonly loans: Float64Array

  constructor(private readonly native: NativeEnvironment) {
    this.told = native.told()
    this.cells = native.cells()
    this.loans = new Float64Array(this.cells.length * ROW)
  }

  /** A key is asked for again: from the second time on it has a seat. */
  note(handle: number, limiter: number, key: string, seated: Seated): void {
    const most = this.cells.length
    if (!seated.has(key)) {
      // A flood of keys that come once takes nobody's seat.
      if (seated.size >= most) seated.clear()
      seated.set(key, ONCE)
      return
    }
    const seat = this.owners.length < most ? this.owners.length : this.hand++ % most
    const owner = this.owners[seat]
    const former = this.keys[seat] as string
    if (owner?.get(former) === seat) owner.delete(former)
    this.native.seat(handle, limiter, key, seat)
    this.owners[seat] = seated
    this.keys[seat] = key
    this.drop(seat)
    seated.set(key, seat)
  }

  /** Decides by what is lent: null where nothing is, or for other costs. */
  draw(seat: number, cost: number, names: readonly string[]): RateLimitResult | null {
    const { loans } = this
    const row = seat * ROW
    if (loans[row] !== cost || cost === 0) return null
    const now = clock()
    // The native side takes back what is left, and puts a 0 in its place.
    const left = now < (loans[row + UNTIL] as number) ? Atomics.sub(this.cells, seat, 1) : 0
    if (left > 0) return this.resultAt(row, left - 1, now, names)
    loans[row] = 0
    return null
  }

  /** Asks the native side, and keeps what it lends: null where it can't decide at once. */
  ask(seat: number, cost: number, names: readonly string[]): RateLimitResult | null {
    const now = clock()
    const outcome = this.native.spend(seat, cost)
    if (outcome < 0) return null
    const { told, loans } = this
    const decider = told[0] as number
    const lent = told[1] as number
    const row = seat * ROW
    loans[row] = lent > 0 ? cost : 0
    if (lent > 0) {
      this.ahead = Date.now() - now
      loans[row + UNTIL] = now + (told[2] as number)
      loans[row + DECIDER] = decider
      for (let index = 0; index < names.length; index++) {
        const from = LIMITS + index * NUMBERS_OF_A_LIMIT
        const to = row + STATES + index * STATE
        loans[to] = told[from] as number
        loans[to + 1] = (told[from + 1] as number) - lent * cost
        loans[to + 2] = now + (told[from + 2] as number)
        loans[to + 3] = now + (told[from + 3] as number)
      }
    }
    return resultFrom(names, outcome, decider, told, LIMITS)
  }

  /** What is lent for a key is not drawn on any more, since something else is asked of it. */
  drop(seat: number): void {
    this.loans[seat * ROW] = 0
  }

  /** The result of the call that leaves so many. */
  private resultAt(row: number, left: number, now: number, names: readonly string[]): RateLimitResult {
    const { loans } = this
    const more = left * (loans[row] as number)
    const limits: RateLimitState[] = []
    let tightest = 0
    let least = Number.POSITIVE_INFINITY
    for (let index = 0; index < names.length; index++) {
      const at = row + STATES + index * STATE
      const limit = loans[at] as number
      const remaining = Math.max(0, (loans[at + 1] as number) + more)
      const resetMs = Math.max(1, Math.ceil((loans[at + 2] as number) - now))
      const nextMs = Math.max(1, Math.ceil((loans[at + 3] as number) - now))
      limits.push({ name: names[index] as string, limit, remaining, resetMs, nextMs, retryAfterMs: 0 })
      if (remaining / limit < least) {
        least = remaining / limit
        tightest = index
      }
    }
    const { limit, remaining } = limits[tightest] as RateLimitState
    const resetTime = Math.round((loans[row + STATES + tightest * STATE + 2] as number) + this.ahead)
    const source = sourceOf(loans[row + DECIDER] as number)
    return { success: true, reason: null, source, limit, remaining, resetTime, limits }
  }
}
