// The limiters that are compared, each as `{ take(key) }`, which rejects unless the call was allowed, and by whom it
// should be.
import { holdfast, openHoldfast, openIoredis } from './contenders.mjs'

export const KEYS = 10_000
export const keys = Array.from({ length: KEYS }, (_, index) => `client:${index}`)
/** No call may be refused: what is refused costs less. */
export const ENOUGH = 100_000_000
export const WINDOW_SECONDS = 60

const ALGORITHMS = [
  ['sliding-window', 'sliding window (default)'],
  ['fixed-window', 'fixed window'],
  ['token-bucket', 'token bucket'],
]

/** Ours, with each algorithm, on Redis or in memory. */
export const oursWithEach = (where) =>
  ALGORITHMS.map(([algorithm, name]) => ({
    ...holdfast,
    ...where,
    id: `holdfast-${algorithm}`,
    label: `Holdfast, ${name}`,
    open: (settings) => openOurs({ ...settings, algorithm }),
  }))

/** The default one's line. */
export const DEFAULT_ID = 'holdfast-sliding-window'

export const flexible = { package: 'rate-limiter-flexible' }

export async function openOurs({ port, algorithm, windowSeconds = WINDOW_SECONDS }) {
  const instance = await openHoldfast({ port })
  const limit = { maxRequests: ENOUGH, windowMs: windowSeconds * 1_000 }
  const limiter = instance.createRateLimiter({ name: 'bench', algorithm, ...limit })
  const source = port === null ? 'local' : 'redis'
  return {
    async take(key) {
      const result = await limiter.check(key)
      if (!result.success || result.source !== source) {
        throw new Error(`${key}: ${result.reason ?? 'allowed'}, by ${result.source}.`)
      }
    },
  }
}

export async function openFlexibleRedis({ port, autoPipelining = false }) {
  const { RateLimiterRedis } = await import('rate-limiter-flexible')
  const storeClient = await openIoredis({ port, enableAutoPipelining: autoPipelining })
  return flexibleOf(new RateLimiterRedis({ storeClient, points: ENOUGH, duration: WINDOW_SECONDS }))
}

export async function openFlexibleMemory() {
  const { RateLimiterMemory } = await import('rate-limiter-flexible')
  return flexibleOf(new RateLimiterMemory({ points: ENOUGH, duration: WINDOW_SECONDS }))
}

/** It rejects by itself when it refuses. */
function flexibleOf(limiter) {
  return {
    async take(key) {
      const result = await limiter.consume(key)
      if (!(result.remainingPoints >= 0)) throw new Error(`${key} got ${JSON.stringify(result)}.`)
    },
  }
}
