// Sessions are had from three places, which are one: the package, `holdfast/session-manager`, and an instance of one's own.
import { createRequire } from 'node:module'
import * as whole from 'holdfast'
import * as part from 'holdfast/session-manager'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { onStore } from '../cache/stores'
import { found } from './sessions'

const names = ['GuestSessionManager', 'createGuestSession', 'createSessionManager', 'getGuestSession', 'getSessionStats', 'sessionManager']

describe('holdfast/session-manager', () => {
  beforeAll(() => whole.initializeRedisSystem({ enableFallback: true }).then(() => undefined, () => undefined))
  afterAll(() => whole.shutdownRedisSystem())

  it('has these names and no others', () => {
    expect(Object.keys(part).filter((name) => name !== 'default').sort()).toEqual(names)
  })

  it.each(names)('has the same %s as the package, by import and by require', (name) => {
    const required = createRequire(import.meta.url)
    const at = (module: unknown): unknown => (module as Record<string, unknown>)[name]
    expect(at(part)).toBeDefined()
    expect(at(part)).toBe(at(whole))
    for (const module of ['holdfast', 'holdfast/session-manager']) expect(at(required(module)), module).toBe(at(part))
  })

  it('gives functions that can be taken apart', async () => {
    const { createHoldfast } = whole
    await using holdfast = createHoldfast({ url: 'memory:', env: {}, keyPrefix: 'apart:' })
    const { createGuestSession, getGuestSession, getSessionStats, createSessionManager } = holdfast
    const { createGuestSession: create, getGuestSession: get, updateGuestSession: update, convertToAuthenticatedSession: convert } = holdfast.GuestSessionManager
    const id = await createGuestSession({ a: 1 })
    expect(await getGuestSession(id)).toMatchObject({ data: { a: 1 } })
    expect(await update(await create(), { b: 1 })).toBe(true)
    expect(await get(id)).not.toBeNull()
    expect(await convert(id, 'ann')).not.toBeNull()
    expect(await getSessionStats()).toMatchObject({ guestSessions: 1, authenticatedSessions: 1 })
    expect(await createSessionManager({}).getStats()).toMatchObject({ totalSessions: 2 })
  })
})

describe('managers of one store', () => {
  const { holdfast, open } = onStore('redis')

  it('are one where they have one prefix', async () => {
    const { sessionManager, GuestSessionManager, createSessionManager } = holdfast
    const mine = createSessionManager({ ttl: '2h' })
    const id = await mine.createSession('ann', { a: 1 })
    expect(await sessionManager.getSession(id)).toMatchObject({ userId: 'ann', data: { a: 1 } })
    expect(await open().sessionManager.updateSession(id, { b: 2 })).toBe(true)
    expect((await found(mine, id)).data).toEqual({ a: 1, b: 2 })
    expect(await mine.getSession(await GuestSessionManager.createGuestSession())).toMatchObject({ isGuest: true })
    expect(await createSessionManager({ prefix: 'other' }).getSession(id)).toBeNull()
  })

  it('name their calls as they were called, in errors', async () => {
    const { sessionManager, createSessionManager } = holdfast
    await expect(sessionManager.createSession('')).rejects.toMatchObject({ operation: 'sessionManager.createSession' })
    expect(() => createSessionManager({ ttl: -1 })).toThrow(expect.objectContaining({ operation: 'createSessionManager' }) as Error)
    await expect(createSessionManager({}).createSession('')).rejects.toMatchObject({ operation: expect.stringContaining('createSession') as string })
  })
})
