// The settings of an instance, and how they cross. Checking them is the native side's, in one place for
// options and environment: it names the option or the variable, what was given and what is allowed.

import { describe, invalid } from './errors.js'
import { toJson } from './values.js'

/** How a TLS connection is checked. */
export interface TlsOptions {
  /** A PEM file with roots that are trusted besides the usual ones. */
  caFile?: string | undefined
  /** The name that the certificate must carry. Default: the host. */
  serverName?: string | undefined
}

/** What memory does while Redis doesn't answer. */
export interface FallbackSettings {
  /** Whether memory answers then. Default: true (`REDIS_FALLBACK_ENABLED`). */
  enabled?: boolean | undefined
  /** Bound of the memory store in MB of 1,048,576 bytes. Default: 100 (`REDIS_FALLBACK_MAX_MEMORY`). */
  maxMemoryMb?: number | undefined
  /** Whether the journal is replayed by itself when Redis is back. Default: true. */
  autoSync?: boolean | undefined
  /** How a replayed write meets what Redis holds by then. Default: `'newest'`. */
  syncMode?: 'newest' | 'overwrite' | 'if-absent' | 'off' | undefined
  /**
   * What becomes of a journalled set that finds its key absent where nobody can tell whether it was deleted
   * meanwhile: dropped and counted as a conflict, or written. Default: `'drop'`.
   */
  uncertain?: 'drop' | 'write' | undefined
  /** How long a value that was read before the outage answers in it: seconds, or a text. Default: 3600. */
  maxStaleDegraded?: number | string | undefined
  /**
   * What becomes of raw commands that change a counter, hash, set or list in a way that merges (`INCR`, `DECR`,
   * `INCRBY`, `DECRBY`, `HSET`, `HDEL`, `SADD`, `SREM`, `LPUSH`, `RPUSH`). `'merge'`: each has an id and is carried out
   * once, and in an outage memory answers and the journal keeps them. Default: `'refuse'`, which leaves all raw
   * commands to Redis alone.
   */
  rawChanges?: 'refuse' | 'merge' | undefined
  /** Bound of the journal in MB of 1,048,576 bytes. Default: 256 (`REDIS_FALLBACK_JOURNAL_MAX_MEMORY`). */
  maxJournalMb?: number | undefined
  /** A directory in which the journal survives the process. Default: none (`REDIS_FALLBACK_JOURNAL_PATH`). */
  journalPath?: string | undefined
  /**
   * When a journalled write is safe on disk: before it is acknowledged, within a second, or whenever the
   * system likes. Default: `'everysec'` (`REDIS_FALLBACK_JOURNAL_SYNC`).
   */
  journalSync?: 'always' | 'everysec' | 'no' | undefined
}

/** When calls fail so often that memory had better answer: so many, and so large a part of all. */
export interface BreakerSettings {
  /** Default: 5. */
  failures?: number | undefined
  /** Default: 50. */
  percent?: number | undefined
  /** Default: 10000. */
  windowMs?: number | undefined
}

/**
 * Settings of `createHoldfast`. What is left out comes from the environment, then from the defaults.
 * A server that is named here is taken whole: no password or database of the environment goes with it.
 */
