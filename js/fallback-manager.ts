// `holdfast/fallback-manager`: the shared instance's values that survive an outage.

import { root } from './root.js'
import type { MemoizingCache } from './managers/fallback-cache.js'
import type { FallbackManager } from './managers/fallback.js'

/** The fallback manager of the shared instance. */
export const fallbackManager: FallbackManager = root.fallbackManager

/** Results of functions that survive an outage, of the shared instance. */
export const FallbackCache: FallbackCache = root.FallbackCache
/** The fallback cache of an instance. */
export type FallbackCache = MemoizingCache

/** How memory and the journal stand. */
export const getFallbackStats = root.getFallbackStats

/** Replays what was written while Redis was away. Resolves when that is done or has failed. */
export const syncWithRedis = root.syncWithRedis

/** Forgets the fallback manager's values in memory. What Redis holds stays. */
export const clearFallback = root.clearFallback

export type { MemoizeOptions } from './managers/fallback-cache.js'
export type {
  FallbackData,
  FallbackDataEntry,
  FallbackDataChange,
  FallbackDataRemoval,
  LooseFallbackData,
} from './fallback-data.js'
export type { FallbackEventName, FallbackManager, FallbackOptions, FallbackStats } from './managers/fallback.js'
