// What the package is on runtimes without native modules: edge functions, workers, browsers. Importing
// works, so that shared code can be bundled; every call throws one clear error.

import { HoldfastError } from './errors.js'
import type * as holdfast from './index.js'

function refuse(operation: string): never {
  throw new HoldfastError({
    code: 'E_UNSUPPORTED',
    message:
      `${operation} was called where native modules can't run (edge, worker or browser). ` +
      "Call it from a Node.js server; in a Next.js route: export const runtime = 'nodejs'",
    operation,
  })
}

/** A function that refuses, whose properties are functions that refuse. */
function absent<Name extends keyof typeof holdfast>(name: Name): (typeof holdfast)[Name] {
  const methods = new Map<string, () => never>()
  const stub = new Proxy((): never => refuse(name), {
    get(target, property) {
      // Symbols and `then` are asked for by the language itself: this is no promise and no iterable.
      if (typeof property === 'symbol' || property === 'then') return Reflect.get(target, property) as unknown
      let method = methods.get(property)
      if (method === undefined) methods.set(property, (method = () => refuse(`${name}.${property}`)))
      return method
    },
  })
  return stub as unknown as (typeof holdfast)[Name]
}

export const initializeRedisSystem = absent('initializeRedisSystem')
export const shutdownRedisSystem = absent('shutdownRedisSystem')
export const getSystemStatus = absent('getSystemStatus')
export const redisClient = absent('redisClient')
export const isRedisAvailable = absent('isRedisAvailable')
export const getRedisHealth = absent('getRedisHealth')
export const cacheManager = absent('cacheManager')
export const AICacheManager = absent('AICacheManager')
export const clearAllCache = absent('clearAllCache')
export const getCacheStats = absent('getCacheStats')
export const getCacheInfo = absent('getCacheInfo')
export const fallbackManager = absent('fallbackManager')
export const FallbackCache = absent('FallbackCache')
export const getFallbackStats = absent('getFallbackStats')
export const syncWithRedis = absent('syncWithRedis')
export const clearFallback = absent('clearFallback')
export const rateLimiters = absent('rateLimiters')
export const rateLimit = absent('rateLimit')
export const createRateLimiter = absent('createRateLimiter')
export const applyRateLimit = absent('applyRateLimit')
export const getRateLimitBackend = absent('getRateLimitBackend')
export const getRateLimitStats = absent('getRateLimitStats')
export const sessionManager = absent('sessionManager')
export const GuestSessionManager = absent('GuestSessionManager')
export const createSessionManager = absent('createSessionManager')
export const createGuestSession = absent('createGuestSession')
export const getGuestSession = absent('getGuestSession')
export const getSessionStats = absent('getSessionStats')
export const pubSubManager = absent('pubSubManager')
export const RealTimeManager = absent('RealTimeManager')
export const createPubSubManager = absent('createPubSubManager')
export const createEventStream = absent('createEventStream')
export const subscribe = absent('subscribe')
export const unsubscribe = absent('unsubscribe')
export const publish = absent('publish')
export const getChannelStats = absent('getChannelStats')
export const createHoldfast = absent('createHoldfast')
export { HoldfastError }
export default redisClient
