// Functions whose results survive an outage, over the fallback manager.

import { NO_EXPIRY, lifetimeMs, type Duration } from '../durations.js'
import { describe, invalid } from '../errors.js'
import { checkKey } from '../keys.js'
import { canonicalJson } from '../values.js'
import type { FallbackManager } from './fallback.js'

/** Options of `memoize`. */
export interface MemoizeOptions<Args extends readonly unknown[]> {
  /**
   * The part of the key that the arguments decide; the whole is `memoized:{generated}`. Default: the
   * function's name and a hash of its text, and the arguments as canonical JSON. Needed where functions
   * of the same text differ by what they close over.
   */
  keyGenerator?: ((...args: Args) => string) | undefined
  /** Lifetime: seconds or `'1h'`. Default, also for 0: none. */
  ttl?: Duration | undefined
}

/** Results that survive an outage. */
export interface MemoizingCache {
  /**
   * The function with a memory. Calls with the same key that run at the same time run it once; what it
   * throws reaches them unchanged and is not kept; undefined is returned and not kept.
   */
  memoize<Args extends unknown[], Result>(
    fn: (...args: Args) => Result,
    options?: MemoizeOptions<Args>,
  ): (...args: Args) => Promise<Awaited<Result>>
  /** The value of a key of the fallback manager, or what `factory` returns, which is then stored. */
  getOrSet<T>(key: string, factory: () => T | Promise<T>, ttlSeconds?: Duration): Promise<T>
}

const FAMILY = 'memoized'

/** @internal The fallback cache of an instance. */
export function fallbackCacheOf(manager: FallbackManager): MemoizingCache {
  return {
    memoize<Args extends unknown[], Result>(fn: (...args: Args) => Result, options: MemoizeOptions<Args> = {}) {
      const operation = 'FallbackCache.memoize'
      if (typeof fn !== 'function') throw invalid('fn', `fn is ${describe(fn)}; allowed: a function`, operation)
      if (typeof options !== 'object' || options === null) {
        throw invalid('options', `options is ${describe(options)}; allowed: an object`, operation)
      }
      const { keyGenerator, ttl } = options
      if (keyGenerator !== undefined && typeof keyGenerator !== 'function') {
        throw invalid(
          'options.keyGenerator',
          `options.keyGenerator is ${describe(keyGenerator)}; allowed: a function`,
          operation,
        )
      }
      const ttlMs = lifetimeMs(ttl, NO_EXPIRY, 'options.ttl', operation)
      const name = keyGenerator === undefined ? nameOf(fn) : ''
      return async (...args: Args): Promise<Awaited<Result>> => {
        const key =
          keyGenerator === undefined ? `${name}:${canonicalJson(args, 'args', operation)}` : keyGenerator(...args)
        checkKey(key, keyGenerator === undefined ? 'args' : 'options.keyGenerator', operation)
        const call = async (): Promise<Awaited<Result>> => await fn(...args)
        return await manager.load<Awaited<Result>>(FAMILY, key, call, ttlMs, operation)
      }
    },

    async getOrSet<T>(key: string, factory: () => T | Promise<T>, ttlSeconds?: Duration) {
      const operation = 'FallbackCache.getOrSet'
      checkKey(key, 'key', operation)
      if (typeof factory !== 'function') {
        throw invalid('factory', `factory is ${describe(factory)}; allowed: a function`, operation)
      }
      const ttlMs = lifetimeMs(ttlSeconds, NO_EXPIRY, 'ttlSeconds', operation)
      return await manager.load('fallback', key, factory, ttlMs, operation)
    },
  }
}

/** Tells functions apart, in this process and in the next one that runs the same code. */
function nameOf(fn: { readonly name: string }): string {
  // Loaded here, where it is needed: at the top it would be a third of what requiring the package costs.
  const { createHash } = require('node:crypto') as typeof import('node:crypto')
  const digest = createHash('sha256').update(String(fn)).digest('hex').slice(0, 32)
  return `${fn.name === '' ? 'anonymous' : fn.name}:${digest}`
}
