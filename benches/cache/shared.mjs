// A hit that hands out one object to all who ask: what `shared: true` is for, and what cache-manager does always.
import { TTL_MS, TTL_SECONDS, cacheManager, inMemory, onRedis, openCacheManager, openHoldfast } from './contenders.mjs'
import { hotHits } from './hits.mjs'
import { SIZE, TOGETHER, fill, inCompany, keysOf, oneByOne } from './reading.mjs'
import { microsPerCall } from './timing.mjs'

const columns = [
  { id: 'alone', title: 'one at a time, µs' },
  { id: 'company', title: `${TOGETHER} in Promise.all, µs` },
]
const SHARED = { shared: true }

export const shared = {
  id: 'shared',
  title: 'A hit of one object for all',
  about:
    `Lower is better. Time per \`get\` of a value of ${SIZE} bytes that is in the process and is not parsed again. ` +
    'Ours is frozen, and asked for with `shared: true`; what cache-manager hands out can be changed by each of its ' +
    'callers for all others.',
  columns,
  contenders: [
    { ...onRedis, open: openOurs },
    { ...inMemory, open: openOurs },
    { ...cacheManager, open: openObjects },
  ],
  measure,
  goals: [onRedis, inMemory].flatMap((mine) =>
    columns.map(({ id, title }) => ({
      text: `shared hit, ${mine.label}, ${title.replace(', µs', '')}: at most cache-manager's time`,
      of: [mine.id, id],
      by: ['cache-manager', id],
      atMost: 1,
    })),
  ),
}

async function measure({ id, open }, { port }) {
  const store = await open({ port })
  const keys = keysOf(id)
  await store.write(keys)
  await store.ready?.(keys)
  const found = await microsPerCall({ alone: oneByOne(store.get, keys), company: inCompany(store.get, keys) })
  store.checked?.()
  return found
}

function openOurs({ port }) {
  const cache = openHoldfast({ port })
  const get = (key) => cache.get(key, SHARED)
  const set = (key, value) => cache.set(key, value, { ttl: TTL_SECONDS })
  const { ready, checked } = hotHits(cache, port)
  return {
    get,
    checked,
    // An object is shared as soon as its text is at hand.
    async write(keys) {
      await fill({ get: (key) => cache.get(key), set }, keys)
      await ready(keys)
      for (const key of keys) {
        const first = await get(key)
        if (first !== (await get(key)) || !Object.isFrozen(first)) throw new Error(`${key} is not shared.`)
      }
      cache.resetStats()
    },
  }
}

async function openObjects({ port }) {
  const cache = await openCacheManager({ port })
  const get = (key) => cache.get(key)
  const set = (key, value) => cache.set(key, value, TTL_MS)
  return { get, write: (keys) => fill({ get, set }, keys, { isShared: true }) }
}
