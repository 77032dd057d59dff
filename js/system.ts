// The system as a whole: opened, closed, and asked how it is. Parts that don't exist yet say so.

import { flag, named } from './checks.js'
import { describe, invalid } from './errors.js'
import type { Holdfast } from './holdfast.js'
import { noStats, type CacheStats } from './cache-stats.js'
import type { RedisHealth } from './managers/client.js'
import type { FallbackOptions, FallbackStats } from './managers/fallback.js'
import type { ChannelStats } from './messages/manager.js'
import type { FallbackSettings } from './options.js'
import { noSessions, type SessionStats } from './sessions/manager.js'

/** A part of the system that this version does not have. */
export type AbsentPart = 'healthMonitoring'

/** Options of `initializeRedisSystem`. */
export interface InitializeOptions {
  /** Default: true. Accepted; see `absent` of the result. */
  enableHealthMonitoring?: boolean | undefined
  /** ms. Default: 30000. Accepted; see `absent` of the result. */
  healthCheckInterval?: number | undefined
  /** Whether memory answers while Redis doesn't. Default: true, or what the environment says. */
  enableFallback?: boolean | undefined
  /** How it does. */
  fallbackOptions?: FallbackOptions | undefined
}

/** Which parts are at work. */
export interface SystemComponents {
  redis: boolean
  cache: boolean
  sessions: boolean
  pubsub: boolean
  fallback: boolean
}

/** What `initializeRedisSystem` answers. */
export interface InitializeResult {
  /** Whether at least one part is at work. */
  success: boolean
  components: SystemComponents
  /** Counts the parts at work. */
  message: string
  /** The parts that this version does not have. */
  absent: AbsentPart[]
}

/** What `getSystemStatus` answers. */
export interface SystemStatus {
  redis: { available: boolean; status?: RedisHealth }
  cache: { backend: CacheStats['backend']; stats: CacheStats }
  sessions: { backend: SessionStats['backend']; stats: SessionStats }
  /** The channels and patterns with subscribers in this process, and how all channels stand here. */
  pubsub: { channels: number; stats: ChannelStats[] }
  fallback: { active: boolean; stats: FallbackStats }
  /** Redis down with memory answering is `degraded`, without it `unhealthy`; else how Redis is. Memory for good is `healthy`. */
  overall: 'healthy' | 'degraded' | 'unhealthy'
  /** The parts that this version does not have. */
  absent: AbsentPart[]
}

const PARTS = 5
const absent = (): AbsentPart[] => ['healthMonitoring']

/** @internal */
export async function initialize(instance: Holdfast, options: InitializeOptions = {}): Promise<InitializeResult> {
  const operation = 'initializeRedisSystem'
  const { connection, redisClient } = instance
  connection.reopen(settingsOf(options, connection.journalPath, operation), operation)
  const redis = await redisClient.verdict(operation).catch(() => false)
  const { memoryOnly, fallbackEnabled } = connection.view(operation)
  const fallback = memoryOnly || fallbackEnabled
  const components = { redis, cache: redis || fallback, sessions: redis || fallback, pubsub: redis || fallback, fallback }
  const active = Object.values(components).filter(Boolean).length
  const without = redis
    ? ''
    : memoryOnly
      ? ', in memory'
      : fallback
        ? ', memory answers until Redis does'
        : ', Redis does not answer'
  return {
    success: active > 0,
    components,
    message: `Redis system: ${active} of ${PARTS} components active${without}`,
    absent: absent(),
  }
}

/** @internal */
export async function shutdown(instance: Holdfast): Promise<void> {
  await instance.fallbackManager.shutdown()
  await instance.cacheManager.shutdown()
  await instance.sessionManager.shutdown()
  await instance.pubSubManager.shutdown()
  await instance.redisClient.shutdown()
}

