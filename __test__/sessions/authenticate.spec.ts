// Who logs in gets another id: what a guest has kept goes on as the user's, and an id from before opens nothing.
import { describe, expect, it } from 'vitest'
import { asAnother, onStore, stores } from '../cache/stores'
import { found, HOUR, managerOf, opening, unknownId } from './sessions'

describe.each(stores)('authenticate on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const { GuestSessionManager } = holdfast
  const sessions = holdfast.sessionManager
  const other = store === 'redis' ? open(asAnother).sessionManager : sessions

  it('makes of a guest\'s session the user\'s, with its data and what is new, under another id', async () => {
    const id = await sessions.createSession(null, { cart: [1], theme: 'dark', seen: 1 })
    const { createdAt, handle } = await found(sessions, id)
    const next = await sessions.authenticate(id, 'ann', { theme: 'light', name: 'Ann', seen: undefined })
    expect(next).not.toBe(id)
    const session = await found(other, next)
    expect(session).toMatchObject({ id: next, userId: 'ann', isGuest: false })
    expect(session.createdAt).toBeGreaterThanOrEqual(createdAt)
    expect(session.data).toEqual({ cart: [1], theme: 'light', name: 'Ann' })
    expect(session.handle).not.toBe(handle)
  })

  it('leaves the id from before worth nothing, at once and everywhere', async () => {
    const id = await sessions.createSession(null, { a: 1 })
    const { handle } = await found(sessions, id)
    const next = await sessions.authenticate(id, 'ann')
    for (const manager of [sessions, other]) {
      expect(await manager.getSession(id)).toBeNull()
      expect(await manager.updateSession(id, { a: 2 })).toBe(false)
      expect(await manager.rotate(id)).toBeNull()
      expect(await manager.deleteSession(id)).toBe(false)
      expect(await manager.revoke(handle)).toBe(false)
    }
    expect(await sessions.getSessionData(next)).toEqual({ a: 1 })
  })

  it('leaves an id worth nothing that led to the guest\'s session, too', async () => {
    const id = await sessions.createSession(null, { a: 1 })
    const rotated = (await sessions.rotate(id))!
    for (const given of [rotated, id]) expect(await sessions.sessionExists(given)).toBe(true)
    const next = await sessions.authenticate(id, 'ann')
    expect(await opening(other, [id, rotated, next])).toEqual([false, false, true])
    expect(await sessions.getSessionData(next)).toEqual({ a: 1 })
  })

  it('gives a session of the user\'s own another id, too', async () => {
    const id = await sessions.createSession('bea', { a: 1 })
    const next = await sessions.authenticate(id, 'bea', { b: 2 })
    expect(await opening(other, [id, next])).toEqual([false, true])
    expect(await found(sessions, next)).toMatchObject({ userId: 'bea', data: { a: 1, b: 2 } })
    expect(await sessions.getUserSessions('bea')).toHaveLength(1)
  })

  it('takes nothing from another user\'s session, and ends it', async () => {
    const id = await sessions.createSession('cay', { secret: 'of cay' })
    const elsewhere = await sessions.createSession('cay')
    const next = await sessions.authenticate(id, 'dee', { mine: 1 })
    expect(await found(sessions, next)).toMatchObject({ userId: 'dee' })
    expect(await sessions.getSessionData(next)).toEqual({ mine: 1 })
    expect(await opening(other, [id, elsewhere, next])).toEqual([false, true, true])
  })

  it.each<[string, () => Promise<string | null | undefined> | string | null | undefined]>([
    ['null', () => null],
    ['undefined', () => undefined],
    ['an id that nobody was given', () => unknownId()],
    ['a user\'s id that nobody was given', () => unknownId('u')],
    ['what is no id', () => 'no id'],
    ['an ended session', async () => {
      const id = await sessions.createSession(null, { old: 1 })
      await sessions.deleteSession(id)
      return id
    }],
    ['a handle', async () => (await found(sessions, await sessions.createSession(null, { old: 1 }))).handle],
  ])('begins a new session from %s', async (_, idOf) => {
    const before = await idOf()
    const next = await sessions.authenticate(before, 'eve', { a: 1 })
    expect(next).not.toBe(before)
    expect(await found(sessions, next)).toMatchObject({ userId: 'eve', data: { a: 1 } })
    expect(await sessions.getSessionData(next)).toEqual({ a: 1 })
    if (typeof before === 'string') expect(await sessions.sessionExists(before)).toBe(false)
  })

  it('takes its options for a session that begins, and for one that goes on', async () => {
    const options = { ttl: 60, ipAddress: '203.0.113.7', userAgent: 'a browser' }
    for (const before of [null, await sessions.createSession(null, {}, { ttl: HOUR })]) {
      const session = await found(sessions, await sessions.authenticate(before, 'fay', {}, options))
      expect(session, before === null ? 'begins' : 'goes on').toMatchObject({ ipAddress: '203.0.113.7', userAgent: 'a browser' })
      expect(Math.abs(session.expiresAt - Date.now() - 60_000), before === null ? 'begins' : 'goes on').toBeLessThan(20_000)
    }
  })

  it('keeps what is saved to the guest\'s session beside it, or refuses it', async () => {
    for (const turn of [1, 2, 3, 4, 5]) {
      const id = await sessions.createSession(null, { a: 1 })
      const [next, one, two] = await Promise.all([sessions.authenticate(id, 'gus', { user: turn }), sessions.updateSession(id, { one: 1 }), other.updateSession(id, { two: 2 })])
      const data = await sessions.getSessionData(next)
      expect(data).toEqual({ a: 1, user: turn, ...(one ? { one: 1 } : {}), ...(two ? { two: 2 } : {}) })
    }
  })

  it('asked for twice at once logs in twice, and the guest\'s data is there once at least', async () => {
    const id = await sessions.createSession(null, { cart: [1] })
    const ids = await Promise.all([sessions.authenticate(id, 'hal'), sessions.authenticate(id, 'hal')])
    expect(new Set(ids).size).toBe(2)
    const all = await Promise.all(ids.map((each) => sessions.getSessionData(each)))
    expect(all.some((data) => JSON.stringify(data) === '{"cart":[1]}')).toBe(true)
    expect(await sessions.sessionExists(id)).toBe(false)
  })

  it('moves it from the guests\' count to the users\'', async () => {
    const counted = managerOf(holdfast)
    const id = await counted.createSession()
    expect(await counted.getStats()).toMatchObject({ guestSessions: 1, authenticatedSessions: 0 })
    await counted.authenticate(id, 'ian')
    expect(await counted.getStats()).toMatchObject({ guestSessions: 0, authenticatedSessions: 1 })
  })

  describe('convertToAuthenticatedSession', () => {
    it('makes of a guest\'s session the user\'s, under another id, and leaves the old one worth nothing', async () => {
      const id = await GuestSessionManager.createGuestSession({ cart: [1] })
      const next = await GuestSessionManager.convertToAuthenticatedSession(id, 'jan')
      expect(next).not.toBe(id)
      expect(await found(other, next!)).toMatchObject({ userId: 'jan', isGuest: false, data: { cart: [1] } })
      expect(await opening(other, [id, next!])).toEqual([false, true])
      expect(await GuestSessionManager.getGuestSession(next!)).toBeNull()
    })

    it('does not leave the data saying that it is a guest\'s', async () => {
      const id = await GuestSessionManager.createGuestSession({ cart: [1] })
      const next = await GuestSessionManager.convertToAuthenticatedSession(id, 'jan')
      expect((await found(sessions, next!)).data['type']).not.toBe('guest')
    })

    it('gives null for what is no guest\'s session, which stays as it is', async () => {
      const id = await sessions.createSession('kim', { a: 1 })
      for (const given of [id, unknownId(), 'no id', (await found(sessions, id)).handle])
        expect(await GuestSessionManager.convertToAuthenticatedSession(given, 'lea')).toBeNull()
      expect(await found(sessions, id)).toMatchObject({ userId: 'kim', data: { a: 1 } })
      expect(await sessions.getUserSessions('lea')).toEqual([])
    })
  })
})
