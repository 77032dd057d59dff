// The cache: values by key, from Redis or from memory, whichever can answer.

import { abortable, checkSignal } from '../abort.js'
import type { Connection } from '../connection.js'
import { NO_EXPIRY, lifetimeMs, type Duration } from '../durations.js'
import { clearFamily, deleteEntry, flightKey, getEntry, hasEntry, loadEntry, setEntry } from '../entries.js'
import { closed, describe, invalid } from '../errors.js'
import { FLAG_HASH_KEY, FLAG_NO_COMPRESS, FLAG_NO_MEMORY, FLAG_SKIP_L1, FORMAT_JSON } from '../generated/operations.js'
import { DECODE_ENTRY, DECODE_VALUE } from '../inbox.js'
import { checkKey, checkPrefix } from '../keys.js'
import { toJson } from '../values.js'
import type { RedisClient, RedisHealth } from './client.js'

/** Options of a cache call. */
export interface CacheOptions {
  /**
   * Lifetime: seconds, or `'90s'`, `'5m'`, `'1h'`, `'7d'`; at most 100 years.
   * Default, also for 0: 3600 s (`REDIS_CACHE_DEFAULT_TTL`).
   */
  ttl?: Duration | undefined
  /** The family of keys: the full key is `{keyPrefix}{prefix}:{key}`. Default: `'cache'`. */
  prefix?: string | undefined
  /** Whether a large value may be stored compressed. Default: true. */
  compress?: boolean | undefined
  /** Whether memory may answer and keep while Redis doesn't. Default: true. */
  fallbackToMemory?: boolean | undefined
  /** Reads past the copies in this process, from Redis itself. Default: false. */
  skipL1?: boolean | undefined
  /** The value never expires. Not together with `ttl`. Default: false. */
  persist?: boolean | undefined
  /** Gives the call up. The error's `applied` tells whether it may have happened all the same. */
  signal?: AbortSignal | undefined
}

/** Counts since the start of the process, or since `resetStats()`. */
export interface CacheStats {
  hits: number
  misses: number
  sets: number
  deletes: number
  errors: number
  /** Who serves: Redis, memory for good, or both (Redis with memory behind it). */
  backend: 'redis' | 'memory' | 'hybrid'
}

/** A value with its age and lifetime, as apps hand it around. Not how it is stored. */
export interface CacheEntry<T> {
  data: T
  /** When it was written, ms since 1970. */
  timestamp: number
  /** Seconds. */
  ttl: number
  compressed?: boolean
}

/** What `getEntry` answers. */
export interface CachedEntry<T> {
  value: T
  /** Who answered. */
  source: 'redis' | 'memory'
  /** What is left of its lifetime; null when it never expires. */
  ttlMs: number | null
}

/** What `getInfo` answers. */
export interface CacheInfo {
  redis: { available: boolean; stats?: RedisHealth['details'] }
  /** The memory store: entries of all families, and their bytes. */
  memory: { entries: number; size: number }
  stats: CacheStats
}

const FAMILY = 'cache'

/**
 * The cache manager. No call rejects because Redis is down: a read is then a miss, a write answers
 * false, unless memory serves. Wrong arguments reject with `E_INVALID` and the path of the argument;
 * after a shutdown every call rejects with `E_CLOSED`; a foreign value of another Redis type under one
 * of our names, or one that is no JSON, rejects with `E_DATA`; with `journalSync: 'always'` a write that the
 * journal's disk does not take rejects with `E_FULL`.
 */
export class CacheManager {
  private readonly connection: Connection
  private readonly client: RedisClient
  private closedIn = -1

  /** @internal */
  constructor(connection: Connection, client: RedisClient) {
    this.connection = connection
    this.client = client
  }

  /** The value of a key, or null for a miss. A cached null is null too; `exists` tells them apart. */
  get<T = unknown>(key: string, options?: CacheOptions): Promise<T | null> {
    return this.read(DECODE_VALUE, key, options, 'cacheManager.get') as Promise<T | null>
  }

  /** The same with who answered and how long the value lives, or null for a miss. */
  getEntry<T = unknown>(key: string, options?: CacheOptions): Promise<CachedEntry<T> | null> {
    return this.read(DECODE_ENTRY, key, options, 'cacheManager.getEntry') as Promise<CachedEntry<T> | null>
  }

