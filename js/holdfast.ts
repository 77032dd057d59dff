// One instance with everything it offers, under the names that the package exports for the shared one.

import { Connection } from './connection.js'
import type { HoldfastEventName, HoldfastListener } from './events.js'
import { aiCacheOf, type AICache } from './managers/ai-cache.js'
import type { CacheStats } from './cache-stats.js'
import { CacheManager, type CacheInfo } from './managers/cache.js'
import { RedisClient, type RedisHealth } from './managers/client.js'
import { fallbackCacheOf, type MemoizingCache } from './managers/fallback-cache.js'
import { FallbackManager, type FallbackStats } from './managers/fallback.js'
import type { LimitedRequest, RateLimitOptions, RouteLimiter } from './limits/http.js'
import { RateLimitManager, type RateLimitStats, type RateLimiters } from './limits/presets.js'
import { PubSubManager, type ChannelStats, type PubSubManagerOptions } from './messages/manager.js'
import type { PublishOptions } from './messages/message.js'
import { realTimeOf, type RealTime } from './messages/realtime.js'
import { eventStream, type EventStreamOptions, type EventStreamRequest } from './messages/sse.js'
import type { MessageHandler } from './messages/subscription.js'
import type { HoldfastOptions } from './options.js'
import { guestSessionsOf, type GuestSessions } from './sessions/guests.js'
import { SessionManager, type SessionData, type SessionStats } from './sessions/manager.js'
import type { SessionFields, SessionManagerOptions } from './sessions/options.js'
import {
  initialize,
  shutdown,
  status,
  type InitializeOptions,
  type InitializeResult,
  type SystemStatus,
} from './system.js'

/**
 * An instance: a connection, a memory store and the managers over them. Instances with the same settings
 * share their connection and memory within the process. Functions are bound, so they can be taken apart.
 */
export class Holdfast {
  /** @internal */
  readonly connection: Connection
  /** Raw commands and the state of the connection. */
  readonly redisClient: RedisClient
  /** The cache. */
  readonly cacheManager: CacheManager
  /** Cached answers of models, and conversations. */
  readonly AICacheManager: AICache
  /** Values that survive an outage. */
  readonly fallbackManager: FallbackManager
  /** Results of functions that survive an outage. */
  readonly FallbackCache: MemoizingCache
  /** Sessions. */
  readonly sessionManager: SessionManager
  /** Sessions of guests. */
  readonly GuestSessionManager: GuestSessions
  /** Messages between processes. */
  readonly pubSubManager: PubSubManager
  /** What chat apps tell each other at once. */
  readonly RealTimeManager: RealTime
  /** Listens to a channel; see `pubSubManager.subscribe`. */
  readonly subscribe: PubSubManager['subscribe']
  /** The limiters that are ready to use. */
  readonly rateLimiters: RateLimiters
  private readonly limits: RateLimitManager

  /** @internal */
  constructor(options: HoldfastOptions) {
    this.connection = new Connection(options)
    this.redisClient = new RedisClient(this.connection)
    this.cacheManager = new CacheManager(this.connection, this.redisClient)
    this.AICacheManager = aiCacheOf(this.cacheManager)
    this.fallbackManager = new FallbackManager(this.connection)
    this.FallbackCache = fallbackCacheOf(this.fallbackManager)
    this.sessionManager = new SessionManager(this.connection)
    this.GuestSessionManager = guestSessionsOf(this.sessionManager)
    this.pubSubManager = new PubSubManager(this.connection)
    this.RealTimeManager = realTimeOf(this.pubSubManager)
    this.subscribe = this.pubSubManager.subscribe.bind(this.pubSubManager)
    this.limits = new RateLimitManager(this.connection)
    this.rateLimiters = this.limits.rateLimiters
  }

  /** Whether Redis answers now; see `redisClient.isAvailable`. */
  readonly isRedisAvailable = (): boolean => this.redisClient.isAvailable()
  /** How the server is. Never rejects. */
  readonly getRedisHealth = (): Promise<RedisHealth> => this.redisClient.healthCheck()
  /** Removes everything of the cache family; see `cacheManager.clear`. */
  readonly clearAllCache = (): Promise<void> => this.cacheManager.clear()
  /** The cache's counts. */
  readonly getCacheStats = (): CacheStats => this.cacheManager.getStats()
  /** What Redis and memory hold, with the cache's counts. */
  readonly getCacheInfo = (): Promise<CacheInfo> => this.cacheManager.getInfo()
  /** How memory and the journal stand. */
  readonly getFallbackStats = (): FallbackStats => this.fallbackManager.getStats()
  /** Replays what was written while Redis was away. */
  readonly syncWithRedis = (): Promise<void> => this.fallbackManager.syncWithRedis()
  /** Forgets the fallback manager's values in memory. */
  readonly clearFallback = (): void => this.fallbackManager.clearFallbackData()

