// How each library is opened for these measurements, so that every part opens it alike.
import { createRequire } from 'node:module'
import { now, pause } from '../../scripts/soak/clock.mjs'

// Resolved from the package's root, so that the entry of `exports` is what gets loaded.
const require = createRequire(new URL('../../package.json', import.meta.url))

export const TTL_SECONDS = 3_600
export const TTL_MS = TTL_SECONDS * 1_000
const NEAR_LIMIT_MS = 10_000

/** Ours twice: with Redis behind it, so that hits are near copies and what is in front of them, and in memory alone. */
export const onRedis = { id: 'holdfast-redis', label: 'Holdfast, Redis', package: 'holdfast', ours: true, redis: true }
export const inMemory = { id: 'holdfast-memory', label: 'Holdfast, memory', package: 'holdfast', ours: true }
export const bento = { id: 'bentocache', label: 'BentoCache', package: 'bentocache' }
export const cacheable = { id: 'cacheable', label: 'cacheable', package: 'cacheable' }
export const cacheManager = { id: 'cache-manager', label: 'cache-manager', package: 'cache-manager' }

/** The cache manager of an instance; without a port in memory alone. */
export function openHoldfast({ port, ...options }) {
  const { createHoldfast } = require('holdfast')
  const url = port === null ? 'memory:' : `redis://127.0.0.1:${port}`
  return createHoldfast({ url, env: {}, ...options }).cacheManager
}

/** `tiers`: 'memory', 'redis', or 'both' with the bus, as the page "Multi Tier" of its documentation says. */
export async function openBento({ port, tiers = 'memory', ...memory }) {
  const { BentoCache, bentostore } = await import('bentocache')
  const { memoryDriver } = await import('bentocache/drivers/memory')
  const { redisDriver, redisBusDriver } = await import('bentocache/drivers/redis')
  const connection = { host: '127.0.0.1', port }
  const store = bentostore()
  if (tiers !== 'redis') store.useL1Layer(memoryDriver(memory))
  if (tiers !== 'memory') store.useL2Layer(redisDriver({ connection }))
  if (tiers === 'both') store.useBus(redisBusDriver({ connection }))
  return new BentoCache({ default: 'store', stores: { store } })
}

/** With Redis as its secondary store where there is a port. */
export async function openCacheable({ port, ...options }) {
  const { Cacheable } = await import('cacheable')
  const { default: KeyvRedis } = await import('@keyv/redis')
  const secondary = port === null ? {} : { secondary: new KeyvRedis(`redis://127.0.0.1:${port}`) }
  const cache = new Cacheable({ ...secondary, ...options })
  cache.on('error', (error) => console.error(error))
  return cache
}

/** On Redis where there is a port, else on its default store; `memory`: that in front of Redis. */
export async function openCacheManager({ port, memory = false }) {
  const { createCache } = await import('cache-manager')
  const { Keyv, createKeyv } = await import('@keyv/redis')
  if (port === null) return createCache({})
  const redis = createKeyv(`redis://127.0.0.1:${port}`)
  return createCache({ stores: memory ? [new Keyv(), redis] : [redis] })
}

/** Reads a key of ours until this process has a copy of it that Redis keeps informed. */
export async function untilNear(cache, key) {
  const bound = now() + NEAR_LIMIT_MS
  for (;;) {
    const source = (await cache.getEntry(key))?.source
    if (source === 'near') return
    if (now() > bound) throw new Error(`${key} was answered by ${source} for seconds, and not by a near copy.`)
    await pause(2)
  }
}
