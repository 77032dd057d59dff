// Sessions are made, read, changed and ended, and whoever asks for one that is not there is told so.
import { describe, expect, it } from 'vitest'
import { asAnother, onStore, stores } from '../cache/stores'
import { found, later, managerOf, opening, unknownId } from './sessions'

const day = 86_400_000

describe.each(stores)('sessions on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const sessions = holdfast.sessionManager

  it('of a user are there by their id, as they were made', async () => {
    const before = Date.now()
    const id = await sessions.createSession('ann', { theme: 'dark', cart: [1, { two: 2 }] }, { ipAddress: '203.0.113.7', userAgent: 'a browser' })
    const after = Date.now()
    const session = await sessions.getSession(id)
    // The id opens the session: nothing that looks at all of it finds it.
    expect(session?.id).toBe(id)
    expect(JSON.stringify(session)).not.toContain(id)
    expect(session).toEqual({
      handle: expect.any(String) as string,
      userId: 'ann',
      isGuest: false,
      data: { theme: 'dark', cart: [1, { two: 2 }] },
      createdAt: expect.any(Number) as number,
      lastAccessedAt: expect.any(Number) as number,
      expiresAt: expect.any(Number) as number,
      absoluteExpiresAt: expect.any(Number) as number,
      ipAddress: '203.0.113.7',
      userAgent: 'a browser',
      version: 1,
      degraded: false,
    })
    expect(session?.createdAt).toBeGreaterThanOrEqual(before)
    expect(session?.createdAt).toBeLessThanOrEqual(after)
    expect(session?.lastAccessedAt).toBeGreaterThan(before - 5_000)
    expect(session?.lastAccessedAt).toBeLessThan(Date.now() + 5_000)
    expect(session?.expiresAt).toBeGreaterThan(before + day - 20_000)
    expect(session?.expiresAt).toBeLessThan(Date.now() + day + 5_000)
  })

  it.each([[undefined], [null]])('without a user are a guest\'s: %s', async (userId) => {
    const session = await found(sessions, await sessions.createSession(userId))
    expect(session).toMatchObject({ isGuest: true, data: {} })
    for (const name of ['userId', 'ipAddress', 'userAgent']) expect(session).not.toHaveProperty(name)
  })

  it('have each an id and a handle of its own, of one user too', async () => {
    const ids = await Promise.all([sessions.createSession('ben'), sessions.createSession('ben'), sessions.createSession(), sessions.createSession()])
    const handles = await Promise.all(ids.map(async (id) => (await found(sessions, id)).handle))
    expect(new Set([...ids, ...handles]).size).toBe(8)
  })

  it('are changed by fields, and grow their version with every change', async () => {
    const id = await sessions.createSession('cay', { a: 1, b: 2 })
    expect(await sessions.updateSession(id, { b: 3, c: 4 })).toBe(true)
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1, b: 3, c: 4 }, version: 2 })
    expect(await sessions.updateSession(id, { a: null })).toBe(true)
    expect(await found(sessions, id)).toMatchObject({ data: { a: null, b: 3, c: 4 }, version: 3 })
  })

  it('are not changed by a change of nothing, which says whether they are there', async () => {
    const id = await sessions.createSession('cay', { a: 1 })
    expect(await sessions.updateSession(id, {})).toBe(true)
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1 }, version: 1 })
    expect(await sessions.updateSession(unknownId(), {})).toBe(false)
  })

  it('give their data, and take single fields of it', async () => {
    const id = await sessions.createSession('dee', { a: 1 })
    expect(await sessions.setSessionData(id, 'b', { deep: [true] })).toBe(true)
    expect(await sessions.getSessionData(id)).toEqual({ a: 1, b: { deep: [true] } })
    expect(await sessions.setSessionData(id, 'a', undefined)).toBe(true)
    expect(await sessions.getSessionData<{ b: unknown }>(id)).toEqual({ b: { deep: [true] } })
  })

  it('are not used by being asked whether they are there', async () => {
    const manager = managerOf(holdfast, { touchAfter: 0 })
    const id = await manager.createSession('eve')
    const { lastAccessedAt } = await found(manager, id)
    await later(20)
    for (const _ of [1, 2, 3]) expect(await manager.sessionExists(id)).toBe(true)
    expect((await found(manager, id)).lastAccessedAt).toBeLessThan(lastAccessedAt + 15)
  })

  it('are ended once, for everybody', async () => {
    const other = store === 'redis' ? open(asAnother).sessionManager : sessions
    const id = await sessions.createSession('fay', { a: 1 })
    expect(await other.getSession(id)).toMatchObject({ userId: 'fay' })
    expect(await sessions.deleteSession(id)).toBe(true)
    expect(await sessions.deleteSession(id)).toBe(false)
    for (const manager of [sessions, other]) {
      expect(await manager.getSession(id)).toBeNull()
      expect(await manager.getSessionData(id)).toBeNull()
      expect(await manager.sessionExists(id)).toBe(false)
    }
  })

  it('that are not there are told so by every call, and are not there afterwards', async () => {
    const ended = await sessions.createSession('gus', { a: 1 })
    await sessions.deleteSession(ended)
    for (const id of [ended, unknownId('u'), unknownId('g')]) {
      expect(await sessions.getSession(id)).toBeNull()
      expect(await sessions.getSessionData(id)).toBeNull()
      expect(await sessions.updateSession(id, { a: 2 })).toBe(false)
      expect(await sessions.updateSession(id, { a: 2 }, { ttl: 60 })).toBe(false)
      expect(await sessions.setSessionData(id, 'a', 2)).toBe(false)
      expect(await sessions.update(id, () => expect.unreachable('there is nothing to change'))).toBeNull()
      expect(await sessions.sessionExists(id)).toBe(false)
      expect(await sessions.rotate(id)).toBeNull()
      expect(await sessions.revokeOthers(id)).toBe(0)
      expect(await sessions.revoke(id)).toBe(false)
      expect(await sessions.deleteSession(id)).toBe(false)
      expect(await sessions.sessionExists(id)).toBe(false)
    }
  })

  it('of one end are no other\'s', async () => {
    const ids = await Promise.all(['hal', 'hal', 'ian', null].map((user) => sessions.createSession(user)))
    await sessions.deleteSession(ids[0]!)
    expect(await opening(sessions, ids)).toEqual([false, true, true, true])
  })

  it('show of a client\'s address and agent so much as anybody looks at, in whole characters', async () => {
    const id = await sessions.createSession('jan', {}, { ipAddress: '::1', userAgent: 'x'.repeat(5_000) })
    expect((await found(sessions, id)).userAgent).toBe('x'.repeat(1_024))
    const cut = await sessions.createSession('jan', {}, { userAgent: `${'x'.repeat(1_023)}😀` })
    expect((await found(sessions, cut)).userAgent).toBe('x'.repeat(1_023))
  })

  it('stay when the manager is shut down, which refuses what comes later', async () => {
    const own = open({ keyPrefix: 'shut:' })
    const id = await own.sessionManager.createSession('kim')
    const change = own.sessionManager.updateSession(id, { a: 1 })
    await own.sessionManager.shutdown()
    expect(await change).toBe(true)
    await expect(own.sessionManager.getSession(id)).rejects.toMatchObject({ code: 'E_CLOSED' })
    expect(await managerOf(own).getSession(id)).toBeNull()
    await own.initializeRedisSystem()
    expect(await own.sessionManager.getSessionData(id)).toEqual({ a: 1 })
    await own.close()
  })

  it('of an instance that was closed are told so, whatever is asked', async () => {
    const own = open({ keyPrefix: 'closed:' })
    const manager = own.sessionManager
    const id = await manager.createSession('lea')
    await own.close()
    const refusal = { name: 'HoldfastError', code: 'E_CLOSED' }
    const calls = [
      () => manager.createSession(), () => manager.getSession(id), () => manager.updateSession(id, { a: 1 }), () => manager.update(id, () => ({})),
      () => manager.deleteSession(id), () => manager.sessionExists(id), () => manager.rotate(id), () => manager.authenticate(id, 'lea'),
      () => manager.getUserSessions('lea'), () => manager.invalidateUserSessions('lea'), () => manager.revokeOthers(id), () => manager.getStats(),
      () => manager.clearAllSessions(), () => own.GuestSessionManager.createGuestSession(),
    ]
    for (const call of calls) await expect(call(), String(call)).rejects.toMatchObject(refusal)
  })
})
