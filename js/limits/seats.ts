// Keys of limiters that are asked again and again. Each gets a number by which both sides name it, so that a decision that
// this process can make costs one small call and no text.

import type { NativeEnvironment } from '../native-module.js'

/** So many keys have a seat at once, in one environment. */
const MOST = 16_384

/** The seats of a limiter's keys; a key that was asked for once has none yet. */
export type Seated = Map<string, number>
const ONCE = -1

export class Seats {
  private owners: Seated[] = []
  private keys: string[] = []
  private hand = 0
  private numbers: Float64Array | null = null

  constructor(private readonly native: NativeEnvironment) {}

  /** The numbers of the last `spend`. */
  get told(): Float64Array {
    return (this.numbers ??= this.native.told())
  }

  /** A key is asked for again: from the second time on it has a seat. */
  note(handle: number, limiter: number, key: string, seated: Seated): void {
    if (!seated.has(key)) {
      // A flood of keys that come once takes nobody's seat.
      if (seated.size >= MOST) seated.clear()
      seated.set(key, ONCE)
      return
    }
    const seat = this.owners.length < MOST ? this.owners.length : this.hand++ % MOST
    const owner = this.owners[seat]
    const former = this.keys[seat] as string
    if (owner?.get(former) === seat) owner.delete(former)
    this.native.seat(handle, limiter, key, seat)
    this.owners[seat] = seated
    this.keys[seat] = key
    seated.set(key, seat)
  }
}