  /** Makes a session manager with options of its own. Wrong ones throw `E_INVALID` at once; nothing connects. */
  readonly createSessionManager = (options: SessionManagerOptions): SessionManager => {
    const manager = new SessionManager(this.connection, options, 'createSessionManager')
    manager.decide()
    return manager
  }
  /** Makes a guest's session. Resolves to its id, which only its owner may know. */
  readonly createGuestSession = (data?: SessionFields, ttl?: number): Promise<string> =>
    this.GuestSessionManager.createGuestSession(data, ttl)
  /** A guest's session by its id; null: there is none. */
  readonly getGuestSession = (sessionId: string): Promise<SessionData | null> =>
    this.GuestSessionManager.getGuestSession(sessionId)
  /** How many sessions there are. */
  readonly getSessionStats = (): Promise<SessionStats> => this.sessionManager.getStats()

  /** Makes a manager of messages with options of its own. Wrong ones throw `E_INVALID` at once; nothing connects. */
  readonly createPubSubManager = (options: PubSubManagerOptions = {}): PubSubManager => {
    const manager = new PubSubManager(this.connection, options, 'createPubSubManager')
    manager.decide()
    return manager
  }
  /** Ends the subscriptions of a channel: all of them, or those of this handler. */
  readonly unsubscribe = (channel: string, handler?: MessageHandler<never>): Promise<void> =>
    this.pubSubManager.unsubscribe(channel, handler)
  /** Publishes a message; see `pubSubManager.publish`. */
  readonly publish = (channel: string, data: unknown, options?: PublishOptions): Promise<boolean> =>
    this.pubSubManager.publish(channel, data, options)
  /** How channels stand in this process. */
  readonly getChannelStats = (channel?: string): ChannelStats[] => this.pubSubManager.getChannelStats(channel)
  /** What comes on channels as server-sent events: a Response for a route handler, until the client goes. */
  readonly createEventStream = (
    request: EventStreamRequest,
    channels: string | readonly string[],
    options: EventStreamOptions = {},
  ): Response => eventStream(this.pubSubManager, request, channels, options, 'createEventStream')

  /** Limits a request: 200 with the headers, 429, or 503. */
  readonly rateLimit = <Incoming extends LimitedRequest>(
    request: Incoming,
    options?: RateLimitOptions<Incoming>,
  ): Promise<Response> => this.limits.limit(request, options)
  /** Makes a limiter: for routes, and for anything else that has a key. Nothing connects before it is asked. */
  readonly createRateLimiter = <Incoming extends LimitedRequest = LimitedRequest>(
    options: RateLimitOptions<Incoming>,
  ): RouteLimiter<Incoming> => this.limits.create(options)
  /** Limits a request by its path. */
  readonly applyRateLimit = (request: LimitedRequest): Promise<Response> => this.limits.apply(request)
  /** Who decides now. */
  readonly getRateLimitBackend = (): 'redis' | 'memory' => this.limits.backend()
  /** How a key stands, by default at the default limiter; null: nothing counts. */
  readonly getRateLimitStats = (
    key: string,
    limiter?: Pick<RouteLimiter, 'status'>,
  ): Promise<RateLimitStats | null> => this.limits.stats(key, limiter)

  /**
   * Opens, and waits until it is known whether Redis answers. Never rejects over a server, only over wrong
   * options (`E_INVALID`). Again with the same options it is a no-op; with others, or after a shutdown, it
   * opens afresh.
   */
  readonly initializeRedisSystem = (options?: InitializeOptions): Promise<InitializeResult> => initialize(this, options)
  /** Lets what is in flight finish and closes everything. Never rejects. */
  readonly shutdownRedisSystem = (): Promise<void> => shutdown(this)
  /** How every part is. Never rejects. */
  readonly getSystemStatus = (): Promise<SystemStatus> => status(this)

  /** Adds a listener; it never holds the process open. Unknown names throw `E_INVALID`. */
  on<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void {
    this.connection.on(event, listener, 'holdfast.on')
  }

  /** Removes a listener. */
  off<Name extends HoldfastEventName>(event: Name, listener: HoldfastListener<Name>): void {
    this.connection.off(event, listener, 'holdfast.off')
  }

  /** Lets what is in flight finish and closes; later calls get `E_CLOSED`. Again, it does nothing. */
  async close(): Promise<void> {
    await this.shutdownRedisSystem()
  }

  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * An instance of its own, beside the shared one. Settings are checked at once (`E_INVALID` names the
 * field or the variable); nothing connects before the first call.
 */
export function createHoldfast(options: HoldfastOptions = {}): Holdfast {
  const instance = new Holdfast(options)
  instance.connection.view('createHoldfast')
  return instance
}
