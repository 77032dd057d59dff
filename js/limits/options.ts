// What a limiter is made of, checked as far as it concerns this side; numbers are the native side's to check.

import { named } from '../checks.js'
import { lifetimeMs, type Duration } from '../durations.js'
import { describe, invalid, shown } from '../errors.js'
import { checkPrefix } from '../keys.js'

/** How a limit counts. See docs/rate-limits.md for what each promises. */
export type RateLimitAlgorithm = 'sliding-window' | 'token-bucket' | 'fixed-window' | 'concurrency'

/**
 * What is answered when Redis is configured and does not answer: `'local'`, what this process knows and counts, up to its
 * share of the limit; `'open'`, yes; `'closed'`, that nobody can tell (503, never 429).
 */
export type RateLimitFailureMode = 'local' | 'open' | 'closed'

/** One of the limits that decide together. */
export interface RateLimitRule {
  /** Printable ASCII; it stands in headers. */
  name: string
  /** How much may be taken. */
  limit: number
  /** In which time: seconds, or `'90s'`, `'5m'`, `'1h'`, `'7d'`. Of slots: how long one is held that nobody renews; default 30 s. */
  window?: Duration | undefined
  /** What each call is charged here, whatever it costs elsewhere. Default: what the call says. */
  cost?: number | undefined
  /** Default: the limiter's. */
  algorithm?: RateLimitAlgorithm | undefined
  /** Default: the limiter's. */
  onUnavailable?: RateLimitFailureMode | undefined
}

/** Options of a limiter. */
export interface LimiterOptions {
  /** Under which its counts are kept: limiters of the same name share them. Default: made of its limits. */
  name?: string | undefined
  /** The limits, all of which must have room. Or `maxRequests` and `windowMs` for one. */
  limits?: readonly RateLimitRule[] | undefined
  /** How much may be taken in `windowMs`. Default: 100 (`RATE_LIMIT_MAX`). */
  maxRequests?: number | undefined
  /** Default: 900000 (`RATE_LIMIT_WINDOW`). */
  windowMs?: number | undefined
  /** Default: `'sliding-window'`. */
  algorithm?: RateLimitAlgorithm | undefined
  /** Default: `'local'`. */
  onUnavailable?: RateLimitFailureMode | undefined
  /** Whether refusals are remembered here, so that a client who is refused costs Redis nothing. Default: true. */
  denyCache?: boolean | undefined
}

/** A limiter as the native side is told of it. */
export interface Definition {
  readonly name: string
  readonly family: string
  readonly denyCache: boolean
  readonly limits: readonly {
    readonly name: string
    readonly algorithm: RateLimitAlgorithm
    readonly limit: number
    readonly windowMs: number
    readonly mode: RateLimitFailureMode
  }[]
}

/** What a limiter does with what is asked. */
export interface LimiterPlan {
  readonly definition: Definition
  readonly names: readonly string[]
  /** What each call is charged at each limit; null: what it says. */
  readonly fixed: readonly (number | null)[]
  readonly hasFixed: boolean
  readonly hasSlots: boolean
  /** For how long a slot is held that nobody renews; null: there are none. */
  readonly slotMs: number | null
}

/** Of a limiter, those that are about requests included. */
const NAMES: readonly string[] = [
  'name',
  'maxRequests',
  'windowMs',
  'limits',
  'algorithm',
  'onUnavailable',
  'denyCache',
  'keyGenerator',
  'cost',
  'message',
  'address',
  'headers',
  'problem',
  'skipSuccessfulRequests',
  'skipFailedRequests',
]
const RULE_NAMES: readonly string[] = ['name', 'limit', 'window', 'cost', 'algorithm', 'onUnavailable']
const ALGORITHMS: readonly unknown[] = ['sliding-window', 'token-bucket', 'fixed-window', 'concurrency']
const MODES: readonly unknown[] = ['local', 'open', 'closed']
const LONGEST_NAME = 128
const MOST_LIMITS = 16
const SLOT_MS = 30_000
const LONGEST_WINDOW_MS = 366 * 86_400_000
/** Beyond this, sums of costs would no longer be exact. */
const MOST = 1e12
const DEFAULT_MAX = 100
const DEFAULT_WINDOW_MS = 900_000

/** Reads the options of a limiter. */
export function planOf(options: LimiterOptions, operation: string): LimiterPlan {
  named(options, 'options', NAMES, operation)
  const { algorithm = 'sliding-window', onUnavailable = 'local', denyCache = true } = options
  word(algorithm, ALGORITHMS, 'options.algorithm', operation)
  word(onUnavailable, MODES, 'options.onUnavailable', operation)
  if (typeof denyCache !== 'boolean')
    throw invalid('options.denyCache', `options.denyCache is ${describe(denyCache)}; allowed: a boolean`, operation)
  const rules = rulesOf(options, operation)
  const limits = rules.map((rule, index) => {
    const path = `options.limits[${index}]`
    const own = rule.algorithm ?? algorithm
    const mode = rule.onUnavailable ?? onUnavailable
    word(own, ALGORITHMS, `${path}.algorithm`, operation)
    word(mode, MODES, `${path}.onUnavailable`, operation)
    const name = nameOf(rule.name, `${path}.name`, operation)
    const limit = whole(rule.limit, 1, `${path}.limit`, operation)
    const none = own === 'concurrency' ? SLOT_MS : 0
    const windowMs = rule.windowMs ?? lifetimeMs(rule.window, none, `${path}.window`, operation)
    if (!(windowMs >= 1))
      throw invalid(`${path}.window`, `${path}.window is missing; allowed: seconds, or a text such as '1m'`, operation)
    const field = options.limits === undefined ? 'options.windowMs' : `${path}.window`
    if (windowMs > LONGEST_WINDOW_MS)
      throw invalid(field, `${field} is longer than 366 days; allowed: 1 ms to 366 days`, operation)
    return { name, algorithm: own, limit, windowMs, mode }
  })
  const slots = limits.filter((rule) => rule.algorithm === 'concurrency')
  const fixed = rules.map(({ cost }, index) =>
    cost === undefined ? null : whole(cost, 0, `options.limits[${index}].cost`, operation),
  )
  const name =
    options.name === undefined
      ? limits.map((rule) => `${rule.name}-${rule.limit}-${rule.windowMs}`).join(',').slice(0, LONGEST_NAME)
      : nameOf(options.name, 'options.name', operation)
  return {
    definition: { name, family: familyOf(operation), denyCache, limits },
    names: limits.map((rule) => rule.name),
    fixed,
    hasFixed: fixed.some((cost) => cost !== null),
    hasSlots: slots.length > 0,
    slotMs: slots.length > 0 ? Math.min(...slots.map((rule) => rule.windowMs)) : null,
  }
}