  /**
   * Stores a value that JSON can hold; null is one, undefined is not (`E_INVALID`). True when Redis or
   * memory has it. Default lifetime: 3600 s.
   */
  set<T>(key: string, value: T, options?: CacheOptions): Promise<boolean> {
    const operation = 'cacheManager.set'
    try {
      const ttlMs = this.lifetime(options, operation)
      const family = familyOf(options, operation)
      checkKey(key, 'key', operation)
      const text = toJson(value, 'value', operation)
      const batch = this.reach(operation)
      this.connection.flights.detach(flightKey(family, key))
      const answer = setEntry(batch, family, key, text, FORMAT_JSON, ttlMs, flagsOf(options, operation), operation)
      return answered(answer, options, operation) as Promise<boolean>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** Removes a key from Redis and memory. True when there was something. */
  delete(key: string, options?: CacheOptions): Promise<boolean> {
    const operation = 'cacheManager.delete'
    try {
      const family = familyOf(options, operation)
      checkKey(key, 'key', operation)
      const batch = this.reach(operation)
      this.connection.flights.detach(flightKey(family, key))
      const answer = deleteEntry(batch, family, key, flagsOf(options, operation), operation)
      return answered(answer, options, operation) as Promise<boolean>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** Whether the key holds a value, null included. */
  exists(key: string, options?: CacheOptions): Promise<boolean> {
    const operation = 'cacheManager.exists'
    try {
      const family = familyOf(options, operation)
      checkKey(key, 'key', operation)
      const answer = hasEntry(this.reach(operation), family, key, flagsOf(options, operation), operation)
      return answered(answer, options, operation) as Promise<boolean>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /**
   * The value of a key, or what `factory` returns, which is then cached. Callers in this process who ask
   * for the same key meanwhile get the same value (the same object) from the same factory call. null is
   * cached; undefined is returned and not cached. What the factory throws reaches every caller unchanged.
   * A key that is deleted while the factory runs is not cached again by it.
   */
  async getOrSet<T>(key: string, factory: () => T | Promise<T>, options?: CacheOptions): Promise<T> {
    const operation = 'cacheManager.getOrSet'
    const ttlMs = this.lifetime(options, operation)
    const family = familyOf(options, operation)
    checkKey(key, 'key', operation)
    if (typeof factory !== 'function') {
      throw invalid('factory', `factory is ${describe(factory)}; allowed: a function`, operation)
    }
    this.reach(operation)
    const place = { family, key, flags: flagsOf(options, operation) }
    const write = (value: unknown) => ({ text: toJson(value, 'value', operation), format: FORMAT_JSON })
    const answer = loadEntry(this.connection, place, ttlMs, factory, write, false, operation)
    return (await answered(answer, options, operation)) as T
  }

  /** Removes every key of a prefix: all of `{keyPrefix}{prefix}:`. Default: `'cache'`. */
  async clear(prefix?: string): Promise<void> {
    const operation = 'cacheManager.clear'
    if (prefix !== undefined) checkPrefix(prefix, 'prefix', operation)
    const family = prefix ?? FAMILY
    const batch = this.reach(operation)
    this.connection.flights.detachAll(`${family}:`)
    await clearFamily(batch, family, 0, operation)
  }

  /** A copy of the counts. */
  getStats(): CacheStats {
    return this.connection.inspect<CacheStats>('cacheStats', '', 'cacheManager.getStats')
  }

  /** Sets the counts to 0. */
  resetStats(): void {
    this.connection.inspect('resetCacheStats', '', 'cacheManager.resetStats')
  }

  /** What Redis and memory hold, with the counts. Does not reject because Redis is down. */
  async getInfo(): Promise<CacheInfo> {
    const operation = 'cacheManager.getInfo'
    this.reach(operation)
    const { details } = await this.client.healthCheck()
    const memory = this.connection.inspect<{ entries: number; bytes: number }>('memory', '', operation)
    return {
      redis: details.connected ? { available: true, stats: details } : { available: false },
      memory: { entries: memory.entries, size: memory.bytes },
      stats: this.getStats(),
    }
  }

  /** Refuses every later call of this manager with `E_CLOSED`, until the system is initialised anew. Nothing is removed. */
  async shutdown(): Promise<void> {
    this.closedIn = this.connection.generation
  }

  /** @internal Stores JSON under the hash of a text instead of the text. */
  async setHashed(family: string, text: string, json: string, ttlMs: number, operation: string): Promise<boolean> {
    const answer = setEntry(this.reach(operation), family, text, json, FORMAT_JSON, ttlMs, FLAG_HASH_KEY, operation)
    return (await answer) as boolean
  }

  /** @internal Reads what `setHashed` stored. */
  getHashed(decoder: number, family: string, text: string, operation: string): Promise<unknown> {
    return getEntry(this.reach(operation), decoder, family, text, FLAG_HASH_KEY, operation)
  }

  /** @internal Stores for another manager, in its family. */
  async setNamed(family: string, key: string, json: string, ttlMs: number, operation: string): Promise<boolean> {
    const batch = this.reach(operation)
    this.connection.flights.detach(flightKey(family, key))
    return (await setEntry(batch, family, key, json, FORMAT_JSON, ttlMs, 0, operation)) as boolean
  }

  /** @internal Reads for another manager, from its family. */
  getNamed(family: string, key: string, operation: string): Promise<unknown> {
    return getEntry(this.reach(operation), DECODE_VALUE, family, key, 0, operation)
  }

  private read(decoder: number, key: string, options: CacheOptions | undefined, operation: string): Promise<unknown> {
    try {
      checkKey(key, 'key', operation)
      const batch = this.reach(operation)
      if (options === undefined) return getEntry(batch, decoder, FAMILY, key, 0, operation)
      const family = familyOf(options, operation)
      return answered(getEntry(batch, decoder, family, key, flagsOf(options, operation), operation), options, operation)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  private reach(operation: string) {
    if (this.closedIn === this.connection.generation) throw closed(operation)
    return this.connection.batch(operation)
  }

  private lifetime(options: CacheOptions | undefined, operation: string): number {
    checkOptions(options, operation)
    const defaultMs = this.connection.view(operation).defaultTtl * 1000
    if (options === undefined) return defaultMs
    const { ttl, persist } = options
    if (persist === true) {
      if (ttl === undefined || ttl === 0) return NO_EXPIRY
      throw invalid(
        'options.persist',
        'options.persist is given together with options.ttl; allowed: one or the other',
        operation,
      )
    }
    return lifetimeMs(ttl, defaultMs, 'options.ttl', operation)
  }
}

function checkOptions(options: unknown, operation: string): void {
  if (options === undefined || (typeof options === 'object' && options !== null && !Array.isArray(options))) return
  const hint = typeof options === 'number' ? ', such as { ttl: 60 }' : ''
  throw invalid('options', `options is ${describe(options)}; allowed: an object${hint}`, operation)
}

function familyOf(options: CacheOptions | undefined, operation: string): string {
  if (options === undefined) return FAMILY
  checkOptions(options, operation)
  checkSignal(options.signal, operation)
  if (options.prefix === undefined) return FAMILY
  checkPrefix(options.prefix, 'options.prefix', operation)
  return options.prefix
}

function flagsOf(options: CacheOptions | undefined, operation: string): number {
  if (options === undefined) return 0
  const { compress, fallbackToMemory, skipL1 } = options
  return (
    (isSet(compress, true, 'options.compress', operation) ? 0 : FLAG_NO_COMPRESS) |
    (isSet(fallbackToMemory, true, 'options.fallbackToMemory', operation) ? 0 : FLAG_NO_MEMORY) |
    (isSet(skipL1, false, 'options.skipL1', operation) ? FLAG_SKIP_L1 : 0)
  )
}

function isSet(value: unknown, otherwise: boolean, path: string, operation: string): boolean {
  if (value === undefined) return otherwise
  if (typeof value === 'boolean') return value
  throw invalid(path, `${path} is ${describe(value)}; allowed: true or false`, operation)
}

function answered(answer: Promise<unknown>, options: CacheOptions | undefined, operation: string): Promise<unknown> {
  return options?.signal === undefined ? answer : abortable(answer, options.signal, operation)
}
