// The calls of one process: each is noted before it is made and when it is settled, and every answer is looked at.

import { now } from './clock.mjs'
import { left } from './history.mjs'

/** Beyond this a value travels by itself, in the package's slow lane. */
const LARGE = 'l'.repeat(80 * 1024)
const MOST_NOTES = 5

export class Calls {
  pending = 0
  slowestMs = 0
  counts = { sets: 0, deletes: 0, reads: 0, loads: 0, refused: 0, failed: 0, foreign: 0 }
  /** What should never have happened, in words. */
  notes = []
  #cache
  #by
  #random
  #doubt
  #number = 0

  /** `doubt({ key, calls, read })` hears of answers that only the judge can explain, if anybody. */
  constructor(cache, by, random, doubt) {
    this.#cache = cache
    this.#by = by
    this.#random = random
    this.#doubt = doubt
  }

  /** One call at random on a key that only this process writes at the time. */
  any(history) {
    const draw = this.#random.below(100)
    if (draw < 62) return this.set(history)
    if (draw < 78) return this.delete(history)
    if (draw < 82) return this.load(history)
    return this.get(history)
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
  async load(history) {
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
    if (value !== undefined) this.#look(history, value, may)
  }

  async get(history) {
    const { value, may } = await history.reading(this.#settled(this.#cache.get(history.key)))
    if (value === undefined) return
    this.counts.reads++
    this.#look(history, value, may)
  }

  /** A key that others write: nothing is known of its value, but whose it is. */
  async peek(key) {
    const value = await this.#settled(this.#cache.get(key))
    this.counts.reads++
    if (value) this.#checkKey(key, value)
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
      this.#note(`a call failed: ${error.code} ${error.message}`)
      return undefined
    } finally {
      this.pending--
      this.slowestMs = Math.max(this.slowestMs, now() - begin)
    }
  }

  /**
   * A process sees its own writes. A miss explains itself: copies may go, and servers may lose their disk. What
   * the other process wrote last may be in its journal still.
   */
  #look(history, value, may) {
    if (value === null) return
    this.#checkKey(history.key, value)
    const last = history.calls.findLast((call) => call.acked)
    if (may.has(value.id) || last?.by !== this.#by) return
    this.#doubt({ key: history.key, calls: history.calls, read: value.id })
  }

  #checkKey(key, value) {
    if (value.key === key) return
    this.counts.foreign++
    this.#note(`${key} answered with a value of ${value.key}`)
  }

  #note(text) {
    if (this.notes.length < MOST_NOTES) this.notes.push(`${this.#by} at ${now().toFixed(1)}: ${text}`)
  }
}

/** For histories that are told: each call in a few words. */
export const told = (call) =>
  `${call.kind} ${left(call) ?? call.id} by ${call.by} at ${call.called.toFixed(1)}, ` +
  (call.acked === null ? 'pending' : `${call.acked ? 'acknowledged' : 'not acknowledged'} at ${call.settled.toFixed(1)}`)
