// `holdfast`: everything. The shared instance is configured from the environment at its first use;
// importing connects nothing.

import { root } from './root.js'

/**
 * Opens the shared instance and waits until it is known whether Redis answers. Never rejects over a
 * server, only over wrong options or variables (`E_INVALID`) and a missing platform package
 * (`E_UNSUPPORTED`). Again with the same options it is a no-op; with others, or after a shutdown, it
 * opens afresh. Without it the first call opens.
 */
export const initializeRedisSystem = root.initializeRedisSystem

/** Lets what is in flight finish and closes the shared instance. Never rejects. */
export const shutdownRedisSystem = root.shutdownRedisSystem

/** How every part of the shared instance is. Never rejects. */
export const getSystemStatus = root.getSystemStatus

export { redisClient, isRedisAvailable, getRedisHealth } from './redis-client.js'
export { cacheManager, AICacheManager, clearAllCache, getCacheStats, getCacheInfo } from './cache-manager.js'
export { fallbackManager, FallbackCache, getFallbackStats, syncWithRedis, clearFallback } from './fallback-manager.js'
export {
  rateLimiters,
  rateLimit,
  createRateLimiter,
  applyRateLimit,
  getRateLimitBackend,
  getRateLimitStats,
} from './rate-limiter.js'
export {
  sessionManager,
  GuestSessionManager,
  createSessionManager,
  createGuestSession,
  getGuestSession,
  getSessionStats,
} from './session-manager.js'
export {
  pubSubManager,
  RealTimeManager,
  createPubSubManager,
  createEventStream,
  subscribe,
  unsubscribe,
  publish,
  getChannelStats,
} from './pubsub-manager.js'
export { createHoldfast } from './holdfast.js'
export { HoldfastError } from './errors.js'

export type {
  CommandArgument,
  PipelineCommand,
  RawClient,
  RedisClient,
  RedisConnectionState,
  RedisHealth,
} from './redis-client.js'
export type {
  AIConversationOptions,
  AIKeyOptions,
  AIParameters,
  AIPrompt,
  AIResponseOptions,
  AIScope,
  BatchOptions,
  CacheCounts,
  CacheEntry,
  CacheInfo,
  CacheItem,
  CacheManager,
  CacheOptions,
  CacheStats,
  CachedAIResponse,
  CachedEntry,
  CachedStream,
  CustomSerializer,
  Duration,
  EmbeddingEntry,
  EmbeddingOptions,
  LoadContext,
  LoadOptions,
  LoadMany,
  LoadedMany,
  Serializer,
  StaleEntry,
  StreamOptions,
  StreamSource,
  Vector,
  WarmEntries,
  WarmEntry,
  WarmOptions,
  WarmProgress,
  WarmResult,
} from './cache-manager.js'
export type {
  FallbackData,
  FallbackDataEntry,
  FallbackDataChange,
  FallbackDataRemoval,
  FallbackEventName,
  FallbackManager,
  FallbackOptions,
  FallbackStats,
  LooseFallbackData,
  MemoizeOptions,
} from './fallback-manager.js'
export type {
  AddressOptions,
  AddressPreset,
  AddressedRequest,
  CheckOptions,
  HeaderOptions,
  LimitedRequest,
  LimiterOptions,
  RateLimitAlgorithm,
  RateLimitCost,
  RateLimitEntry,
  RateLimitFailureMode,
  RateLimitOptions,
  RateLimitReason,
  RateLimitResult,
  RateLimitRule,
  RateLimitSource,
  RateLimitState,
  RateLimitStats,
  RateLimiter,
  RateLimiters,
  Reservation,
  ReserveOptions,
  RouteHandler,
  RouteLimiter,
} from './rate-limiter.js'
export type {
  CookieOptions,
  CookieSource,
  CookieStore,
  CookieTarget,
  GuestSessions,
  HeaderReader,
  OpenOptions,
  RequestSession,
  SessionCookies,
  SessionData,
  SessionFields,
  SessionManager,
  SessionManagerOptions,
  SessionOptions,
  SessionOutageMode,
  SessionStats,
  SessionUpdate,
} from './session-manager.js'
export type {
  Abortable,
  AIResponseEvent,
  ChannelStats,
  EventStreamOptions,
  EventStreamRequest,
  Gap,
  MessageHandler,
  NotificationEvent,
  OverflowPolicy,
  PresenceEvent,
  PresenceOptions,
  PresenceStatus,
  Present,
  PubSubManager,
  PubSubManagerOptions,
  PubSubMessage,
  PubSubOptions,
  PublishOptions,
  RealTime,
  RealTimeNotification,
  Subscription,
  SubscriptionEvents,
  SubscriptionStats,
  TypingEvent,
} from './pubsub-manager.js'
export type { HoldfastErrorCode, HoldfastErrorFields } from './errors.js'
export type { BackendState, HoldfastEventName, HoldfastEvents, HoldfastListener } from './events.js'
export type { Holdfast } from './holdfast.js'
export type { BreakerSettings, FallbackSettings, HoldfastOptions, TlsOptions } from './options.js'
export type { AbsentPart, InitializeOptions, InitializeResult, SystemComponents, SystemStatus } from './system.js'
