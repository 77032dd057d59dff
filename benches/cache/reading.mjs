// The reads that are timed, and that each of them gives what was written.
import { isDeepStrictEqual } from 'node:util'
import { valueOf } from '../lib/plan.mjs'

export const SIZE = 700
/** So many calls are under way together. */
export const TOGETHER = 100

/** As many keys as calls are made together, so that no two of them ask for the same one. */
export const keysOf = (name) => Array.from({ length: TOGETHER }, (_, index) => `bench:${name}:${index}`)
export const values = Array.from({ length: TOGETHER }, (_, index) => valueOf(SIZE, index))

/** Writes the values and makes sure that they come back whole, as one object for all or each time as another. */
export async function fill({ set, get }, keys, { isShared = false } = {}) {
  for (const [index, key] of keys.entries()) {
    await set(key, values[index])
    await get(key)
    const first = await get(key)
    const second = await get(key)
    if (!isDeepStrictEqual(first, values[index])) throw new Error(`${key} did not come back as it was set.`)
    if ((first === second) !== isShared) {
      const given = isShared ? 'an object of its own for each' : 'one object for all'
      throw new Error(`${key} came back as ${given}: that is not what is measured.`)
    }
  }
}

/** Each call is awaited before the next one is made. */
export const oneByOne = (get, keys) => async (count) => {
  for (let turn = 0; turn < count; turn += 1) {
    const index = turn % keys.length
    check(await get(keys[index]), index)
  }
}

/** The same without a promise, for what has none. */
export const atOnce = (get, keys) => (count) => {
  for (let turn = 0; turn < count; turn += 1) {
    const index = turn % keys.length
    check(get(keys[index]), index)
  }
}

/** Calls for all keys at a time. */
export const inCompany = (get, keys) => {
  const call = async (count) => {
    for (let turn = 0; turn < count; turn += keys.length) {
      const found = await Promise.all(keys.map((key) => get(key)))
      for (let index = 0; index < found.length; index += 1) check(found[index], index)
    }
  }
  // Ours gives the event loop its turn after a thousand hits. Calls by the hundred would meet that at the same place
  // among the hundred each time, and it matters which.
  const before = async (slice) => {
    for (const key of keys.slice(0, (slice * 37) % keys.length)) await get(key)
  }
  return Object.assign(call, { before })
}

function check(value, index) {
  if (value?.id !== index) throw new Error(`A read of value ${index} got ${JSON.stringify(value)?.slice(0, 60)}.`)
}
