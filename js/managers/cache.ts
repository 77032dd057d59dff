// The cache: values by key, from Redis or from memory, whichever can answer. What loads, what is about many keys at
// once and what takes away what belongs together stand in files of their own beside it.

import { answered } from '../abort.js'
import {
  areOptions,
  checkOptions,
  flagsOf,
  isSet,
  keptOf,
  merged,
  prefixOf,
  serializerOf,
  type CacheOptions,
  type LoadOptions,
} from '../cache-options.js'
import { countedName, noStats, statsOf, type CacheStats, type NativeStats } from '../cache-stats.js'
import type { Connection } from '../connection.js'
import {
  deleteEntry,
  expireEntry,
  flightKey,
  getEntry,
  hasEntry,
  setEntry,
  type Place,
  type Reader,
} from '../entries.js'
import { closed, describe, invalid } from '../errors.js'
import {
  FLAG_OWNER,
  FLAG_STALE,
  FORMAT_JSON,
} from '../generated/operations.js'
import type { HotEntry, HotTable } from '../hot.js'
import { DECODE_FOUND, DECODE_VALUE, type Found, type Source } from '../inbox.js'
import { NAMESPACE_COLON, NAMESPACE_END, checkKey, checkPrefix, holdsMarks } from '../keys.js'
import type { LoadContext } from '../load-context.js'
import { termsOf } from '../load.js'
import { encodeValue } from '../serializers.js'
import { frozen } from '../shared.js'
import { namespaceName, tagName } from '../tags.js'
import type { Counts } from '../tally.js'
import { checkKeys, forEach, getMany, setMany, type BatchOptions, type CacheItem } from './cache-batches.js'
import { clear, deletePattern, invalidateTags } from './cache-invalidation.js'
import { getOrSet, getOrSetMany, type LoadMany } from './cache-loads.js'
import type { RedisClient, RedisHealth } from './client.js'
import { warm, type WarmEntries, type WarmOptions, type WarmResult } from './warm.js'

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
  /** Who answered: Redis, a copy in this process that Redis keeps informed, or memory where there is no Redis. */
  source: Source
  /** What is left of its lifetime, grace included; null when it never expires. */
  ttlMs: number | null
  /** How long ago it was written. */
  ageMs: number
  /** Whether its time is over, and only grace keeps it. */
  stale: boolean
}

/** What `getInfo` answers. */
export interface CacheInfo {
  redis: { available: boolean; stats?: RedisHealth['details'] }
  /** The memory store: entries of all families, and their bytes. */
  memory: { entries: number; size: number }
  stats: CacheStats
}

/** Where a manager works: the whole cache, or one namespace of it. */
export interface Scope {
  /** The names of the namespaces, each with its end, joined by colons; `''`: the whole cache. */
  readonly path: string
  /** What calls of this namespace start from. */
  readonly defaults: LoadOptions | undefined
  /** Its number among those that are counted, once it is known. */
  owner: number
  /** The generation of the instance in which the cache was shut down, with all its namespaces. */
  readonly closed: { in: number }
}

const FAMILY = 'cache'
const MOST_NAMESPACE = 128
const EACH_END = new RegExp(NAMESPACE_END, 'g')

/**
 * The cache manager. No call rejects because Redis is down: a read is then a miss, a write answers
 * false, unless memory serves; a call with `requireRedis` rejects with `E_UNAVAILABLE`. Wrong arguments reject
 * with `E_INVALID` and the path of the argument; after a shutdown every call rejects with `E_CLOSED`; a foreign
 * value of another Redis type under one of our names, or one that is no JSON, rejects with `E_DATA`; with
 * `journalSync: 'always'` a write that the journal's disk does not take rejects with `E_FULL`.
 */
export class CacheManager {
  /** @internal */
  readonly connection: Connection
  private readonly client: RedisClient
  /** @internal */
  readonly scope: Scope
  /** The texts of the family that was asked for last. */
  private table: HotTable | null = null
  private tableIn: unknown = null
  private tableFamily = ''
  private own: Counts | null = null
  private ownIn = -1

  /** @internal */
  constructor(connection: Connection, client: RedisClient, scope?: Scope) {
    this.connection = connection
    this.client = client
    this.scope = scope ?? { path: '', defaults: undefined, owner: 0, closed: { in: -1 } }
  }

