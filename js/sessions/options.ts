// What a session manager is made of, and what its calls may say.

import { flag, named } from '../checks.js'
import { lifetimeMs, type Duration } from '../durations.js'
import { describe, invalid } from '../errors.js'
import { OUTAGE_FAIL, OUTAGE_LOCAL, OUTAGE_LOGINS, OUTAGE_READ_ONLY } from '../generated/operations.js'
import { checkPrefix } from '../keys.js'
import { cookiePlan, type CookieOptions, type CookiePlan } from './cookies.js'

/** What a session holds for its user: by field, what JSON can hold. */
export type SessionFields = Record<string, unknown>

/**
 * What sessions do while Redis is configured and does not answer. `'local'`: sessions that this process knows are read and
 * changed, and written to Redis when it is back; guests may begin, and users where `degradedLogins` says so.
 * `'read-only'`: they are read; of changes only an end is taken. `'fail'`: every call but an end fails with
 * `E_UNAVAILABLE`.
 */
export type SessionOutageMode = 'local' | 'read-only' | 'fail'

/** Options of `createSessionManager`. */
export interface SessionManagerOptions {
  /** After so long without use a session ends: seconds, or `'30m'`. Default: 86400 (`REDIS_SESSION_TTL`). */
  ttl?: Duration | undefined
  /** So long after it was made it ends, however much it is used. Default: `'30d'`. */
  absoluteTtl?: Duration | undefined
  /** Whether reading counts as use. Default: true. */
  sliding?: boolean | undefined
  /** Use is noted at most once in this time. Default: a twentieth of `ttl`, at most a minute. */
  touchAfter?: Duration | undefined
  /** What the keys of sessions begin with, behind the key prefix. Default: `'session:'` (`REDIS_SESSION_PREFIX`). */
  prefix?: string | undefined
  /** About so many sessions of guests are kept; beyond it those go first that end first. Default: 1000000; 0: all. */
  maxGuests?: number | undefined
  /** For so long an id that was rotated leads to the session still. Default: 10 s. */
  rotationGrace?: Duration | undefined
  /** Default: `'local'`. */
  onUnavailable?: SessionOutageMode | undefined
  /** Whether users may log in while Redis does not answer. Default: false. */
  degradedLogins?: boolean | undefined
  /** For so long after Redis vouched for it last a session is taken from this process' copy. Default: `'15m'`. */
  maxDegradedSession?: Duration | undefined
  /** The cookie that carries the id. */
  cookie?: CookieOptions | undefined
}

/** Options of single calls. */
export interface SessionOptions {
  /** After so long without use it ends: seconds, or `'30m'`. Default: the manager's, 86400. */
  ttl?: Duration | undefined
  /** Whether reading counts as use. Default: the manager's, true. */
  sliding?: boolean | undefined
  /** Default: the manager's. */
  prefix?: string | undefined
  /** So long after it was made it ends. Default: the manager's. Counts where a session is made. */
  absoluteTtl?: Duration | undefined
  /** Kept with a session that is made, and shown with it. */
  ipAddress?: string | null | undefined
  /** Kept with a session that is made, and shown with it. */
  userAgent?: string | null | undefined
}

/** A manager as it is decided. */
export interface SessionPlan {
  readonly family: string
  readonly idleMs: number
  readonly absoluteMs: number
  readonly sliding: boolean
  /** null: by how long a session lives without use. */
  readonly touchMs: number | null
  readonly maxGuests: number
  readonly graceMs: number
  /** How the native side is told what goes without a server. */
  readonly outage: number
  readonly knownMs: number
  readonly cookie: CookiePlan
}

const DAY = 86_400_000
const MINUTE = 60_000
const OUTAGES: Readonly<Record<SessionOutageMode, number>> = {
  local: OUTAGE_LOCAL,
  'read-only': OUTAGE_READ_ONLY,
  fail: OUTAGE_FAIL,
}
const MANAGER_NAMES: readonly string[] = [
  'ttl',
  'absoluteTtl',
  'sliding',
  'touchAfter',
  'prefix',
  'maxGuests',
  'rotationGrace',
  'onUnavailable',
  'degradedLogins',
  'maxDegradedSession',
  'cookie',
]
const CALL_NAMES: readonly string[] = ['ttl', 'sliding', 'prefix', 'absoluteTtl', 'ipAddress', 'userAgent']
/** What is shown of a client is no place to keep things. */
const MOST_SHOWN = 1024

