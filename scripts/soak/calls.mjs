// The calls of one process: each is noted before it is made and when it is settled, and every answer is looked at.

import { now } from './clock.mjs'
import { left } from './history.mjs'

/** Beyond this a value travels by itself, in the package's slow lane. */
const LARGE = 'l'.repeat(80 * 1024)

export class Calls {
  pending = 0
  slowestMs = 0
  counts = { sets: 0, deletes: 0, reads: 0, loads: 0, refused: 0, failed: 0 }
  /** Answers that no order of calls explains, as text. */
  wrong = []
  #cache
  #by
  #random
  #number = 0

  constructor(cache, by, random) {
    this.#cache = cache
    this.#by = by
    this.#random = random
  }

  /** One call at random on a key that only this process writes at the time. */
  any(history, isWatched) {
    const draw = this.#random.below(100)
    if (draw < 62) return this.set(history)
    if (draw < 78) return this.delete(history)
    if (draw < 82) return this.load(history, isWatched)
    return this.get(history, isWatched)
  }

  async set(history) {
    const call = this.#begin(history, 'set')
    const large = this.#random.below(1_000) === 0
    const value = { id: call.id, key: history.key, ...(large ? { text: LARGE } : {}) }
    const lifetime = this.#random.chance(0.5) ? { ttl: '7d' } : { persist: true }
    const kept = await this.#settled(this.#cache.set(history.key, value, { ...lifetime, compress: false }))
    history.settle(call, kept === true, now())
    if (kept === true) this.counts.sets++
    else if (kept === false) this.counts.refused++
  }

  async delete(history) {
    const call = this.#begin(history, 'delete')
    const removed = await this.#settled(this.#cache.delete(history.key))
    // Whether something was there or not: it is gone.
    const acked = typeof removed === 'boolean'
    history.settle(call, acked, now())
    if (acked) this.counts.deletes++
  }

  /** A load is never acknowledged: its value may be kept or not. But it yields to a delete that comes after it. */
  async load(history, isWatched) {
    const call = this.#begin(history, 'load')
    let loads = false
    const factory = () => {
      loads = true
      return { id: call.id, key: history.key }
    }
    const load = this.#settled(this.#cache.getOrSet(history.key, factory, { ttl: '7d' }))
    const { value, may } = await history.reading(load)
    history.settle(call, false, now())
    this.counts.loads++
    if (loads) return
    history.remove(call)
    if (value !== undefined) this.#look(history, value, isWatched ? may : undefined)
  }

  async get(history, isWatched) {
    const { value, may } = await history.reading(this.#settled(this.#cache.get(history.key)))
    if (value === undefined) return
    this.counts.reads++
    this.#look(history, value, isWatched ? may : undefined)
  }

  #begin(history, kind) {
    const id = `${this.#by}${++this.#number}`
    return history.add({ id, kind, by: this.#by, called: now(), settled: null, acked: null })
  }

  /** The answer; undefined when the call failed, which none should. */
  async #settled(promise) {
    const begin = now()
    this.pending++
    try {
      return await promise
    } catch (error) {
      this.counts.failed++
      if (this.counts.failed <= 5) this.#complain(`a call failed: ${error.code} ${error.message}`)
      return undefined
    } finally {
      this.pending--
      this.slowestMs = Math.max(this.slowestMs, now() - begin)
    }
  }

  /** A miss explains itself: copies may go, and servers may lose their disk. */
  #look(history, value, may) {
    if (value === null) return
    if (value.key !== history.key) this.#complain(`${history.key} answered with a value of ${value.key}`)
    else if (may && !may.has(value.id)) {
      const last = history.calls.map((call) => `${call.kind} ${call.id}`).join(', ')
      this.#complain(`${history.key} answered ${value.id} instead of ${[...may].join(' or ')} (now: ${last})`)
    }
  }

  #complain(text) {
    this.wrong.push(`${this.#by} at ${now().toFixed(0)}: ${text}`)
  }
}

/** For histories that are told: each call in a few words. */
export const told = (call) =>
  `${call.kind} ${left(call) ?? call.id} by ${call.by} at ${call.called.toFixed(1)}, ` +
  (call.acked === null ? 'pending' : `${call.acked ? 'acknowledged' : 'not acknowledged'} at ${call.settled.toFixed(1)}`)
