// The options of cache calls: what they mean, and what is no option.

import { checkSignal } from './abort.js'
import { LONGEST_MS, lifetimeMs, NO_EXPIRY, type Duration } from './durations.js'
import { NO_TAGS } from './entries.js'
import { describe, invalid, shown } from './errors.js'
import {
  FLAG_L1_ONLY,
  FLAG_NO_COMPRESS,
  FLAG_NO_MEMORY,
  FLAG_REQUIRE_REDIS,
  FLAG_SKIP_L1,
} from './generated/operations.js'
import { checkPrefix } from './keys.js'
import { checkSerializer, type Serializer } from './serializers.js'
import { checkTags } from './tags.js'

/** Options of a cache call. */
export interface CacheOptions {
  /**
   * Lifetime: seconds, or `'90s'`, `'5m'`, `'1h'`, `'7d'`; at most 100 years.
   * Default, also for 0: 3600 s (`REDIS_CACHE_DEFAULT_TTL`).
   */
  ttl?: Duration | undefined
  /** The value never expires. Not together with `ttl`. Default: false. */
  persist?: boolean | undefined
  /** A random time up to this is added to the lifetime, so that values don't end together. Default: none. */
  jitter?: Duration | undefined
  /** For how long the value is kept beyond its lifetime, to serve when its loader fails or is slow. Default: none. */
  grace?: Duration | undefined
  /** Names by which the value can be invalidated together with others; at most 64. Default: none. */
  tags?: readonly string[] | undefined
  /** The family of keys: the full key is `{keyPrefix}{prefix}:{key}`. Default: `'cache'`. */
  prefix?: string | undefined
  /** Whether a large value may be stored compressed. Default: true. */
  compress?: boolean | undefined
  /** How values are written; reading needs it only for one of your own. Default: `'json'`. */
  serializer?: Serializer | undefined
  /** Whether memory may answer and keep while Redis doesn't. Default: true. */
  fallbackToMemory?: boolean | undefined
  /** Fails with `E_UNAVAILABLE` unless Redis itself answers. Default: false. */
  requireRedis?: boolean | undefined
  /** Reads past the copies in this process, from Redis itself. Default: false. */
  skipL1?: boolean | undefined
  /** Uses nothing but this process' memory: Redis is neither asked nor told. Default: false. */
  l1Only?: boolean | undefined
  /** Reads also what is no longer fresh, where grace keeps it. Default: false. */
  allowStale?: boolean | undefined
  /** Answers a frozen object: of JSON the same for all who ask so, which spares its parsing. Default: false. */
  shared?: boolean | undefined
  /** Gives the call up. The error's `applied` tells whether it may have happened all the same. */
  signal?: AbortSignal | undefined
}

/** Options of a call that loads. */
export interface LoadOptions extends CacheOptions {
  /** For how long an old value serves after its loader failed, before it is tried again. Default: 30 s. */
  graceBackoff?: Duration | undefined
  /** After so many ms an old value serves while the loader goes on; 0: at once. Needs `grace`. Default: never. */
  softTimeoutMs?: number | undefined
  /** After so many ms the loader is told to stop and its callers wait no longer. Default: never. */
  hardTimeoutMs?: number | undefined
  /** After so many ms another process that loads the same key is not waited for. Default: never. */
  lockTimeoutMs?: number | undefined
  /** From this part of its freshness on (above 0, below 1) a value that is asked for is loaded anew beside. */
  eagerRefresh?: number | undefined
  /** Loads anew, whatever is cached. Default: false. */
  forceFresh?: boolean | undefined
}

/** How a value is kept. */
export interface Kept {
  readonly ttlMs: number
  readonly jitterMs: number
  readonly graceMs: number
  readonly tags: readonly string[]
}

const LONGEST_TIMEOUT_MS = 2_147_483_647
const GRACE_BACKOFF_MS = 30_000

/** Whether these may be options, so far as they are looked at as a whole; none are, too. */
export function areOptions(options: unknown): boolean {
  return options === undefined || (typeof options === 'object' && options !== null && !Array.isArray(options))
}

export function checkOptions(options: unknown, operation: string, path = 'options'): void {
  if (areOptions(options)) return
  const hint = typeof options === 'number' ? ', such as { ttl: 60 }' : ''
  throw invalid(path, `${path} is ${describe(options)}; allowed: an object${hint}`, operation)
}

/** Options that rule each other out. */
const OPPOSED = [
  ['persist', 'ttl'],
  ['l1Only', 'skipL1'],
  ['l1Only', 'requireRedis'],
] as const

/** The options of a call over those that it starts from. What is undefined says nothing. */
export function merged<Over extends LoadOptions>(under: LoadOptions | undefined, over: Over | undefined): Over | undefined {
  if (under === undefined || over === undefined) return over ?? (under as Over | undefined)
  const all: Record<string, unknown> = { ...under }
  for (const [one, other] of OPPOSED) {
    if (over[one]) delete all[other]
    if (over[other]) delete all[one]
  }
  for (const [name, value] of Object.entries(over)) if (value !== undefined) all[name] = value
  return all as Over
}

/** The family that the options name, with all that has to be right about every call. */
export function prefixOf(options: CacheOptions | undefined, otherwise: string, operation: string): string {
  if (options === undefined) return otherwise
  checkOptions(options, operation)
  checkSignal(options.signal, operation)
  if (options.prefix === undefined) return otherwise
  checkPrefix(options.prefix, 'options.prefix', operation)
  return options.prefix
}