/** @internal */
export async function status(instance: Holdfast): Promise<SystemStatus> {
  try {
    const { memoryOnly } = instance.connection.view('getSystemStatus')
    const health = await instance.redisClient.healthCheck()
    const available = health.details.connected
    const cache = instance.cacheManager.getStats()
    const fallback = instance.fallbackManager.getStats()
    const active = fallback.isUsingFallback
    const sessions = await instance.sessionManager.getStats()
    return {
      redis: { available, status: health },
      cache: { backend: cache.backend, stats: cache },
      sessions: { backend: sessions.backend, stats: sessions },
      pubsub: { channels: instance.pubSubManager.getActiveChannels().length, stats: instance.getChannelStats() },
      fallback: { active, stats: fallback },
      overall: available ? health.status : memoryOnly ? 'healthy' : active ? 'degraded' : 'unhealthy',
      absent: absent(),
    }
  } catch {
    return nothing()
  }
}

/** The answer when nothing can be asked: closed, or settings that can't be opened. */
function nothing(): SystemStatus {
  const backend = 'memory'
  return {
    redis: { available: false },
    cache: { backend, stats: noStats(backend) },
    sessions: { backend, stats: noSessions(backend) },
    pubsub: { channels: 0, stats: [] },
    fallback: {
      active: false,
      stats: {
        isUsingFallback: false,
        memoryUsage: 0,
        totalKeys: 0,
        syncStatus: 'never',
        redisAvailable: false,
        forced: false,
        journalDepth: 0,
        journalBytes: 0,
        conflicts: 0,
        dropped: 0,
        collapsed: 0,
        replayed: 0,
        superseded: 0,
        journalOnDisk: false,
        adopted: 0,
        tornBytes: 0,
        inFlight: 0,
        inFlightBytes: 0,
        overloaded: 0,
      },
    },
    overall: 'unhealthy',
    absent: absent(),
  }
}

/** The options as settings of the connection. `journalPath` is where it keeps its journal, if it does. */
function settingsOf(options: InitializeOptions, journalPath: string, operation: string): FallbackSettings {
  const given = named(
    options,
    'options',
    ['enableHealthMonitoring', 'healthCheckInterval', 'enableFallback', 'fallbackOptions'],
    operation,
  )
  flag(given['enableHealthMonitoring'], 'options.enableHealthMonitoring', operation)
  positive(given['healthCheckInterval'], 'options.healthCheckInterval', operation)
  const enabled = flag(given['enableFallback'], 'options.enableFallback', operation)
  const path = 'options.fallbackOptions'
  const fallback = named(
    given['fallbackOptions'] ?? {},
    path,
    ['enableAutoSync', 'maxMemorySize', 'syncInterval', 'persistentFallback'],
    operation,
  )
  const autoSync = flag(fallback['enableAutoSync'], `${path}.enableAutoSync`, operation)
  const maxMemoryMb = megabytes(fallback['maxMemorySize'], `${path}.maxMemorySize`, operation)
  positive(fallback['syncInterval'], `${path}.syncInterval`, operation)
  const persistent = flag(fallback['persistentFallback'], `${path}.persistentFallback`, operation)
  if (persistent === true && journalPath === '') {
    throw invalid(
      `${path}.persistentFallback`,
      `${path}.persistentFallback is true, and nothing says where the journal is kept; set fallback.journalPath or REDIS_FALLBACK_JOURNAL_PATH`,
      operation,
    )
  }
  return {
    ...(enabled === undefined ? {} : { enabled }),
    ...(autoSync === undefined ? {} : { autoSync }),
    ...(maxMemoryMb === undefined ? {} : { maxMemoryMb }),
  }
}

function megabytes(value: unknown, path: string, operation: string): number | undefined {
  if (value === undefined || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1_048_576))
    return value as number | undefined
  throw invalid(path, `${path} is ${describe(value)}; allowed: a whole number from 1 to 1048576 MB`, operation)
}

function positive(value: unknown, path: string, operation: string): number | undefined {
  if (value === undefined || (typeof value === 'number' && Number.isFinite(value) && value > 0)) return value
  throw invalid(path, `${path} is ${describe(value)}; allowed: a number above 0`, operation)
}
