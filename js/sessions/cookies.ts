// The cookie that carries a session's id: from a request, or the cookie store of Next, and into a response.

import { flag, named } from '../checks.js'
import { describe, invalid, shown } from '../errors.js'
import { warnOnce } from '../limits/warnings.js'

/** The cookie of sessions. It is always `HttpOnly` with `Path=/` and no `Domain`. */
export interface CookieOptions {
  /** Its name without the prefix. Default: `'session'`. */
  name?: string | undefined
  /**
   * Whether it is `Secure`, and named `__Host-...`, so that no other host and no plain connection can set it. Default:
   * true in production; in development false, since not every browser keeps such a cookie for http://localhost.
   */
  secure?: boolean | undefined
  /** Default: `'lax'`. */
  sameSite?: 'lax' | 'strict' | undefined
  /** Whether it ends with the browser. Default: false, it lasts as long as a session can. */
  untilClosed?: boolean | undefined
}

/** A cookie as it is decided. */
export interface CookiePlan {
  readonly name: string
  readonly secure: boolean
  readonly sameSite: 'lax' | 'strict'
  readonly untilClosed: boolean
}

/** The cookie store of Next, as far as it is needed: what `await cookies()` gives. */
export interface CookieStore {
  get(name: string): { readonly value: string } | undefined
  set?(name: string, value: string, options: Record<string, unknown>): unknown
}

/** Headers as Node's own requests have them. */
export type PlainHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** A response of Node's own, as far as it is written to. */
export interface NodeResponse {
  appendHeader(name: string, value: string): unknown
  getHeader(name: string): unknown
  setHeader(name: string, value: string): unknown
}

/** Where a cookie is read: a request of the web or of Node, its headers, or the cookie store of Next. */
export type CookieSource = { readonly headers: HeaderReader | PlainHeaders } | HeaderReader | PlainHeaders | CookieStore

/** Where it is written: a response of the web or of Node, its headers, or the cookie store of Next. */
export type CookieTarget = { readonly headers: Headers } | Headers | CookieStore | NodeResponse

/** Headers, as far as they are read. */
export interface HeaderReader {
  get(name: string): string | null
}

