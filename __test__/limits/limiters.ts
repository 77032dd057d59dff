// What the specs of the rate limits share: limiters to ask, requests to answer, and looks at the server from outside.
import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { Instance } from '../cache/stores'
import type { RespClient } from '../support/resp-client'

export type Limiter = ReturnType<Instance['createRateLimiter']>
export type LimiterOptions = Parameters<Instance['createRateLimiter']>[0]
export type Result = Awaited<ReturnType<Limiter['check']>>
export type Algorithm = NonNullable<LimiterOptions['algorithm']>

/** Those that count units; `'concurrency'` counts slots. */
export const counting: Algorithm[] = ['sliding-window', 'token-bucket', 'fixed-window']

/** So long that nothing of it comes free while a test runs. */
export const HOUR_MS = 3_600_000

/** A name that no other limiter and no other key has. */
export const fresh = (text: string): string => `${text}-${randomUUID()}`

/** A limiter with one limit, for which nothing comes free while a test runs. */
export function limiterOf({ createRateLimiter }: Instance, limit: number, options: LimiterOptions = {}): Limiter {
  return createRateLimiter({ name: fresh('limiter'), maxRequests: limit, windowMs: HOUR_MS, ...options })
}

/** How many of so many calls, one after the other, are allowed. */
export async function allowedOf(limiter: Pick<Limiter, 'check'>, key: string, times: number): Promise<number> {
  let allowed = 0
  for (let n = 0; n < times; n++) if ((await limiter.check(key)).success) allowed++
  return allowed
}

/** What is left of each limit. */
export async function left(limiter: Pick<Limiter, 'status'>, key: string): Promise<number[]> {
  return (await limiter.status(key)).limits.map(({ remaining }) => remaining)
}

export const url = 'https://app.example/api/chat'

/** A request from an address. */
export function from(address: string, headers: Record<string, string> = {}, path = url): Request {
  return new Request(path, { headers: { 'x-forwarded-for': address, ...headers } })
}

/** The names of all headers. */
export function headerNames({ headers }: Response): string[] {
  const names: string[] = []
  headers.forEach((_, name) => names.push(name))
  return names
}

let addresses = 0

/** An address that no other request of this process comes from. */
export function newAddress(): string {
  addresses++
  return `198.${18 + (addresses >> 16)}.${(addresses >> 8) & 255}.${addresses & 255}`
}

/** The names of the keys that hold counts. */
export async function namesOf(outside: RespClient, keyPrefix: string): Promise<string[]> {
  const all = (await outside.call('KEYS', `${keyPrefix}rate_limit:*`)) as string[]
  return all.sort()
}

/** How many scripts a server was sent. */
export async function scriptsOf(outside: RespClient): Promise<number> {
  const text = String(await outside.call('INFO', 'commandstats'))
  const calls = [...text.matchAll(/cmdstat_(?:eval|evalsha|fcall)(?:_ro)?:calls=(\d+)/g)]
  return calls.reduce((sum, [, count]) => sum + Number(count), 0)
}

/** A large window's units that are taken ahead count from so much later on. */
const AHEAD_MS = 1_000

/** A refused one: what it says of when. */
export function expectRefusal(result: Result, windowMs: number): void {
  expect(result).toMatchObject({ success: false, reason: 'limited' })
  const { retryAfter = 0, retryAfterMs = 0, limit } = result
  expect(retryAfterMs).toBeGreaterThan(0)
  expect(retryAfterMs).toBeLessThanOrEqual(windowMs + (limit > 32 ? AHEAD_MS : 0))
  expect(retryAfter).toBe(Math.max(1, Math.ceil(retryAfterMs / 1000)))
}
