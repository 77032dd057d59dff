// A hit in this process' memory that hands out an object of the caller's own.
import {
  TTL_MS, TTL_SECONDS, bento, cacheManager, cacheable, inMemory, onRedis, openBento, openCacheManager, openCacheable,
  openHoldfast, untilNear,
} from './contenders.mjs'
import { SIZE, TOGETHER, atOnce, fill, inCompany, keysOf, oneByOne } from './reading.mjs'
import { microsPerCall } from './timing.mjs'

/** After a thousand hits without a turn of the event loop, what is called until it comes goes a longer way. */
const LEAST_HOT = 0.85

const columns = [
  { id: 'alone', title: 'one at a time, µs' },
  { id: 'company', title: `${TOGETHER} in Promise.all, µs` },
]

export const hits = {
  id: 'hits',
  title: 'A hit, parsed',
  about:
    `Lower is better. Time per \`get\` of a value of ${SIZE} bytes that is in the process. Everybody hands out an ` +
    "object of the caller's own; \"sync\" is a plain function without a promise.",
  columns,
  contenders: [
    { ...onRedis, open: openOurs },
    { ...inMemory, open: openOurs },
    { ...bento, open: openBentoHits },
    { ...cacheable, open: openCacheableHits },
    { ...cacheManager, label: 'cache-manager + JSON.parse', open: openCacheManagerHits },
    { id: 'lru-cache', label: 'lru-cache + JSON.parse', package: 'lru-cache', open: openLruCache },
    { id: 'lru-sync', label: 'lru-cache + JSON.parse, sync', package: 'lru-cache', sync: true, open: openLruCache },
    { id: 'json-parse', label: 'JSON.parse alone, sync', sync: true, open: openJsonParse },
  ],
  measure,
  goals: [onRedis, inMemory].flatMap((mine) => [
    ...goalsOf(mine, 'bentocache', "at most a third of BentoCache's time", 1 / 3),
    ...goalsOf(mine, 'cacheable', "at most a third of cacheable's time", 1 / 3),
    ...goalsOf(mine, 'lru-cache', 'at most 1.5 times lru-cache plus JSON.parse', 1.5),
  ]),
}

function goalsOf(mine, rival, words, atMost) {
  return columns.map(({ id, title }) => ({
    text: `hit, ${mine.label}, ${title.replace(', µs', '')}: ${words}`,
    of: [mine.id, id],
    by: [rival, id],
    atMost,
  }))
}

async function measure({ id, open, sync = false }, { port }) {
  const store = await open({ port, sync })
  const keys = keysOf(id)
  await fill(store, keys)
  await store.ready?.(keys)
  const ways = sync
    ? { alone: atOnce(store.get, keys) }
    : { alone: oneByOne(store.get, keys), company: inCompany(store.get, keys) }
  const found = await microsPerCall(ways)
  store.checked?.()
  return found
}

function openOurs({ port }) {
  const cache = openHoldfast({ port })
  return {
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, { ttl: TTL_SECONDS }),
    ...hotHits(cache, port),
  }
}

/** How ours is made ready for hits, and how it is seen that they were such. */
export function hotHits(cache, port) {
  return {
    async ready(keys) {
      for (const key of keys) {
        if (port !== null) await untilNear(cache, key)
        await cache.get(key)
      }
      cache.resetStats()
    },
    checked() {
      const { hits: all, misses, layers } = cache.getStats()
      if (misses > 0 || layers.redis > 0 || layers.hot < LEAST_HOT * all) {
        throw new Error(`Too few were hits of texts at hand: ${JSON.stringify({ ...layers, misses })}.`)
      }
    },
  }
}

async function openBentoHits() {
  const cache = await openBento({ port: null })
  return { get: (key) => cache.get({ key }), set: (key, value) => cache.set({ key, value, ttl: TTL_MS }) }
}

async function openCacheableHits() {
  const cache = await openCacheable({ port: null })
  return { get: (key) => cache.get(key), set: (key, value) => cache.set(key, value, TTL_MS) }
}

async function openCacheManagerHits() {
  const cache = await openCacheManager({ port: null })
  return {
    get: async (key) => JSON.parse(await cache.get(key)),
    set: (key, value) => cache.set(key, JSON.stringify(value), TTL_MS),
  }
}

async function openLruCache({ sync }) {
  const { LRUCache } = await import('lru-cache')
  const cache = new LRUCache({ max: 1_000, ttl: TTL_MS })
  const set = (key, value) => cache.set(key, JSON.stringify(value))
  return { get: sync ? (key) => JSON.parse(cache.get(key)) : async (key) => JSON.parse(cache.get(key)), set }
}

function openJsonParse() {
  const texts = {}
  return { get: (key) => JSON.parse(texts[key]), set: (key, value) => (texts[key] = JSON.stringify(value)) }
}