export function flagsOf(options: CacheOptions | undefined, operation: string): number {
  if (options === undefined) return 0
  const { compress, fallbackToMemory, skipL1, l1Only, requireRedis, shared } = options
  isSet(shared, false, 'options.shared', operation)
  const only = isSet(l1Only, false, 'options.l1Only', operation)
  const required = isSet(requireRedis, false, 'options.requireRedis', operation)
  const skip = isSet(skipL1, false, 'options.skipL1', operation)
  if (only && (skip || required)) {
    const other = skip ? 'skipL1' : 'requireRedis'
    throw invalid(
      'options.l1Only',
      `options.l1Only is given together with options.${other}; allowed: one or the other`,
      operation,
    )
  }
  return (
    (isSet(compress, true, 'options.compress', operation) ? 0 : FLAG_NO_COMPRESS) |
    (isSet(fallbackToMemory, true, 'options.fallbackToMemory', operation) ? 0 : FLAG_NO_MEMORY) |
    (skip ? FLAG_SKIP_L1 : 0) |
    // A copy in this process is not Redis.
    (required ? FLAG_REQUIRE_REDIS | FLAG_SKIP_L1 : 0) |
    (only ? FLAG_L1_ONLY : 0)
  )
}

export function serializerOf(options: CacheOptions | undefined, operation: string): Serializer | undefined {
  const serializer = options?.serializer
  if (serializer !== undefined) checkSerializer(serializer, 'options.serializer', operation)
  return serializer
}

/** How long a value is to live. `defaultMs` is for calls that don't say. */
export function keptOf(options: CacheOptions | undefined, defaultMs: number, operation: string): Kept {
  checkOptions(options, operation)
  if (options === undefined) return { ttlMs: defaultMs, jitterMs: 0, graceMs: 0, tags: NO_TAGS }
  const { ttl, persist, jitter, grace, tags } = options
  const ttlMs = lifetimeOf(ttl, persist, defaultMs, operation)
  const jitterMs = jitter === undefined ? 0 : lifetimeMs(jitter, 0, 'options.jitter', operation)
  const graceMs = grace === undefined ? 0 : lifetimeMs(grace, 0, 'options.grace', operation)
  if (ttlMs + jitterMs + graceMs > LONGEST_MS) {
    const path = graceMs > 0 ? 'options.grace' : 'options.jitter'
    throw invalid(path, `${path} and the lifetime are over 100 years together; allowed: up to 100 years`, operation)
  }
  const names = tags === undefined ? NO_TAGS : checkTags(tags, 'options.tags', operation)
  return { ttlMs, jitterMs, graceMs, tags: names }
}

function lifetimeOf(ttl: unknown, persist: unknown, defaultMs: number, operation: string): number {
  if (isSet(persist, false, 'options.persist', operation)) {
    if (ttl === undefined || ttl === 0) return NO_EXPIRY
    throw invalid(
      'options.persist',
      'options.persist is given together with options.ttl; allowed: one or the other',
      operation,
    )
  }
  return lifetimeMs(ttl, defaultMs, 'options.ttl', operation)
}

/** What a load's options say about waiting. */
export interface Patience {
  readonly graceBackoffMs: number
  readonly softTimeoutMs: number | null
  readonly hardTimeoutMs: number | null
  readonly lockTimeoutMs: number | null
  readonly eagerRefresh: number | null
  readonly forceFresh: boolean
}

const PATIENT: Patience = {
  graceBackoffMs: GRACE_BACKOFF_MS,
  softTimeoutMs: null,
  hardTimeoutMs: null,
  lockTimeoutMs: null,
  eagerRefresh: null,
  forceFresh: false,
}

export function patienceOf(options: LoadOptions | undefined, operation: string): Patience {
  if (options === undefined) return PATIENT
  const { graceBackoff, softTimeoutMs, hardTimeoutMs, lockTimeoutMs, eagerRefresh, forceFresh } = options
  return {
    graceBackoffMs: lifetimeMs(graceBackoff, GRACE_BACKOFF_MS, 'options.graceBackoff', operation),
    softTimeoutMs: timeoutOf(softTimeoutMs, 0, 'options.softTimeoutMs', operation),
    hardTimeoutMs: timeoutOf(hardTimeoutMs, 1, 'options.hardTimeoutMs', operation),
    lockTimeoutMs: timeoutOf(lockTimeoutMs, 0, 'options.lockTimeoutMs', operation),
    eagerRefresh: fractionOf(eagerRefresh, operation),
    forceFresh: isSet(forceFresh, false, 'options.forceFresh', operation),
  }
}

function timeoutOf(given: unknown, least: number, path: string, operation: string): number | null {
  if (given === undefined) return null
  if (typeof given === 'number' && given >= least && given <= LONGEST_TIMEOUT_MS) return given
  throw invalid(path, `${path} is ${shown(given)}; allowed: ${least} to ${LONGEST_TIMEOUT_MS} ms`, operation)
}

function fractionOf(given: unknown, operation: string): number | null {
  if (given === undefined) return null
  if (typeof given === 'number' && given > 0 && given < 1) return given
  const path = 'options.eagerRefresh'
  throw invalid(path, `${path} is ${shown(given)}; allowed: a number above 0 and below 1`, operation)
}

export function isSet(value: unknown, otherwise: boolean, path: string, operation: string): boolean {
  if (value === undefined) return otherwise
  if (typeof value === 'boolean') return value
  throw invalid(path, `${path} is ${describe(value)}; allowed: true or false`, operation)
}
