// Many keys at once, from Redis itself.
import { info, infoField } from '../lib/asker.mjs'
import {
  TTL_MS, TTL_SECONDS, bento, cacheManager, cacheable, onRedis, openBento, openCacheManager, openCacheable,
  openHoldfast, untilNear,
} from './contenders.mjs'
import { SIZE, keysOf, values } from './reading.mjs'
import { microsOf } from './timing.mjs'

const AT_ONCE = 10
const WAYS = [['alone', 1, 'one call at a time'], ['company', AT_ONCE, `${AT_ONCE} in Promise.all`]]
const nothing = () => {}
const RIVALS = [bento, cacheable, cacheManager]

/** As it is set up for production: what was read lately is in the process, and Redis behind it. */
export const manyAtHand = {
  id: 'many',
  title: 'Many keys at hand',
  about:
    `Higher is better. Keys a second, ${values.length} values of ${SIZE} bytes a call, parsed, that are in the process ` +
    'with Redis behind it; before a figure counts, Redis must have been asked for none of them.',
  columns: WAYS.map(([id, , title]) => ({ id, title: `keys a second, ${title}` })),
  contenders: [
    { ...onRedis, label: 'Holdfast, getMany', open: openOursNear },
    { ...bento, label: `BentoCache, ${values.length} get in Promise.all`, redis: true, open: openBentoBoth },
    { ...cacheable, label: 'cacheable, getMany', redis: true, open: openCacheableBoth },
    { ...cacheManager, label: 'cache-manager, mget + JSON.parse', redis: true, open: openCacheManagerBoth },
  ],
  measure: measureAtHand,
  goals: goalsOf('at hand'),
}

export const batches = {
  id: 'batches',
  title: 'Many keys from Redis',
  about:
    `Higher is better. Keys a second, ${values.length} values of ${SIZE} bytes a call, parsed. Each call really asks ` +
    'Redis, as its count of hits shows: ours with `skipL1`; BentoCache has no call for many keys and no memory here; ' +
    "cacheable's memory is emptied before each time, which is not counted.",
  columns: WAYS.map(([id, , title]) => ({ id, title: `keys a second, ${title}` })),
  contenders: [
    { ...onRedis, label: 'Holdfast, getMany', open: openOurs },
    { ...bento, label: `BentoCache, ${values.length} get in Promise.all`, redis: true, open: openBentoGets },
    { ...cacheable, label: 'cacheable, getMany', redis: true, open: openCacheableMany },
    { ...cacheManager, label: 'cache-manager, mget', redis: true, open: openCacheManagerMany },
    { id: 'ioredis', label: 'ioredis, MGET + JSON.parse', package: 'ioredis', redis: true, open: openIoredis },
  ],
  measure,
  goals: goalsOf('from Redis'),
}

function goalsOf(where) {
  return WAYS.flatMap(([way, , title]) =>
    RIVALS.map(({ id, label }) => ({
      text: `getMany of ${values.length} keys ${where}, ${title}: at least 3 times ${label}'s rate`,
      of: [onRedis.id, way],
      by: [id, way],
      atLeast: 3,
    })),
  )
}

async function measure(contender, { port }) {
  const { calls, found, keys } = await timed(contender, port)
  if (found.hits < calls() * keys.length) throw new Error(`${calls()} calls gave Redis ${found.hits} hits: not all asked it.`)
  return found.rates
}

async function measureAtHand(contender, { port }) {
  const { calls, found } = await timed(contender, port)
  if (found.hits > 0) throw new Error(`${calls()} calls gave Redis ${found.hits} hits: not all was at hand.`)
  return found.rates
}

async function timed({ id, open }, port) {
  const { set, getMany, before = nothing, ready = nothing } = await open({ port })
  const keys = keysOf(id)
  for (const [index, key] of keys.entries()) await set(key, values[index])
  await ready(keys)
  let calls = 0
  const call = async () => {
    calls += 1
    const found = await getMany(keys)
    for (let index = 0; index < keys.length; index += 1) {
      if (found[index]?.id !== index) throw new Error(`${keys[index]} was not found.`)
    }
  }
  const asked = await hitsOf(port)
  const rates = {}
  for (const [way, count] of WAYS) {
    const micros = await microsOf(() => Promise.all(Array.from({ length: count }, call)), before)
    rates[way] = (count * keys.length * 1e6) / micros
  }
  return { calls: () => calls, keys, found: { rates, hits: (await hitsOf(port)) - asked } }
}

/** How many reads the server has answered with a value. */
async function hitsOf(port) {
  return Number(infoField(await info(port, 'stats'), 'keyspace_hits'))
}

function openOurs({ port }) {
  const cache = openHoldfast({ port })
  return {
    set: (key, value) => cache.set(key, value, { ttl: TTL_SECONDS }),
    getMany: (keys) => cache.getMany(keys, { skipL1: true }),
  }
}

async function openBentoGets({ port }) {
  const cache = await openBento({ port, tiers: 'redis' })
  return {
    set: (key, value) => cache.set({ key, value, ttl: TTL_MS }),
    getMany: (keys) => Promise.all(keys.map((key) => cache.get({ key }))),
  }
}

async function openCacheableMany({ port }) {
  const cache = await openCacheable({ port })
  return {
    set: (key, value) => cache.set(key, value, TTL_MS),
    getMany: (keys) => cache.getMany(keys),
    before: () => cache.primary.clear(),
  }
}

async function openCacheManagerMany({ port }) {
  const cache = await openCacheManager({ port })
  return { set: (key, value) => cache.set(key, value, TTL_MS), getMany: (keys) => cache.mget(keys) }
}

function openOursNear({ port }) {
  const cache = openHoldfast({ port })
  return {
    set: (key, value) => cache.set(key, value, { ttl: TTL_SECONDS }),
    getMany: (keys) => cache.getMany(keys),
    async ready(keys) {
      for (const key of keys) await untilNear(cache, key)
      await cache.getMany(keys)
    },
  }
}

async function openBentoBoth({ port }) {
  const cache = await openBento({ port, tiers: 'both' })
  return {
    set: (key, value) => cache.set({ key, value, ttl: TTL_MS }),
    getMany: (keys) => Promise.all(keys.map((key) => cache.get({ key }))),
  }
}

async function openCacheableBoth({ port }) {
  const cache = await openCacheable({ port })
  return { set: (key, value) => cache.set(key, value, TTL_MS), getMany: (keys) => cache.getMany(keys) }
}

async function openCacheManagerBoth({ port }) {
  const cache = await openCacheManager({ port, memory: true })
  return {
    set: (key, value) => cache.set(key, JSON.stringify(value), TTL_MS),
    getMany: async (keys) => (await cache.mget(keys)).map((text) => JSON.parse(text)),
  }
}

async function openIoredis({ port }) {
  const { Redis } = await import('ioredis')
  const client = new Redis({ host: '127.0.0.1', port })
  return {
    set: (key, value) => client.set(key, JSON.stringify(value), 'EX', TTL_SECONDS),
    getMany: async (keys) => (await client.mget(keys)).map((text) => JSON.parse(text)),
  }
}
