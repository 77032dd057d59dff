// Values that survive an outage: kept by Redis, by memory while Redis is away, and replayed on return.
// A text is stored as it is and comes back as the same text; everything else is JSON and comes back as
// what it was. The keys are a family of their own, apart from the cache's.

import type { Connection } from '../connection.js'
import { NO_EXPIRY, lifetimeMs, type Duration } from '../durations.js'
import {
  NO_TAGS,
  deleteEntry,
  flightKey,
  getEntry,
  hasEntry,
  plainTerms,
  setEntry,
  type Place,
  type Written,
} from '../entries.js'
import { closed, describe, invalid } from '../errors.js'
import type { HoldfastEventName, HoldfastListener } from '../events.js'
import { FLAG_UNCOUNTED, FORMAT_JSON, FORMAT_TEXT, encodeResync } from '../generated/operations.js'
import { DECODE_FOUND, DECODE_LENIENT, DECODE_RAW, DECODE_VALUE } from '../inbox.js'
import { loadThrough } from '../load.js'
import { UNCOUNTED } from '../tally.js'
import { checkKey } from '../keys.js'
import { SOFT_NULL } from '../slots.js'
import { exported, imported, type FallbackData, type LooseFallbackData, type NativeRows } from '../fallback-data.js'
import { toJson, toText } from '../values.js'

/** How memory stands in for Redis. */
export interface FallbackOptions {
  /** Whether what was written meanwhile is replayed by itself when Redis is back. Default: true. */
  enableAutoSync?: boolean | undefined
  /** Bound of the memory store, MB. Default: 100. */
  maxMemorySize?: number | undefined
  /** Seconds. Default: 30. Checked and without effect: the replay begins when Redis is back, not at intervals. */
  syncInterval?: number | undefined
  /**
   * Keeping the journal on disk. Needs `fallback.journalPath` or `REDIS_FALLBACK_JOURNAL_PATH`, which alone do
   * the same. Default: false.
   */
  persistentFallback?: boolean | undefined
}

/** How memory and the journal stand. */
export interface FallbackStats {
  /** Whether memory answers instead of Redis. */
  isUsingFallback: boolean
  /** MB. */
  memoryUsage: number
  /** Entries in memory. */
  totalKeys: number
  syncStatus: 'synced' | 'syncing' | 'failed' | 'never'
  /** ms since 1970. */
  lastSyncTime?: number
  redisAvailable: boolean
  /** Whether `forceFallbackMode(true)` holds. */
  forced: boolean
  /** Writes that wait for the replay. */
  journalDepth: number
  journalBytes: number
  /**
   * Writes that the last re-sync did not make: a value that something else wrote stood there, or the key was
   * absent and nobody can tell whether it was deleted, or the server refused them for good.
   */
  conflicts: number
  /** Writes that the full journal could not keep. */
  dropped: number
  /** Deletes that the full journal collapsed into an invalidation of their family. */
  collapsed: number
  /** Writes that the last re-sync made, and those that something newer had settled. */
  replayed: number
  superseded: number
  /** How long the oldest write has waited for the replay, ms. */
  journalOldestMs?: number
  /** How long the last re-sync took, ms. */
  lastSyncDurationMs?: number
  /** Whether the journal is kept on disk, and what keeps it from there. */
  journalOnDisk: boolean
  journalProblem?: string
  /** Writes that were taken over from processes that are gone, and bytes of their files that were no whole record. */
  adopted: number
  tornBytes: number
  /** Operations on their way to Redis now, their bytes, and those that were refused with `E_OVERLOADED` so far. */
  inFlight: number
  inFlightBytes: number
  overloaded: number
}

/** The names of `on` and `off`: three short ones, and those of the instance. */
export type FallbackEventName = 'fallback:activated' | 'redis:connected' | 'redis:disconnected' | HoldfastEventName

const ALIASES: Readonly<Record<string, string>> = {
  'fallback:activated': 'backend-degraded',
  'redis:connected': 'backend-connected',
  'redis:disconnected': 'backend-disconnected',
}

const FAMILY = 'fallback'
const READER = { decoder: DECODE_VALUE + DECODE_LENIENT }
const LOADER = { decoder: DECODE_FOUND + DECODE_LENIENT }
const MEGABYTE = 1024 * 1024

/**
 * The fallback manager. No call rejects because Redis is down. Wrong arguments reject with `E_INVALID`,
 * calls after a shutdown with `E_CLOSED`, and with `journalSync: 'always'` writes that its disk does not take
 * with `E_FULL`.
 */
