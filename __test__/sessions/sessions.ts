// What the specs of sessions share: managers with sessions of their own, ids that nobody has, requests with a cookie, and
// looks at the server from outside.
import { randomBytes, randomUUID } from 'node:crypto'
import type { SessionData } from 'holdfast'
import type { Instance } from '../cache/stores'
import type { RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'

export type Manager = Instance['sessionManager']
export type ManagerOptions = Parameters<Instance['createSessionManager']>[0]
export type Session = SessionData

/** So long that nothing of it ends while a test runs, in seconds and ms. */
export const HOUR = 3_600
export const HOUR_MS = 3_600_000

/** A name that nobody else has. */
export const fresh = (text: string): string => `${text}-${randomUUID()}`

/** A manager with sessions of its own. */
export function managerOf({ createSessionManager }: Instance, options: ManagerOptions = {}): Manager {
  return createSessionManager({ prefix: fresh('session'), ...options })
}

/** An id as ids are, which nobody was given. */
export const unknownId = (kind: 'u' | 'g' = 'g'): string =>
  `${kind}${randomBytes(16).toString('base64url')}${randomBytes(32).toString('base64url')}`

/** What of an id nobody guesses. */
export const secretOf = (id: string): string => id.slice(-43)

/** A session that must be there. */
export async function found(manager: Manager, id: string): Promise<Session> {
  const session = await manager.getSession(id, { sliding: false })
  if (session === null) throw new Error('there is no such session')
  return session
}

/** Which of these ids open a session. */
export async function opening(manager: Manager, ids: readonly string[]): Promise<boolean[]> {
  return await Promise.all(ids.map((id) => manager.sessionExists(id)))
}

/** Waits until a session has ended by itself. */
export async function untilEnded(manager: Manager, id: string): Promise<void> {
  await waitFor('the session to end', async () => !(await manager.sessionExists(id)))
}

/** The clock goes on by a few ms. */
export async function later(ms = 5): Promise<void> {
  const begin = Date.now()
  await waitFor('the clock to go on', () => Date.now() - begin >= ms, { everyMs: 1 })
}

/** A request with this Cookie header. */
export function requestWith(cookie?: string): Request {
  return new Request('https://app.example/', cookie === undefined ? {} : { headers: { cookie } })
}

/** The cookie store of Next, as far as it is used: it notes what was set. */
export class NextCookies {
  readonly set_: [name: string, value: string, options: Record<string, unknown>][] = []
  constructor(readonly cookies: Record<string, string> = {}) {}

  get(name: string): { name: string; value: string } | undefined {
    const value = this.cookies[name]
    return value === undefined ? undefined : { name, value }
  }

  set(name: string, value: string, options: Record<string, unknown>): void {
    this.set_.push([name, value, options])
  }
}

/** The name of a session's key on the server. */
export async function keyOf(outside: RespClient, keyPrefix: string, { handle }: { handle: string }): Promise<string> {
  const names = (await outside.call('KEYS', `${keyPrefix}*:${handle}`)) as string[]
  if (names.length !== 1) throw new Error(`${names.length} keys have this handle`)
  return names[0] as string
}

/** The same, and how long it still lives by the server, ms. */
export async function lifeOf(outside: RespClient, keyPrefix: string, session: { handle: string }): Promise<number> {
  return Number(await outside.call('PTTL', await keyOf(outside, keyPrefix, session)))
}

/** Makes a session older: it was made, or used, so many ms earlier. */
export async function aged(outside: RespClient, key: string, what: 'made' | 'used', ms: number): Promise<void> {
  await outside.call('HINCRBY', key, what === 'made' ? 'c' : 's', -ms * 1000)
}

/** All that a server holds under a prefix, as one text. */
export async function heldBy(outside: RespClient, keyPrefix: string): Promise<string> {
  const names = ((await outside.call('KEYS', `${keyPrefix}*`)) as string[]).sort()
  const types = await outside.pipeline(names.map((name) => ['TYPE', name]))
  const looks = names.map((name, at) => {
    const type = String(types[at])
    return type === 'hash' ? ['HGETALL', name] : type === 'zset' ? ['ZRANGE', name, 0, -1, 'WITHSCORES'] : ['GET', name]
  })
  return JSON.stringify([names, await outside.pipeline(looks)])
}
