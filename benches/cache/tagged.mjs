// What tags cost a hit of `getOrSet`.
import {
  TTL_MS, TTL_SECONDS, bento, cacheable, inMemory, onRedis, openBento, openCacheable, openHoldfast,
} from './contenders.mjs'
import { hotHits } from './hits.mjs'
import { SIZE, TOGETHER, fill, inCompany, keysOf, oneByOne } from './reading.mjs'
import { microsPerCall } from './timing.mjs'

const WAYS = [['alone', 'one at a time'], ['company', `${TOGETHER} in Promise.all`]]
const TAGS = ['users', 'pages']

export const tagged = {
  id: 'tagged',
  title: 'A tagged hit',
  about:
    `Lower is better. Time per \`getOrSet\` that finds its value of ${SIZE} bytes in the process, without tags and ` +
    `with ${TAGS.length}; both in the same process, in turns. cacheable's \`getOrSet\` takes no tags: its entries ` +
    'got theirs from `set`.',
  columns: WAYS.flatMap(([id, title]) => [
    { id: `plain-${id}`, title: `untagged, ${title}, µs` },
    { id: `tagged-${id}`, title: `tagged, ${title}, µs` },
  ]),
  contenders: [
    { ...onRedis, open: openOurs },
    { ...inMemory, open: openOurs },
    { ...bento, open: openBentoTagged },
    { ...cacheable, open: openCacheableTagged },
  ],
  measure,
  goals: [onRedis, inMemory].flatMap((mine) =>
    WAYS.map(([id, title]) => ({
      text: `tagged getOrSet hit, ${mine.label}, ${title}: at most 1.1 times the untagged one`,
      of: [mine.id, `tagged-${id}`],
      by: [mine.id, `plain-${id}`],
      atMost: 1.1,
    })),
  ),
}

async function measure({ id, open }, { port }) {
  const { plain, withTags, ready, checked } = await open({ port })
  const keys = { plain: keysOf(`${id}:plain`), withTags: keysOf(`${id}:tagged`) }
  await fill(plain, keys.plain)
  await fill(withTags, keys.withTags)
  await ready?.([...keys.plain, ...keys.withTags])
  const found = await microsPerCall({
    'plain-alone': oneByOne(plain.get, keys.plain),
    'tagged-alone': oneByOne(withTags.get, keys.withTags),
    'plain-company': inCompany(plain.get, keys.plain),
    'tagged-company': inCompany(withTags.get, keys.withTags),
  })
  checked?.()
  return found
}

/** No hit loads. */
const load = () => {
  throw new Error('A read was no hit.')
}

function openOurs({ port }) {
  const cache = openHoldfast({ port })
  const way = (options) => ({
    get: (key) => cache.getOrSet(key, load, options),
    set: (key, value) => cache.set(key, value, options),
  })
  return {
    plain: way({ ttl: TTL_SECONDS }),
    withTags: way({ ttl: TTL_SECONDS, tags: TAGS }),
    ...hotHits(cache, port),
  }
}

async function openBentoTagged() {
  const cache = await openBento({ port: null })
  const way = (options) => ({
    get: (key) => cache.getOrSet({ key, factory: load, ...options }),
    set: (key, value) => cache.set({ key, value, ...options }),
  })
  return { plain: way({ ttl: TTL_MS }), withTags: way({ ttl: TTL_MS, tags: TAGS }) }
}

async function openCacheableTagged() {
  const cache = await openCacheable({ port: null, tags: true })
  const get = (key) => cache.getOrSet(key, load, { ttl: TTL_MS })
  return {
    plain: { get, set: (key, value) => cache.set(key, value, { ttl: TTL_MS }) },
    withTags: { get, set: (key, value) => cache.set(key, value, { ttl: TTL_MS, tags: TAGS }) },
  }
}
