// `holdfast/cache-manager`: the cache of the shared instance.

import { root } from './root.js'
import type { AICache } from './managers/ai-cache.js'
import type { CacheManager } from './managers/cache.js'

/** The cache of the shared instance. */
export const cacheManager: CacheManager = root.cacheManager

/** Cached answers of models, and conversations, of the shared instance. */
export const AICacheManager: AICacheManager = root.AICacheManager
/** The AI cache of an instance. */
export type AICacheManager = AICache

/** Removes everything of the cache family; sessions, counters and AI answers stay. */
export const clearAllCache = root.clearAllCache

/** A copy of the cache's counts. */
export const getCacheStats = root.getCacheStats

/** What Redis and memory hold, with the cache's counts. */
export const getCacheInfo = root.getCacheInfo

export type { Duration } from './durations.js'
export type { EmbeddingEntry, EmbeddingOptions, Vector } from './ai/embeddings.js'
export type { AIKeyOptions, AIParameters, AIPrompt, AIScope } from './ai/request.js'
export type { CachedStream, StreamOptions, StreamSource } from './ai/streams.js'
export type { AIConversationOptions, AIResponseOptions, CachedAIResponse } from './managers/ai-cache.js'
export type { CacheOptions, LoadOptions } from './cache-options.js'
export type { CacheCounts, CacheStats } from './cache-stats.js'
export type { LoadContext, StaleEntry } from './load-context.js'
export type { BatchOptions, CacheItem } from './managers/cache-batches.js'
export type { LoadMany, LoadedMany } from './managers/cache-loads.js'
export type { CacheEntry, CacheInfo, CacheManager, CachedEntry } from './managers/cache.js'
export type { WarmEntries, WarmEntry, WarmOptions, WarmProgress, WarmResult } from './managers/warm.js'
export type { CustomSerializer, Serializer } from './serializers.js'