export interface HoldfastOptions {
  /** `redis://`, `rediss://`, or `memory:` for memory for good. Instead of `host` and `port`. Default: `REDIS_URL`. */
  url?: string | URL | undefined
  /** Default: localhost (`REDIS_HOST`). */
  host?: string | undefined
  /** Default: 6379 (`REDIS_PORT`). */
  port?: number | undefined
  /** ACL user. Default: the server's default user (`REDIS_USERNAME`). */
  username?: string | undefined
  /** Default: none (`REDIS_PASSWORD`). */
  password?: string | undefined
  /** Database number. Default: 0 (`REDIS_DB`). */
  db?: number | undefined
  /** Default: false, or what the URL says (`REDIS_TLS`). */
  tls?: boolean | TlsOptions | undefined
  /** In front of every key. Default: `ai-chatbot:` (`REDIS_KEY_PREFIX`). */
  keyPrefix?: string | undefined
  /** Deadline of a dial. Default: 10000 (`REDIS_CONNECTION_TIMEOUT`). */
  connectTimeoutMs?: number | undefined
  /** Deadline of each sending of a call. Default: 5000 (`REDIS_COMMAND_TIMEOUT`). */
  commandTimeoutMs?: number | undefined
  /** How long an owed reply may stay away with no byte moving before the server is probed. Default: 500. */
  silenceMs?: number | undefined
  /** Retries of an idempotent call on a broken connection. Default: 3 (`REDIS_MAX_RETRIES`). */
  maxRetries?: number | undefined
  /** Connections, 1 to 64, opened on demand. Default: 5 (`REDIS_POOL_SIZE`). */
  poolSize?: number | undefined
  /**
   * How many processes of this app there are: while one is alone, it lets through its share of a rate limit. Default: 1,
   * with a warning when it first matters (`HOLDFAST_INSTANCES`).
   */
  instances?: number | undefined
  /** What memory does while Redis doesn't answer. */
  fallback?: FallbackSettings | undefined
  /** Operations that may be on their way at once; more are refused with `E_OVERLOADED`. Default: 50000 (`REDIS_MAX_IN_FLIGHT`). */
  maxInFlight?: number | undefined
  /** Bytes that they may hold together. Default: 256 MB (`REDIS_MAX_IN_FLIGHT_BYTES`). */
  maxInFlightBytes?: number | undefined
  /** When failing calls make the server count as away. `false`: never. */
  breaker?: boolean | BreakerSettings | undefined
  /** Whether live writes compare stamps too, for servers where `CLIENT KILL` is denied. Default: false (`REDIS_FENCED_WRITES`). */
  fencedWrites?: boolean | undefined
  /**
   * Whether copies in this process answer while Redis is well, and how they learn of changes: `'tracking'` (the
   * server tells), `'bus'` (processes tell each other), `'auto'` (the first where it is to be had), `'off'`.
   * Default: `'auto'` (`REDIS_NEAR_CACHE`).
   */
  nearCache?: 'auto' | 'tracking' | 'bus' | 'off' | boolean | undefined
  /** How long such a copy answers at most: seconds, or a text. Default: 600. */
  nearMaxAge?: number | string | undefined
  /** The largest value that is taken. Default: 64 MB. */
  maxValueBytes?: number | undefined
  /** Lifetime of a cache entry that names none: seconds, or a text such as `'1h'`. Default: 3600. */
  defaultTtl?: number | string | undefined
  /** How long a delete leaves its mark on the server: seconds, or a text. Default: 600. */
  tombstoneTtl?: number | string | undefined
  /** Takes the place of `process.env`. */
  env?: Readonly<Record<string, string | undefined>> | undefined
  /** Lets tests provoke failures. Default: false. */
  testHooks?: boolean | undefined
}

/** The decided settings, without secrets. */
export interface ConfigView {
  readonly memoryOnly: boolean
  /** Null: nobody said. */
  readonly instances: number | null
  readonly configured: boolean
  readonly fallbackEnabled: boolean
  readonly keyPrefix: string
  readonly maxValueBytes: number
  /** Seconds. */
  readonly defaultTtl: number
}

/** Variables that can matter; the others, and whatever secrets they hold, stay where they are. */
const VARIABLE = /^(?:REDIS_|USE_REDIS$|NEXT_PUBLIC_ENABLE_|NEXT_PHASE$|NODE_ENV$|HOLDFAST_INSTANCES$)/

/** Where the journal is kept on disk, as options and environment say it; '' for nowhere. */
export function journalPathOf({ fallback, env = process.env }: HoldfastOptions): string {
  return fallback?.journalPath || env['REDIS_FALLBACK_JOURNAL_PATH'] || ''
}

/** The settings as the native side takes them. Throws `E_INVALID` for what can't cross at all. */
export function configText(options: HoldfastOptions, fallback: FallbackSettings, operation: string): string {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid('options', `options is ${describe(options)}; allowed: an object`, operation)
  }
  const { env = process.env, ...rest } = options
  if (typeof env !== 'object' || env === null || Array.isArray(env)) {
    throw invalid('options.env', `options.env is ${describe(env)}; allowed: an object`, operation)
  }
  const own = rest.fallback
  const merged =
    typeof own === 'object' && own !== null
      ? { ...own, ...fallback }
      : Object.keys(fallback).length > 0
        ? fallback
        : own
  const variables: Record<string, string> = {}
  for (const name of Object.keys(env).sort()) {
    const value = env[name]
    if (value !== undefined && VARIABLE.test(name)) variables[name] = value
  }
  return `{"options":${toJson({ ...rest, fallback: merged }, 'options', operation)},"env":${toJson(variables, 'options.env', operation)}}`
}