/** The costs of a call: one for all limits, or one for each. */
export function costsOf(plan: LimiterPlan, cost: unknown, operation: string, path = 'options.cost'): number | number[] {
  if (typeof cost === 'object' && cost !== null && !Array.isArray(cost)) {
    const given = cost as Record<string, unknown>
    const unknown = Object.keys(given).find((name) => !plan.names.includes(name))
    if (unknown !== undefined)
      throw invalid(
        `${path}.${unknown}`,
        `${path}.${unknown} is no limit of this limiter; allowed: ${plan.names.join(', ')}`,
        operation,
      )
    return plan.names.map((name, index) =>
      Object.hasOwn(given, name) ? whole(given[name], 0, `${path}.${name}`, operation) : (plan.fixed[index] ?? 1),
    )
  }
  const one = cost === undefined ? 1 : whole(cost, 0, path, operation)
  return plan.hasFixed ? plan.fixed.map((fixed) => fixed ?? one) : one
}

type Rule = RateLimitRule & { readonly windowMs?: number }

function rulesOf(options: LimiterOptions, operation: string): readonly Rule[] {
  const { limits, maxRequests, windowMs } = options
  if (limits === undefined) {
    const limit =
      maxRequests === undefined
        ? whole(variable('RATE_LIMIT_MAX', DEFAULT_MAX), 1, 'RATE_LIMIT_MAX', operation)
        : whole(maxRequests, 1, 'options.maxRequests', operation)
    const window =
      windowMs === undefined
        ? whole(variable('RATE_LIMIT_WINDOW', DEFAULT_WINDOW_MS), 1, 'RATE_LIMIT_WINDOW', operation)
        : whole(windowMs, 1, 'options.windowMs', operation)
    const name = options.name === undefined ? 'default' : nameOf(options.name, 'options.name', operation)
    return [{ name, limit, windowMs: window }]
  }
  if (maxRequests !== undefined || windowMs !== undefined) {
    const path = maxRequests === undefined ? 'options.windowMs' : 'options.maxRequests'
    throw invalid(path, `${path} is given together with options.limits; allowed: one or the other`, operation)
  }
  if (!Array.isArray(limits) || limits.length === 0 || limits.length > MOST_LIMITS) {
    const given = Array.isArray(limits) ? `an array of ${limits.length}` : describe(limits)
    throw invalid('options.limits', `options.limits is ${given}; allowed: an array of 1 to ${MOST_LIMITS} limits`, operation)
  }
  const names = limits.map((rule: unknown) => (rule as RateLimitRule | null)?.name)
  const twice = names.findIndex((name, index) => name !== undefined && names.indexOf(name) < index)
  if (twice >= 0)
    throw invalid(`options.limits[${twice}].name`, `options.limits[${twice}].name is the name of another limit, too; allowed: a name of its own`, operation)
  return limits.map((rule: unknown, index) => {
    const { name, limit, window, cost, algorithm, onUnavailable } = named(rule, `options.limits[${index}]`, RULE_NAMES, operation)
    return { name, limit, window, cost, algorithm, onUnavailable } as Rule
  })
}

/** A number that the environment sets. */
function variable(name: string, standard: number): number {
  const text = process.env[name]
  return text === undefined || text === '' ? standard : Number(text)
}

/** The family of keys. */
function familyOf(operation: string): string {
  const given = process.env['REDIS_RATE_LIMIT_PREFIX']
  if (given === undefined || given === '') return 'rate_limit'
  const prefix = given.replace(/:+$/, '')
  checkPrefix(prefix, 'REDIS_RATE_LIMIT_PREFIX', operation)
  return prefix
}

function word(given: unknown, allowed: readonly unknown[], path: string, operation: string): void {
  if (allowed.includes(given)) return
  throw invalid(path, `${path} is ${describe(given)}; allowed: ${allowed.map((one) => `'${one}'`).join(', ')}`, operation)
}

function whole(given: unknown, least: number, path: string, operation: string): number {
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= least && given <= MOST) return given
  throw invalid(path, `${path} is ${shown(given)}; allowed: a whole number from ${least} to ${MOST}`, operation)
}

function nameOf(given: unknown, path: string, operation: string): string {
  if (typeof given === 'string' && given.length > 0 && given.length <= LONGEST_NAME && /^[\x20-\x7e]+$/.test(given))
    return given
  throw invalid(path, `${path} is ${describe(given)}; allowed: a text of 1 to ${LONGEST_NAME} printable ASCII characters`, operation)
}
