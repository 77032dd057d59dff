// What a limiter says of itself in HTTP: headers of the current IETF draft and of the older convention, and the body of a
// refusal.

import { createHash } from 'node:crypto'

import { named } from '../checks.js'
import { describe, invalid } from '../errors.js'
import type { LimiterPlan } from './options.js'
import type { RateLimitResult } from './result.js'

/** Which headers a response carries. */
export interface HeaderOptions {
  /** `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers. Default: true. */
  standard?: boolean | undefined
  /** `X-RateLimit-Limit`, `-Remaining`, `-Reset`, `-Backend`. Default: true. */
  legacy?: boolean | undefined
  /** How `X-RateLimit-Reset` says when: an ISO date, or seconds since 1970. Default: `'iso'`. */
  legacyReset?: 'iso' | 'epoch' | undefined
  /** `Retry-After` of a refusal: whole seconds, rounded up. Default: true. */
  retryAfter?: boolean | undefined
  /** A hash of the key as `pk`, so that clients can tell counts apart. Default: false. */
  partitionKey?: boolean | undefined
}

const FLAGS: readonly (keyof HeaderOptions)[] = ['standard', 'legacy', 'retryAfter', 'partitionKey']
const NAMES: readonly string[] = [...FLAGS, 'legacyReset']
const PROBLEM = 'https://iana.org/assignments/http-problem-types'

/** Checks what was given. */
export function headerOptions(given: HeaderOptions | boolean | undefined, operation: string): Required<HeaderOptions> {
  const on = given !== false
  const options = typeof given === 'object' ? given : {}
  if (given !== undefined && typeof given !== 'boolean' && (typeof given !== 'object' || given === null))
    throw invalid('options.headers', `options.headers is ${describe(given)}; allowed: a boolean or an object`, operation)
  named(options, 'options.headers', NAMES, operation)
  for (const name of FLAGS) {
    if (options[name] !== undefined && typeof options[name] !== 'boolean')
      throw invalid(`options.headers.${name}`, `options.headers.${name} is ${describe(options[name])}; allowed: a boolean`, operation)
  }
  const { standard = on, legacy = on, legacyReset = 'iso', retryAfter = on, partitionKey = false } = options
  if (!['iso', 'epoch'].includes(legacyReset))
    throw invalid('options.headers.legacyReset', `options.headers.legacyReset is ${describe(legacyReset)}; allowed: 'iso', 'epoch'`, operation)
  return { standard, legacy, legacyReset, retryAfter, partitionKey }
}

/** The headers of a result, for a key. */
export function headersOf(
  plan: LimiterPlan,
  key: string,
  result: RateLimitResult,
  options: Required<HeaderOptions>,
): Record<string, string> {
  const headers: Record<string, string> = {}
  const { limits } = plan.definition
  if (options.standard) {
    const partition = options.partitionKey && key !== '' ? `;pk=:${partitionOf(key)}:` : ''
    const policies = limits.map(({ name, limit, windowMs, algorithm }) =>
      algorithm === 'concurrency'
        ? `${quoted(name)};q=${limit};qu="concurrent-requests"${partition}`
        : `${quoted(name)};q=${limit};w=${Math.max(1, Math.round(windowMs / 1000))}${partition}`,
    )
    headers['RateLimit-Policy'] = policies.join(', ')
    const states = result.limits.map(({ name, remaining, nextMs, retryAfterMs }) => {
      const ms = retryAfterMs > 0 && retryAfterMs < Number.POSITIVE_INFINITY ? retryAfterMs : nextMs
      return `${quoted(name)};r=${remaining}${ms > 0 ? `;t=${Math.ceil(ms / 1000)}` : ''}${partition}`
    })
    headers['RateLimit'] = states.join(', ')
  }
  if (options.legacy) {
    headers['X-RateLimit-Limit'] = String(result.limit)
    headers['X-RateLimit-Remaining'] = String(result.remaining)
    headers['X-RateLimit-Reset'] =
      options.legacyReset === 'iso'
        ? new Date(result.resetTime).toISOString()
        : String(Math.ceil(result.resetTime / 1000))
    headers['X-RateLimit-Backend'] = result.source === 'local' ? 'memory' : 'redis'
  }
  if (options.retryAfter && result.retryAfter !== undefined) headers['Retry-After'] = String(result.retryAfter)
  return headers
}

/** The status of a refusal: 429, or 503 where nobody can tell. */
export function statusOf({ reason }: RateLimitResult): number {
  return reason === 'unavailable' ? 503 : 429
}

/** The body of a refusal as the JSON that the seeds document. */
export function bodyOf(result: RateLimitResult, message: string | undefined): Record<string, unknown> {
  const retryAfter = result.retryAfter === undefined ? {} : { retryAfter: result.retryAfter }
  if (result.reason === 'unavailable')
    return { error: 'Service Unavailable', message: message ?? 'The service is at reduced capacity. Please try again later.', ...retryAfter }
  const text =
    result.reason === 'too-large'
      ? 'This request is larger than its limit allows.'
      : 'Rate limit exceeded. Please try again later.'
  return { error: 'Too Many Requests', message: message ?? text, ...retryAfter }
}

/** The same as RFC 9457 has it. */
export function problemOf(result: RateLimitResult, message: string | undefined): Record<string, unknown> {
  const violated = result.limits.filter(({ retryAfterMs }) => retryAfterMs > 0).map(({ name }) => name)
  const status = statusOf(result)
  const { message: detail } = bodyOf(result, message)
  return status === 503
    ? { type: `${PROBLEM}#temporary-reduced-capacity`, title: 'Service Unavailable', status, detail }
    : { type: `${PROBLEM}#quota-exceeded`, title: 'Too Many Requests', status, detail, 'violated-policies': violated }
}

/** A string of structured fields (RFC 9651). Names are printable ASCII. */
function quoted(name: string): string {
  return `"${name.replace(/["\\]/g, '\\$&')}"`
}

function partitionOf(key: string): string {
  return createHash('sha256').update(key).digest().subarray(0, 12).toString('base64')
}