/** Of an id: letters, digits, and what stands for them. */
const SENT = /^[\w-]{1,256}$/
/** Browsers keep no cookie for longer. */
const LONGEST_MS = 400 * 86_400_000
const NAME = /^[\w!#$%&'*+.^`|~-]{1,64}$/
const NAMES: readonly string[] = ['name', 'secure', 'sameSite', 'untilClosed']

/** The plan of a cookie. Throws `E_INVALID`. */
export function cookiePlan(options: CookieOptions | undefined, operation: string): CookiePlan {
  const path = 'options.cookie'
  const given = named(options ?? {}, path, NAMES, operation)
  const name = given['name'] ?? 'session'
  if (typeof name !== 'string' || !NAME.test(name) || /^__(host|secure)-/i.test(name))
    throw invalid(`${path}.name`, `${path}.name is ${describe(name)}; allowed: a name for a cookie, without a prefix`, operation)
  const sameSite = given['sameSite'] ?? 'lax'
  if (sameSite !== 'lax' && sameSite !== 'strict')
    throw invalid(`${path}.sameSite`, `${path}.sameSite is ${describe(sameSite)}; allowed: 'lax' or 'strict'`, operation)
  const secure = flag(given['secure'], `${path}.secure`, operation) ?? process.env['NODE_ENV'] === 'production'
  const untilClosed = flag(given['untilClosed'], `${path}.untilClosed`, operation) ?? false
  return { name: secure ? `__Host-${name}` : name, secure, sameSite, untilClosed }
}

export class SessionCookies {
  /** @internal */
  constructor(
    private readonly plan: CookiePlan,
    private readonly lifetimeMs: number,
  ) {}

  /** The cookie's name, with its prefix. */
  get name(): string {
    return this.plan.name
  }

  /** The id that a request carries; null: none. */
  read(source: CookieSource): string | null {
    const { name } = this.plan
    if (typeof source !== 'object' || source === null) throw unreadable(source)
    const headers: unknown = 'headers' in source ? source.headers : source
    let text: unknown
    if (typeof (headers as HeaderReader | null | undefined)?.get === 'function') {
      // A cookie store gives an object for a cookie.
      const cookie = (headers as HeaderReader | CookieStore).get(name) as { value?: unknown } | string | null | undefined
      if (typeof cookie === 'object' && cookie !== null) return typeof cookie.value === 'string' ? cookie.value : null
      text = (headers as HeaderReader).get('cookie')
      if (typeof text === 'object') return null
    } else if (isPlainHeaders(headers)) {
      const given = headers['cookie']
      text = Array.isArray(given) ? given.join('; ') : given
    } else throw unreadable(source)
    if (typeof text !== 'string') return null
    for (const part of text.split(';')) {
      const at = part.indexOf('=')
      if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
    }
    return null
  }

  /**
   * Gives the client an id, and asks caches not to keep the response. Answers the target, or a copy of a response whose
   * headers can't be changed (`Response.redirect`). The cookie lasts as long as `lastsMs`, by default as a session can.
   */
  set<Target extends CookieTarget>(target: Target, sessionId: string, lastsMs = this.lifetimeMs): Target {
    checkSent(sessionId, 'SessionCookies.set')
    if (typeof lastsMs !== 'number' || !(lastsMs >= 0))
      throw invalid('lastsMs', `lastsMs is ${shown(lastsMs)}; allowed: ms, 0 or above`, 'SessionCookies.set')
    if (!this.plan.secure) this.noteInsecure()
    return this.write(target, sessionId, this.maxAge(lastsMs))
  }

  /** Takes the client's id away; answers as `set` does. */
  clear<Target extends CookieTarget>(target: Target): Target {
    return this.write(target, '', 0)
  }

  /** The value of a `Set-Cookie` header that gives the client an id. */
  header(sessionId: string): string {
    checkSent(sessionId, 'SessionCookies.header')
    return this.text(sessionId, this.maxAge(this.lifetimeMs))
  }

  private maxAge(lastsMs: number): number | null {
    // What has no end is kept for as long as browsers keep anything.
    return this.plan.untilClosed ? null : Math.max(1, Math.ceil(Math.min(lastsMs, LONGEST_MS) / 1000))
  }

  private write<Target extends CookieTarget>(target: Target, value: string, maxAge: number | null): Target {
    const { name, secure, sameSite } = this.plan
    if (!isTarget(target))
      throw invalid('target', `target is ${describe(target)}; allowed: a response of the web or of Node, its headers, or a cookie store that can be written to`, 'SessionCookies')
    if (typeof (target as NodeResponse).appendHeader === 'function') {
      const response = target as NodeResponse
      response.appendHeader('set-cookie', this.text(value, maxAge))
      if (isShared(String(response.getHeader('cache-control') ?? ''))) response.setHeader('cache-control', 'no-store')
      return target
    }
    const headers = 'headers' in target ? target.headers : target
    if (isStore(headers as Headers | CookieStore)) {
      const terms = { httpOnly: true, secure, sameSite, path: '/', ...(maxAge === null ? {} : { maxAge }) }
      ;(headers as CookieStore).set?.(name, value, terms)
      return target
    }
    try {
      this.append(headers as Headers, value, maxAge)
      return target
    } catch (thrown) {
      if (!(target instanceof Response)) throw thrown
      const { body, status, statusText } = target
      const copy = new Response(body, { status, statusText, headers: new Headers(target.headers) })
      this.append(copy.headers, value, maxAge)
      return copy as unknown as Target
    }
  }

  private append(headers: Headers, value: string, maxAge: number | null): void {
    headers.append('set-cookie', this.text(value, maxAge))
    if (isShared(headers.get('cache-control') ?? '')) headers.set('cache-control', 'no-store')
  }

  private text(value: string, maxAge: number | null): string {
    const { name, secure, sameSite } = this.plan
    const parts = [`${name}=${value}`, 'Path=/', 'HttpOnly', `SameSite=${sameSite === 'lax' ? 'Lax' : 'Strict'}`]
    if (secure) parts.push('Secure')
    if (maxAge !== null) parts.push(`Max-Age=${maxAge}`)
    return parts.join('; ')
  }

  private noteInsecure(): void {
    warnOnce(
      'HOLDFAST_INSECURE_COOKIE',
      `the session cookie ${this.plan.name} is sent without Secure and without the prefix __Host-, as browsers need it for development on http. In production (NODE_ENV=production, or cookie.secure: true) it has both`,
    )
  }
}

/** Nothing else may stand in a cookie: an id that is none would open nothing, or write a header of its own. */
function checkSent(id: unknown, operation: string): void {
  if (typeof id === 'string' && SENT.test(id)) return
  throw invalid('sessionId', `sessionId is ${describe(id)}; allowed: the id of a session`, operation)
}

function unreadable(source: unknown): Error {
  const hint = typeof (source as { then?: unknown } | null)?.then === 'function' ? ' (await it)' : ''
  const problem = `request is ${describe(source)}${hint}; allowed: a request, its headers, or a cookie store`
  return invalid('request', problem, 'SessionCookies.read')
}

function isPlainHeaders(headers: unknown): headers is PlainHeaders {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) return false
  if (typeof (headers as { then?: unknown }).then === 'function') return false
  return Object.values(headers).every((value) => typeof value !== 'function' && (typeof value !== 'object' || value === null || Array.isArray(value)))
}

/** Whether others than the client may keep it. */
function isShared(cacheControl: string): boolean {
  return !/\b(no-store|private)\b/i.test(cacheControl)
}

function isTarget(target: unknown): boolean {
  if (typeof target !== 'object' || target === null) return false
  const { appendHeader, headers = target } = target as { appendHeader?: unknown; headers?: unknown }
  if (typeof appendHeader === 'function') return true
  return typeof headers === 'object' && headers !== null && typeof (headers as CookieStore).set === 'function'
}

/** A store has no `append`. */
function isStore(target: Headers | CookieStore): target is CookieStore {
  return typeof (target as Headers).append !== 'function'
}
