// The notes of an outage: which are written and deleted when, and what must be in Redis afterwards.

import { equal } from './support.mjs'

const written = 200
const deleted = 50
const headerBytes = 42

/**
 * Of 200 notes written during an outage 20 have been there before, with another value. Of the 50 deleted
 * 25 were written before it and 25 in it.
 */
export class OutageNotes {
  #name
  #address
  /** What must be there in the end: key to value, null for "absent". */
  expected = new Map()

  constructor(name, address) {
    this.#name = name
    this.#address = address
  }

  /** 45 notes while Redis answers: 20 that will be overwritten and 25 that will be deleted. */
  async before() {
    for (let number = 0; number < 45; number++) await this.#write(`before-${number}`, { number, when: 'before' })
  }

  /** 200 writes and 50 deletes, mixed, each awaited: what was answered with true is a promise. */
  async during() {
    const writes = Array.from({ length: written }, (_, number) => (number < 20 ? `before-${number}` : `during-${number}`))
    const late = writes.slice(100, 125)
    for (const [number, key] of writes.entries()) {
      await this.#write(key, { number, when: 'during', text: `note ${number} – ‘äöü’ ✓` })
      if (number >= 50 && number < 75) await this.#delete(`before-${number - 30}`)
      if (number >= 150 && number < 150 + late.length) await this.#delete(late[number - 150])
    }
    equal([...this.expected.values()].filter((value) => value === null).length, deleted, 'notes that were deleted')
    equal(this.expected.size, written + 25, 'notes in all')
  }

  /** What another client finds: { present, absent }. Throws with every key that is wrong. */
  async check(redis) {
    const wrong = []
    const count = { present: 0, absent: 0 }
    for (const [key, value] of this.expected) {
      const full = `ai-chatbot:notes:${key}`
      const exists = await redis.call('EXISTS', full)
      if (value === null) {
        if (exists !== 0) wrong.push(`${full} was deleted and is there`)
        else count.absent++
        continue
      }
      const bytes = await redis.call('GET', full)
      const found = bytes === null ? null : bytes.subarray(headerBytes).toString('utf8')
      if (exists !== 1 || found !== JSON.stringify(value)) wrong.push(`${full} should hold ${JSON.stringify(value)}, and holds ${found}`)
      else count.present++
    }
    if (wrong.length > 0) throw new Error(`${wrong.length} of ${this.expected.size} keys are wrong:\n${wrong.slice(0, 20).join('\n')}`)
    return count
  }

  async #write(name, value) {
    const key = `${this.#name}-${name}`
    const { kept } = await this.#send('POST', '', { key, value })
    equal(kept, true, `whether ${key} was kept`)
    this.expected.set(key, value)
  }

  async #delete(name) {
    const key = name.startsWith(this.#name) ? name : `${this.#name}-${name}`
    const { deleted: was } = await this.#send('DELETE', `?key=${encodeURIComponent(key)}`)
    equal(was, true, `whether ${key} was there to delete`)
    this.expected.set(key, null)
  }

  async #send(method, query, body) {
    const response = await fetch(`${this.#address}/api/notes${query}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} /api/notes${query} answered ${response.status}: ${text}`)
    return JSON.parse(text)
  }
}