export class FallbackManager {
  private readonly connection: Connection
  private closedIn = -1

  /** @internal */
  constructor(connection: Connection) {
    this.connection = connection
  }

  /** The value, of the type that was set, or null. `ttlSeconds` is checked and does not change a lifetime. */
  async get<T = unknown>(key: string, ttlSeconds?: Duration): Promise<T | null> {
    const operation = 'fallbackManager.get'
    checkKey(key, 'key', operation)
    lifetimeMs(ttlSeconds, NO_EXPIRY, 'ttlSeconds', operation)
    return (await getEntry(this.reach(operation), READER, place(FAMILY, key), operation)) as T | null
  }

  /**
   * Stores a text or what JSON can hold. `ttlSeconds`: seconds or `'1h'`; without it, or 0, the value never
   * expires. True when Redis or memory has it.
   */
  async set<T>(key: string, value: T, ttlSeconds?: Duration): Promise<boolean> {
    const operation = 'fallbackManager.set'
    checkKey(key, 'key', operation)
    const encoded = written(value, 'value', operation)
    const ttlMs = lifetimeMs(ttlSeconds, NO_EXPIRY, 'ttlSeconds', operation)
    return (await this.write(key, encoded, ttlMs, operation)) as boolean
  }

  /** Removes a key. True when there was something. */
  async delete(key: string): Promise<boolean> {
    const operation = 'fallbackManager.delete'
    checkKey(key, 'key', operation)
    const batch = this.reach(operation)
    this.connection.flights.detach(flightKey(FAMILY, key))
    return (await deleteEntry(batch, place(FAMILY, key), operation)) as boolean
  }

  /** Whether the key holds a value. */
  async exists(key: string): Promise<boolean> {
    const operation = 'fallbackManager.exists'
    checkKey(key, 'key', operation)
    return (await hasEntry(this.reach(operation), place(FAMILY, key), operation)) as boolean
  }

  /** The values of keys in order, null for a miss; one trip for all. */
  async mget<T = unknown>(keys: readonly string[]): Promise<(T | null)[]> {
    const operation = 'fallbackManager.mget'
    if (!Array.isArray(keys)) throw invalid('keys', `keys is ${describe(keys)}; allowed: an array of keys`, operation)
    keys.forEach((key, index) => checkKey(key, `keys[${index}]`, operation))
    const batch = this.reach(operation)
    const answers = keys.map((key: string) => getEntry(batch, READER, place(FAMILY, key), operation))
    return (await Promise.all(answers)) as (T | null)[]
  }

