// The cookie that carries a session's id: from a request, or the cookie store of Next, and into a response.

import { flag, named } from '../checks.js'
import { describe, invalid } from '../errors.js'
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

/** Where a cookie is read: a request, its headers, or the cookie store of Next. */
export type CookieSource = { readonly headers: HeaderReader } | HeaderReader | CookieStore

/** Where it is written: a response, its headers, or the cookie store of Next. */
export type CookieTarget = { readonly headers: Headers } | Headers | CookieStore

/** Headers, as far as they are read. */
export interface HeaderReader {
  get(name: string): string | null
}

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
    const headers = 'headers' in source ? source.headers : source
    if (isStore(headers)) return headers.get(name)?.value ?? null
    const text = headers.get('cookie')
    if (typeof text !== 'string') return null
    for (const part of text.split(';')) {
      const at = part.indexOf('=')
      if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
    }
    return null
  }

  /** Gives the client an id, and asks caches not to keep the response. */
  set(target: CookieTarget, sessionId: string): void {
    if (!this.plan.secure) this.noteInsecure()
    this.write(target, sessionId, this.plan.untilClosed ? null : Math.floor(this.lifetimeMs / 1000))
  }

  /** Takes the client's id away. */
  clear(target: CookieTarget): void {
    this.write(target, '', 0)
  }

  /** The value of a `Set-Cookie` header that gives the client an id. */
  header(sessionId: string): string {
    return this.text(sessionId, this.plan.untilClosed ? null : Math.floor(this.lifetimeMs / 1000))
  }

  private write(target: CookieTarget, value: string, maxAge: number | null): void {
    const { name, secure, sameSite } = this.plan
    const headers = 'headers' in target ? target.headers : target
    if (isStore(headers)) {
      headers.set?.(name, value, {
        httpOnly: true,
        secure,
        sameSite,
        path: '/',
        ...(maxAge === null ? {} : { maxAge }),
      })
      return
    }
    headers.append('set-cookie', this.text(value, maxAge))
    if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
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

/** Next's store gives an object, headers give a text. */
function isStore(source: HeaderReader | Headers | CookieStore): source is CookieStore {
  return typeof (source as Headers).append !== 'function' && typeof (source as CookieStore).set === 'function'
}
