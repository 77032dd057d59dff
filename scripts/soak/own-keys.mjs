// A task with keys of its own. It works on a few at a time; each is then left alone for a while, so that the
// judge can look at it, and taken up again in its turn.

import { History } from './history.mjs'
import { KEYS_OF_A_TASK, ownKey } from './names.mjs'

const AT_A_TIME = 4
// Few, so that many a call is the last one on its key before the judge looks.
const TURNS = 8

export class OwnKeys {
  #resting
  #active = []
  #calls
  #random
  #rest
  #reuse

  /** `rest(history)` and `reuse(key)` tell the judge. */
  constructor(by, task, { calls, random, rest, reuse }) {
    this.#resting = Array.from({ length: KEYS_OF_A_TASK }, (_, number) => new History(ownKey(by, task, number)))
    Object.assign(this, { by, task })
    this.#calls = calls
    this.#random = random
    this.#rest = rest
    this.#reuse = reuse
  }

  get histories() {
    return [...this.#resting, ...this.#active.map(({ history }) => history)]
  }

  /** One call, or a few on the same key without waiting in between. */
  async turn() {
    const place = this.#random.below(AT_A_TIME)
    const chosen = (this.#active[place] ??= this.#takeUp())
    const count = this.#random.chance(0.25) ? this.#random.between(2, 4) : 1
    await Promise.all(Array.from({ length: count }, () => this.#calls.any(chosen.history)))
    if (--chosen.turns > 0) return
    this.#rest(chosen.history)
    this.#resting.push(chosen.history)
    this.#active[place] = this.#takeUp()
  }

  #takeUp() {
    const history = this.#resting.shift()
    this.#reuse(history.key)
    return { history, turns: TURNS }
  }
}