  /** Stores several values; one trip for all, not a transaction. True when every one is kept. */
  async mset(record: Readonly<Record<string, unknown>>, ttlSeconds?: Duration): Promise<boolean> {
    const operation = 'fallbackManager.mset'
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      throw invalid('record', `record is ${describe(record)}; allowed: an object of values by key`, operation)
    }
    const ttlMs = lifetimeMs(ttlSeconds, NO_EXPIRY, 'ttlSeconds', operation)
    // Everything is checked before anything is sent.
    const writes = Object.entries(record).map(([key, value]) => {
      checkKey(key, 'key', operation)
      return { key, encoded: written(value, `record[${JSON.stringify(key)}]`, operation) }
    })
    this.reach(operation)
    const kept = await Promise.all(
      writes.map(({ key, encoded }) => this.write(key, encoded, ttlMs, operation)),
    )
    return kept.every((one) => one === true)
  }

  /** Replays what was written while Redis was away. Resolves when that is done or has failed: see `syncStatus`. */
  async syncWithRedis(): Promise<void> {
    const operation = 'fallbackManager.syncWithRedis'
    const batch = this.reach(operation)
    const slot = batch.begin(DECODE_RAW, SOFT_NULL, operation, 0)
    encodeResync(batch.outbox, slot.id)
    await batch.commit(slot)
  }

  /** A copy of how memory and the journal stand. */
  getStats(): FallbackStats {
    const { memoryBytes, ...stats } = this.connection.inspect<NativeFallbackStats>(
      'fallback',
      '',
      'fallbackManager.getStats',
    )
    return { ...stats, memoryUsage: memoryBytes / MEGABYTE }
  }

  /** Forgets this manager's values in memory. What Redis holds stays. */
  clearFallbackData(): void {
    for (const family of [FAMILY, MEMOIZED])
      this.connection.inspect('clearMemory', family, 'fallbackManager.clearFallbackData')
  }

  /** The keys of this manager that are in memory. */
  getFallbackKeys(): string[] {
    return this.connection.inspect<string[]>('memoryKeys', FAMILY, 'fallbackManager.getFallbackKeys')
  }

  /** What memory and the journal hold, as plain data: `JSON.stringify` keeps all of it. */
  exportFallbackData(): FallbackData {
    return exported(this.connection.inspect<NativeRows>('exportFallback', '', 'fallbackManager.exportFallbackData'))
  }

  /**
   * Puts exported data in the place of the copies in memory. Writes that had not reached Redis go into the
   * journal, with their old place in the order of writes. Takes also `{ key: { value, expiry?, timestamp? } }`.
   * Throws `E_INVALID` with the path of what is wrong, and changes nothing then.
   */
  importFallbackData(data: FallbackData | LooseFallbackData): void {
    const operation = 'fallbackManager.importFallbackData'
    const rows = imported(data, FAMILY, operation)
    this.connection.inspect('importFallback', JSON.stringify(rows), operation)
  }

  /** true: memory alone answers, even when Redis is up, until false. Takes effect before this returns. */
  async forceFallbackMode(enabled: boolean): Promise<void> {
    const operation = 'fallbackManager.forceFallbackMode'
    if (typeof enabled !== 'boolean') {
      throw invalid('enabled', `enabled is ${describe(enabled)}; allowed: true or false`, operation)
    }
    this.connection.inspect('force', String(enabled), operation)
  }

  /** Adds a listener; it never holds the process open. Unknown names throw `E_INVALID`. */
  on(event: 'fallback:activated' | 'redis:connected' | 'redis:disconnected', listener: () => void): void
  on<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void
  on(event: string, listener: unknown): void {
    this.connection.on(ALIASES[event] ?? event, listener, 'fallbackManager.on')
  }

  /** Removes a listener. */
  off(event: 'fallback:activated' | 'redis:connected' | 'redis:disconnected', listener: () => void): void
  off<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void
  off(event: string, listener: unknown): void {
    this.connection.off(ALIASES[event] ?? event, listener, 'fallbackManager.off')
  }

  /** Replays what waits, if Redis is there, and refuses every later call of this manager with `E_CLOSED`. Never rejects. */
  async shutdown(): Promise<void> {
    if (this.closedIn === this.connection.generation || this.connection.closed) return
    const { generation } = this.connection
    try {
      if (this.connection.isOpen && this.getStats().journalDepth > 0) await this.syncWithRedis()
    } catch {
      // What could not be replayed stays in the journal, which the process keeps.
    }
    this.closedIn = generation
  }

  /** @internal The value, or what the factory makes of its absence. */
  load<T>(family: string, key: string, factory: () => T | Promise<T>, ttlMs: number, operation: string): Promise<T> {
    this.reach(operation)
    return loadThrough<T>(this.connection, {
      place: place(family, key),
      counts: this.connection.tally.of(UNCOUNTED),
      reader: LOADER,
      ttlMs,
      jitterMs: 0,
      graceMs: 0,
      graceBackoffMs: 0,
      softTimeoutMs: null,
      hardTimeoutMs: null,
      lockTimeoutMs: null,
      eagerRefresh: null,
      forceFresh: false,
      tags: NO_TAGS,
      namesOf: () => NO_TAGS,
      load: factory,
      write: (value) => written(value, 'value', operation),
      operation,
    })
  }

  private write(key: string, encoded: Written, ttlMs: number, operation: string): Promise<unknown> {
    const batch = this.reach(operation)
    this.connection.flights.detach(flightKey(FAMILY, key))
    this.connection.limits.forget(flightKey(FAMILY, key))
    return setEntry(batch, place(FAMILY, key), encoded, plainTerms(ttlMs), operation)
  }

  private reach(operation: string) {
    if (this.closedIn === this.connection.generation) throw closed(operation)
    return this.connection.batch(operation)
  }
}

const MEMOIZED = 'memoized'

interface NativeFallbackStats extends Omit<FallbackStats, 'memoryUsage'> {
  memoryBytes: number
}

/** Not counted among the cache's. */
function place(family: string, key: string): Place {
  return { family, key, flags: FLAG_UNCOUNTED }
}

function written(value: unknown, path: string, operation: string): Written {
  return typeof value === 'string'
    ? { data: toText(value, path, operation), format: FORMAT_TEXT }
    : { data: toJson(value, path, operation), format: FORMAT_JSON }
}
