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
export type { AIParameters, CachedAIResponse } from './managers/ai-cache.js'
export type { CacheEntry, CacheInfo, CacheManager, CacheOptions, CacheStats, CachedEntry } from './managers/cache.js'
