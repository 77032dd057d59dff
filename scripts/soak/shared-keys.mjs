// The keys that both processes write. One has a key at a time, and hands it over when nothing is under way, so
// that the order of all calls is known.

import { History } from './history.mjs'

// Writes of two processes are ordered by the server's clock as each knows it. The pause keeps calls of different
// processes further apart than that estimate can be wrong.
const BEFORE_HANDING_OVER_MS = 300
const REST_MS = 6_000

export class SharedKeys {
  /** By key: every key that this process has now. */
  #had = new Map()
  #ready = []
  #timers = new Set()
  #calls
  #random
  #tell

  /** `tell`: { handOver(history), rest(history), reuse(key) } */
  constructor(calls, random, tell) {
    this.#calls = calls
    this.#random = random
    this.#tell = tell
  }

  get histories() {
    return [...this.#had.values()]
  }

  take(key, calls) {
    const history = new History(key, calls)
    this.#had.set(key, history)
    this.#ready.push(history)
  }

  /** Some calls on a key, one after the other; then it is handed over, kept, or left alone for a while. */
  async turn() {
    const history = this.#ready.shift()
    if (!history) return
    for (let left = this.#random.between(1, 3); left > 0; left--) await this.#calls.any(history)
    const draw = this.#random.below(100)
    if (draw < 40) this.#leaveAlone(history)
    else if (draw < 90) this.#later(BEFORE_HANDING_OVER_MS, () => this.#handOver(history))
    else this.#ready.push(history)
  }

  /** Nothing is handed over any more. */
  stop() {
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #leaveAlone(history) {
    this.#tell.rest(history)
    this.#later(REST_MS, () => {
      this.#tell.reuse(history.key)
      this.#ready.push(history)
    })
  }

  #handOver(history) {
    this.#had.delete(history.key)
    this.#tell.handOver(history)
  }

  #later(ms, work) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, ms)
    this.#timers.add(timer)
  }
}
