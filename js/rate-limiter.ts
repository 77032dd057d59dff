// `holdfast/rate-limiter`: the limits of the shared instance.

import { root } from './root.js'
import type { RateLimiters } from './limits/presets.js'

/** The limiters that are ready to use. Each is called with a request, or asked for a key. */
export const rateLimiters: RateLimiters = root.rateLimiters

/** Limits a request; see `RateLimitOptions`. 200 with the headers, 429, or 503. */
export const rateLimit = root.rateLimit

/** Makes a limiter: for routes, and for anything else that has a key. */
export const createRateLimiter = root.createRateLimiter

/** Limits a request by its path: `/api/auth`, `/api/ai`, `/api/upload`, `/api/admin`, other `/api`. */
export const applyRateLimit = root.applyRateLimit

/** Who decides now. */
export const getRateLimitBackend = root.getRateLimitBackend

/** How a key stands, by default at the default limiter; null: nothing counts. */
export const getRateLimitStats = root.getRateLimitStats

export type { Duration } from './durations.js'
export type { AddressOptions, AddressPreset, AddressedRequest } from './limits/address.js'
export type { HeaderOptions } from './limits/headers.js'
export type { LimitedRequest, RateLimitOptions, RouteHandler, RouteLimiter } from './limits/http.js'
export type { CheckOptions, RateLimitCost, RateLimiter } from './limits/limiter.js'
export type {
  LimiterOptions,
  RateLimitAlgorithm,
  RateLimitFailureMode,
  RateLimitRule,
} from './limits/options.js'
export type { RateLimitEntry, RateLimitStats, RateLimiters } from './limits/presets.js'
export type { Reservation, ReserveOptions } from './limits/reservation.js'
export type { RateLimitReason, RateLimitResult, RateLimitSource, RateLimitState } from './limits/result.js'
