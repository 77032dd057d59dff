// The limiters of the seeds, with their numbers, and which of them a path belongs to.

import type { Connection } from '../connection.js'
import { describe, invalid } from '../errors.js'
import { isLimited, noRequest, routeLimiter, type LimitedRequest, type RateLimitOptions, type RouteLimiter } from './http.js'
import type { RateLimitResult } from './result.js'

/** The limiters that are ready to use. */
export interface RateLimiters {
  /** 30 in 5 minutes. */
  readonly ai: RouteLimiter
  /** 100 in 15 minutes. */
  readonly api: RouteLimiter
  /** 5 in 15 minutes. */
  readonly auth: RouteLimiter
  /** 10 in an hour. */
  readonly upload: RouteLimiter
  /** 1 in a minute. */
  readonly strict: RouteLimiter
  /** 20 in a minute. */
  readonly chat: RouteLimiter
  /** 30 in a minute. */
  readonly search: RouteLimiter
}

/** What a key was charged. */
export interface RateLimitEntry {
  /** What was taken and counts still. */
  count: number
  /** When all of it is free again, ms since 1970. */
  resetTime: number
}

/** What `getRateLimitStats` answers. */
export interface RateLimitStats extends RateLimitEntry {
  remaining: number
  backend: 'redis' | 'memory'
}

const MINUTE = 60_000
const NUMBERS: Readonly<Record<keyof RateLimiters, readonly [maxRequests: number, windowMs: number]>> = {
  ai: [30, 5 * MINUTE],
  api: [100, 15 * MINUTE],
  auth: [5, 15 * MINUTE],
  upload: [10, 60 * MINUTE],
  strict: [1, MINUTE],
  chat: [20, MINUTE],
  search: [30, MINUTE],
}

/** Which limiter a path of the app belongs to; null: none. */
export function limiterOf(path: string): keyof RateLimiters | null {
  const isUnder = (parent: string): boolean => path === parent || path.startsWith(`${parent}/`)
  if (isUnder('/api/auth')) return 'auth'
  if (isUnder('/api/claude') || isUnder('/api/ai')) return 'ai'
  if (isUnder('/api/upload') || path.includes('artifacts/save')) return 'upload'
  if (isUnder('/api/admin')) return 'strict'
  return isUnder('/api') ? 'api' : null
}

/** The limits of an instance. */
export class RateLimitManager {
  readonly rateLimiters: RateLimiters
  private readonly made = new Map<string, RouteLimiter>()
  private readonly givenBy = new WeakMap<object, RouteLimiter>()

  constructor(private readonly connection: Connection) {
    const limiters = {} as Record<keyof RateLimiters, RouteLimiter>
    for (const [name, [maxRequests, windowMs]] of Object.entries(NUMBERS) as [keyof RateLimiters, readonly [number, number]][])
      limiters[name] = routeLimiter(connection, { name, maxRequests, windowMs }, `rateLimiters.${name}`)
    this.rateLimiters = limiters
  }

  /** A limiter of one's own. */
  create<Incoming extends LimitedRequest = LimitedRequest>(
    options: RateLimitOptions<Incoming>,
    operation = 'createRateLimiter',
  ): RouteLimiter<Incoming> {
    return routeLimiter(this.connection, options, operation)
  }

  /** Limits a request: by the default limiter, or one that these options make. */
  async limit<Incoming extends LimitedRequest>(
    request: Incoming,
    options?: RateLimitOptions<Incoming>,
  ): Promise<Response> {
    return await this.limiterFor(options)(request)
  }

  /** Limits a request by its path. */
  async apply(request: LimitedRequest): Promise<Response> {
    if (typeof request !== 'object' || request === null) throw noRequest(request, 'applyRateLimit')
    const url = request.url
    if (typeof url !== 'string' || url === '' || !URL.canParse(url, 'http://localhost'))
      throw invalid('request.url', `request.url is ${describe(url)}; allowed: the url of the request`, 'applyRateLimit')
    const name = limiterOf(new URL(url, 'http://localhost').pathname)
    return name === null || !isLimited() ? new Response(null, { status: 200 }) : this.rateLimiters[name](request)
  }

  /** Who decides now. */
  backend(): 'redis' | 'memory' {
    const { isConnected } = this.connection.look<{ isConnected: boolean }>('connection', 'getRateLimitBackend')
    return isConnected ? 'redis' : 'memory'
  }

  /** How a key stands; null: nothing was taken that counts still. */
  async stats(key: string, limiter?: Pick<RouteLimiter, 'status'>): Promise<RateLimitStats | null> {
    if (limiter !== undefined && typeof (limiter as { status?: unknown } | null)?.status !== 'function')
      throw invalid('limiter', `limiter is ${describe(limiter)}; allowed: what createRateLimiter answers`, 'getRateLimitStats')
    const result: RateLimitResult = await (limiter ?? this.limiterFor(undefined)).status(key)
    const { limit, remaining, resetTime, source } = result
    const count = limit - remaining
    return count === 0 ? null : { count, remaining, resetTime, backend: source === 'local' ? 'memory' : 'redis' }
  }

  private limiterFor<Incoming extends LimitedRequest>(options: RateLimitOptions<Incoming> | undefined): RouteLimiter<Incoming> {
    // It throws.
    if (options !== undefined && (typeof options !== 'object' || options === null)) return this.create(options, 'rateLimit')
    // Options that are written where they are used are a new object each time; those with functions in them as well.
    const kept = options === undefined ? undefined : this.givenBy.get(options)
    if (kept !== undefined) return kept as unknown as RouteLimiter<Incoming>
    const isPlain = options === undefined || Object.values(options).every((value) => typeof value !== 'function')
    const text = isPlain ? JSON.stringify(options ?? {}) : ''
    const known = isPlain ? this.made.get(text) : undefined
    if (known !== undefined) return known as unknown as RouteLimiter<Incoming>
    const limiter = this.create<Incoming>(options ?? {}, 'rateLimit')
    if (isPlain && this.made.size < MOST_MADE) this.made.set(text, limiter as unknown as RouteLimiter)
    else if (options !== undefined) this.givenBy.set(options, limiter as unknown as RouteLimiter)
    return limiter
  }
}

/** So many limiters are kept that `rateLimit` made of options. */
const MOST_MADE = 1_000
