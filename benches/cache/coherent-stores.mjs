// Those whose copies in memory learn of what other processes write: how each is opened by both processes.
import { TTL_MS, TTL_SECONDS, bento, onRedis, openBento, openHoldfast, untilNear } from './contenders.mjs'

export const coherentStores = [
  { ...onRedis, open: openOurs },
  { ...bento, label: 'BentoCache, Redis bus', redis: true, open: openBentoStore },
]

function openOurs({ port }) {
  const cache = openHoldfast({ port })
  return {
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, { ttl: TTL_SECONDS }),
    /** Until there is a copy in this process. */
    async copy(key) {
      await untilNear(cache, key)
      await cache.get(key)
    },
  }
}

async function openBentoStore({ port }) {
  const cache = await openBento({ port, tiers: 'both' })
  return {
    get: (key) => cache.get({ key }),
    set: (key, value) => cache.set({ key, value, ttl: TTL_MS }),
    copy: (key) => cache.get({ key }),
  }
}