  /** The value of a key, or null for a miss. A cached null is null too; `exists` tells them apart. */
  get<T = unknown>(key: string, options?: CacheOptions): Promise<T | null> {
    const operation = 'cacheManager.get'
    try {
      checkKey(key, 'key', operation)
      const batch = this.reach(operation)
      const all = this.options(options)
      const family = this.family(all, operation)
      const place = this.place(family, key, all, operation)
      const table = this.hot(family, all)
      const reader = this.reader(DECODE_VALUE, table, all, operation)
      const hot = table?.read(key)
      if (hot !== undefined && batch.mayAnswer(hot.text.length)) return Promise.resolve(this.served(hot, all) as T)
      const answer = getEntry(batch, reader, place, operation)
      return answered(all?.shared === true ? answer.then(frozen) : answer, all, operation) as Promise<T | null>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** The same with who answered and how long the value lives, or null for a miss. */
  async getEntry<T = unknown>(key: string, options?: CacheOptions): Promise<CachedEntry<T> | null> {
    const operation = 'cacheManager.getEntry'
    checkKey(key, 'key', operation)
    const batch = this.reach(operation)
    const all = this.options(options)
    const place = this.place(this.family(all, operation), key, all, operation)
    const answer = getEntry(batch, this.reader(DECODE_FOUND, null, all, operation), place, operation)
    const found = (await answered(answer, all, operation)) as Found | null
    if (found === null) return null
    const { source, ttlMs, ageMs, stale } = found
    const value = (all?.shared === true ? frozen(found.value) : found.value) as T
    return { value, source, ttlMs, ageMs, stale }
  }

  /**
   * Stores a value that its serializer can hold; null is one, undefined is not (`E_INVALID`). True when Redis or
   * memory has it. Default lifetime: 3600 s.
   */
  set<T>(key: string, value: T, options?: CacheOptions): Promise<boolean> {
    const operation = 'cacheManager.set'
    try {
      const all = this.options(options)
      const { ttlMs, jitterMs, graceMs, tags } = keptOf(all, this.defaultMs(operation), operation)
      const family = this.family(all, operation)
      checkKey(key, 'key', operation)
      const written = encodeValue(value, serializerOf(all, operation) ?? 'json', 'value', operation)
      const batch = this.reach(operation)
      const terms = termsOf(ttlMs, jitterMs, graceMs, this.names(family, tags))
      this.forget(family, key)
      const answer = setEntry(batch, this.place(family, key, all, operation), written, terms, operation)
      return answered(answer, all, operation) as Promise<boolean>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** Removes a key from Redis and memory. True when there was something. */
  delete(key: string, options?: CacheOptions): Promise<boolean> {
    return this.remove(deleteEntry, key, options, 'cacheManager.delete')
  }

  /**
   * Makes a key stale: it is a miss from now on, and still serves where grace takes old values. True when there was
   * something.
   */
  expire(key: string, options?: CacheOptions): Promise<boolean> {
    return this.remove(expireEntry, key, options, 'cacheManager.expire')
  }

  /** Whether the key holds a fresh value, null included. */
  exists(key: string, options?: CacheOptions): Promise<boolean> {
    const operation = 'cacheManager.exists'
    try {
      const all = this.options(options)
      const family = this.family(all, operation)
      checkKey(key, 'key', operation)
      const answer = hasEntry(this.reach(operation), this.place(family, key, all, operation), operation)
      return answered(answer, all, operation) as Promise<boolean>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /**
   * The value of a key, or what `factory` returns, which is then cached. Whoever asks for the same key meanwhile gets
   * the same value from the same factory call; in other processes, too, while Redis answers. null is cached;
   * undefined is returned and not cached. What the factory throws reaches every caller unchanged, unless an old value
   * may serve (`grace`). A key that is deleted or invalidated while the factory runs is not cached by it.
   */
  getOrSet<T, Old = T>(
    key: string,
    factory: (context: LoadContext<Old>) => T | Promise<T>,
    options?: LoadOptions,
  ): Promise<T> {
    return getOrSet<T>(this, key, factory as (context: LoadContext) => unknown, options)
  }

  /** The values of keys in their order, null for a miss; one trip for all. */
  getMany<T = unknown>(keys: readonly string[], options?: CacheOptions & BatchOptions): Promise<(T | null)[]> {
    return getMany<T>(this, keys, options)
  }

  /** Stores several values; one trip for all, not a transaction. Answers for each whether it was kept. */
  setMany(items: readonly CacheItem[], options?: CacheOptions & BatchOptions): Promise<boolean[]> {
    return setMany(this, items, options)
  }

  /** Removes several keys; one trip for all. Answers for each whether there was something. */
  async deleteMany(keys: readonly string[], options?: CacheOptions & BatchOptions): Promise<boolean[]> {
    const operation = 'cacheManager.deleteMany'
    checkKeys(keys, operation)
    return await forEach(keys, options, false, operation, (index) => this.delete(keys[index] as string, options))
  }

  /**
   * The values of keys in their order, those that are missing from one call of `loader`. In all else it is as
   * `getOrSet`.
   */
  getOrSetMany<T, Old = T>(
    keys: readonly string[],
    loader: LoadMany<T, Old>,
    options?: LoadOptions & BatchOptions,
  ): Promise<(T | undefined)[]> {
    return getOrSetMany<T>(this, keys, loader as LoadMany<T, unknown>, options)
  }

  /** Fills the cache ahead of time. Safe to repeat: what is there and fresh is left as it is. */
  warm(entries: WarmEntries, options?: WarmOptions): Promise<WarmResult> {
    return warm(this, entries, options)
  }

  /**
   * Invalidates everything that has this tag, or one of these, however much it is: it is gone at once, for every
   * process, and loads that are under way don't bring it back. True when Redis or memory took it.
   */
  deleteByTag(tags: string | readonly string[], options?: CacheOptions): Promise<boolean> {
    return invalidateTags(this, tags, false, options, 'cacheManager.deleteByTag')
  }

  /** The same, but what it covers still serves where grace takes old values. */
  expireByTag(tags: string | readonly string[], options?: CacheOptions): Promise<boolean> {
    return invalidateTags(this, tags, true, options, 'cacheManager.expireByTag')
  }

  /**
   * Removes the keys of the prefix that match: `*` is any text, `?` one character, `[ab]` one of these, a backslash
   * before a character means itself. Nothing beyond the prefix is touched. Answers how many went. Walks over all keys
   * of the server; tags and namespaces don't.
   */
  deletePattern(pattern: string, options?: CacheOptions): Promise<number> {
    return deletePattern(this, pattern, options)
  }

  /**
   * A part of the cache with keys of its own, which can be cleared at once however much is in it. Namespaces can hold
   * namespaces. `defaults` are the options of its calls.
   */
  namespace(name: string, defaults?: LoadOptions): CacheManager {
    const operation = 'cacheManager.namespace'
    const isText = typeof name === 'string'
    if (!isText || name === '' || name.length > MOST_NAMESPACE || !name.isWellFormed() || holdsMarks(name)) {
      const shown = isText ? (name === '' ? 'empty' : 'too long or of wrong characters') : describe(name)
      const allowed = `a text of 1 to ${MOST_NAMESPACE} characters without U+001E and U+001F`
      throw invalid('name', `name is ${shown}; allowed: ${allowed}`, operation)
    }
    checkOptions(defaults, operation)
    if (defaults?.prefix !== undefined) checkPrefix(defaults.prefix, 'options.prefix', operation)
    const own = name.replaceAll(':', NAMESPACE_COLON) + NAMESPACE_END
    const path = this.scope.path === '' ? own : `${this.scope.path}:${own}`
    return new (this.constructor as typeof CacheManager)(this.connection, this.client, {
      path,
      defaults: merged(this.scope.defaults, defaults),
      owner: 0,
      closed: this.scope.closed,
    })
  }

  /**
   * Removes every key of a prefix: all of `{keyPrefix}{prefix}:`. Default: `'cache'`. A namespace removes itself, with
   * all namespaces in it, at once.
   */
  clear(prefix?: string): Promise<void> {
    return clear(this, prefix)
  }

  /** A copy of the counts: of the whole cache, or of this namespace with those in it counted for themselves. */
  getStats(): CacheStats {
    const operation = 'cacheManager.getStats'
    const owner = this.owner()
    const native = this.connection.inspect<NativeStats>('cacheStats', this.connection.tally.take(), operation)
    const stats = statsOf(native)
    if (this.scope.path === '') return stats
    const own = owner === 0 ? undefined : stats.namespaces[this.countedAs()]
    if (own !== undefined) return { ...stats, ...own, namespaces: {} }
    return { ...noStats(stats.backend), uncounted: true }
  }

  /** Sets the counts to 0: of the whole cache with its namespaces, or of this namespace alone. */
  resetStats(): void {
    const { tally } = this.connection
    const owner = this.owner()
    this.connection.inspect('countCache', tally.take(), 'cacheManager.resetStats')
    // Nobody's number is that of the whole cache.
    if (owner === 0 && this.scope.path !== '') return
    this.connection.inspect('resetCacheStats', String(owner), 'cacheManager.resetStats')
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
    this.scope.closed.in = this.connection.generation
  }

  /** @internal The options of a call over those of the namespace. */
  options<Options extends CacheOptions>(options: Options | undefined): Options | undefined {
    const { defaults } = this.scope
    // What are none are refused by whoever reads them.
    return defaults === undefined || !areOptions(options) ? options : merged(defaults, options)
  }

  /** @internal The family of a call, the namespace included. */
  family(options: CacheOptions | undefined, operation: string): string {
    const base = prefixOf(options, FAMILY, operation)
    return this.scope.path === '' ? base : `${base}:${this.scope.path}`
  }

  /** @internal */
  place(family: string, key: string, options: CacheOptions | undefined, operation: string): Place {
    const stale = isSet(options?.allowStale, false, 'options.allowStale', operation) ? FLAG_STALE : 0
    return { family, key, flags: flagsOf(options, operation) + stale + this.owner() * FLAG_OWNER }
  }

  /** @internal How answers are read, and who keeps their texts. */
  reader(decoder: number, keeper: HotTable | null, options: CacheOptions | undefined, operation: string): Reader {
    return { decoder, serializer: serializerOf(options, operation), keeper }
  }

  /** @internal The texts at hand, where the options let them answer. */
  hot(family: string, options: CacheOptions | undefined): HotTable | null {
    if (options !== undefined) {
      const { skipL1, l1Only, requireRedis, serializer, allowStale } = options
      const isPlain = serializer === undefined || serializer === 'json'
      if (!isPlain || skipL1 || l1Only || requireRedis || allowStale) return null
    }
    const hot = this.connection.hot('cacheManager.get')
    if (hot === null) return null
    if (this.tableIn === hot && this.tableFamily === family) return this.table
    this.table = hot.of(family)
    this.tableIn = hot
    this.tableFamily = family
    return this.table
  }

  /** @internal */
  reach(operation: string) {
    if (this.scope.closed.in === this.connection.generation) throw closed(operation)
    return this.connection.batch(operation)
  }

  /** @internal Whoever asks for a key from now on gets nothing that was loaded before. */
  forget(family: string, key: string): void {
    const name = flightKey(family, key)
    this.connection.flights.detach(name)
    this.connection.limits.forget(name)
    this.connection.hot('cacheManager.set')?.drop(family, key)
  }

  /** @internal What this manager adds to. */
  counts(): Counts {
    const owner = this.owner()
    return (this.own ??= this.connection.tally.of(owner))
  }

  /** The number under which the native side counts; an instance that was opened afresh counts anew. */
  private owner(): number {
    const { scope, connection } = this
    if (this.ownIn === connection.generation) return scope.owner
    this.ownIn = connection.generation
    this.own = null
    if (scope.path !== '') {
      scope.owner = connection.inspect<number>('namespace', this.countedAs(), 'cacheManager.namespace')
    }
    return scope.owner
  }

  /** @internal What is made of a text at hand. */
  served(hot: HotEntry, options: CacheOptions | undefined): unknown {
    this.counts().hit()
    if (options?.shared !== true) return hot.format === FORMAT_JSON ? JSON.parse(hot.text) : hot.text
    if (hot.shared === undefined) hot.share(hot.format === FORMAT_JSON ? frozen(JSON.parse(hot.text)) : hot.text)
    return hot.shared
  }

  private countedAs(): string {
    const { path, defaults } = this.scope
    const names = path.split(NAMESPACE_END).slice(0, -1)
    // A colon stands before each but the first.
    const inner = names.map((name, index) => name.slice(index === 0 ? 0 : 1).replaceAll(NAMESPACE_COLON, ':'))
    return countedName([defaults?.prefix ?? FAMILY, ...inner])
  }

  /** @internal The lifetime of what says nothing of its own. */
  defaultMs(operation: string): number {
    return this.connection.view(operation).defaultTtl * 1000
  }

  /** @internal The markers of what is stored: those of its tags, of its namespace and of those around it. */
  names(family: string, tags: readonly string[]): readonly string[] {
    const { path } = this.scope
    if (path === '') return tags.length === 0 ? tags : tags.map(tagName)
    const base = family.slice(0, -path.length - 1)
    const around = [...path.matchAll(EACH_END)].map(({ index }) => namespaceName(base, path.slice(0, index + 1)))
    return [...tags.map(tagName), ...around]
  }

  private remove(
    send: typeof deleteEntry,
    key: string,
    options: CacheOptions | undefined,
    operation: string,
  ): Promise<boolean> {
    try {
      const all = this.options(options)
      const family = this.family(all, operation)
      checkKey(key, 'key', operation)
      const batch = this.reach(operation)
      this.forget(family, key)
      const answer = send(batch, this.place(family, key, all, operation), operation)
      return answered(answer, all, operation) as Promise<boolean>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }
}