/** The plan of a manager. Throws `E_INVALID`. */
export function sessionPlan(options: SessionManagerOptions, operation: string): SessionPlan {
  const given = named(options, 'options', MANAGER_NAMES, operation)
  const idleMs =
    given['ttl'] === undefined
      ? lifetimeMs(fromEnvironment('REDIS_SESSION_TTL'), DAY, 'REDIS_SESSION_TTL', operation)
      : lifetimeMs(given['ttl'], DAY, 'options.ttl', operation)
  const absoluteMs = lifetimeMs(given['absoluteTtl'], 30 * DAY, 'options.absoluteTtl', operation)
  const mode = given['onUnavailable'] ?? 'local'
  if (typeof mode !== 'string' || !Object.hasOwn(OUTAGES, mode))
    throw invalid(
      'options.onUnavailable',
      `options.onUnavailable is ${describe(mode)}; allowed: 'local', 'read-only' or 'fail'`,
      operation,
    )
  const logins = flag(given['degradedLogins'], 'options.degradedLogins', operation) ?? false
  const touchAfter = given['touchAfter']
  return {
    family:
      given['prefix'] === undefined
        ? familyOf(environment('REDIS_SESSION_PREFIX') ?? 'session:', 'REDIS_SESSION_PREFIX', operation)
        : familyOf(given['prefix'], 'options.prefix', operation),
    idleMs,
    absoluteMs,
    sliding: flag(given['sliding'], 'options.sliding', operation) ?? true,
    touchMs: touchAfter === undefined ? null : orNone(touchAfter, 0, 'options.touchAfter', operation),
    maxGuests: whole(given['maxGuests'], 1_000_000, 'options.maxGuests', operation),
    graceMs: orNone(given['rotationGrace'], 10_000, 'options.rotationGrace', operation),
    outage: OUTAGES[mode as SessionOutageMode] + (logins ? OUTAGE_LOGINS : 0),
    knownMs: orNone(given['maxDegradedSession'], 15 * MINUTE, 'options.maxDegradedSession', operation),
    cookie: cookiePlan(given['cookie'] as CookieOptions | undefined, operation),
  }
}

/** The options of a call, checked. */
export function callOptions(plan: SessionPlan, options: unknown, operation: string): SessionOptions & { family: string } {
  if (options === undefined) return { family: plan.family }
  const given = named(options, 'options', CALL_NAMES, operation)
  flag(given['sliding'], 'options.sliding', operation)
  for (const name of ['ttl', 'absoluteTtl']) lifetimeMs(given[name], 0, `options.${name}`, operation)
  for (const name of ['ipAddress', 'userAgent']) {
    const text = given[name]
    if (text === undefined || text === null || (typeof text === 'string' && text.isWellFormed())) continue
    throw invalid(`options.${name}`, `options.${name} is ${describe(text)}; allowed: a text`, operation)
  }
  const family = given['prefix'] === undefined ? plan.family : familyOf(given['prefix'], 'options.prefix', operation)
  return { ...(given as SessionOptions), family }
}

/** A text that is shown with a session, cut to what anybody looks at, in whole characters. */
export function shown(text: string): string {
  if (text.length <= MOST_SHOWN) return text
  const cut = text.slice(0, MOST_SHOWN)
  return cut.isWellFormed() ? cut : cut.slice(0, -1)
}

/** Use is noted at most once in this time; in time before a session that is used ends. */
export function touchMsOf(plan: SessionPlan, idleMs: number): number {
  return Math.min(plan.touchMs ?? Math.min(MINUTE, idleMs / 20), idleMs / 2)
}

/** A lifetime, or 0 for none at all. */
function orNone(given: unknown, presetMs: number, path: string, operation: string): number {
  return given === 0 ? 0 : lifetimeMs(given, presetMs, path, operation)
}

function familyOf(prefix: unknown, path: string, operation: string): string {
  const text = typeof prefix === 'string' && prefix.endsWith(':') ? prefix.slice(0, -1) : prefix
  checkPrefix(text, path, operation)
  return text
}

function whole(value: unknown, preset: number, path: string, operation: string): number {
  if (value === undefined) return preset
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw invalid(path, `${path} is ${describe(value)}; allowed: a whole number, 0 or above`, operation)
}

function environment(name: string): string | undefined {
  const text = process.env[name]
  return text === undefined || text === '' ? undefined : text
}

/** Seconds, or a text with a unit. */
function fromEnvironment(name: string): unknown {
  const text = environment(name)
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text
}
