// Sessions of guests: their own calls see no user's, and so many are kept as was told.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { found, HOUR, managerOf, opening, unknownId } from './sessions'

describe.each(stores)('guests on %s', (store) => {
  const { holdfast } = onStore(store)
  const { GuestSessionManager: guests, sessionManager: sessions, createGuestSession, getGuestSession } = holdfast

  it('get a session that says it is a guest\'s, for a day or as long as was told', async () => {
    for (const [ttl, ms] of [[undefined, 86_400_000], [60, 60_000]] as const) {
      const session = await guests.getGuestSession(await guests.createGuestSession({ theme: 'dark' }, ttl))
      expect(session).toMatchObject({ isGuest: true, data: { theme: 'dark', type: 'guest' } })
      expect(session).not.toHaveProperty('userId')
      expect(Math.abs(session!.expiresAt - session!.createdAt - ms)).toBeLessThan(20_000)
    }
  })

  it('get one without anything, by the functions as well', async () => {
    for (const id of [await guests.createGuestSession(), await createGuestSession()])
      expect((await getGuestSession(id))?.data).toEqual({ type: 'guest' })
    const id = await createGuestSession({ theme: 'dark' })
    expect(await getGuestSession(id)).toMatchObject({ id, isGuest: true, data: { theme: 'dark', type: 'guest' } })
    expect(await sessions.getSession(id)).toMatchObject({ id, isGuest: true })
  })

  it('are guests, whatever the data says', async () => {
    expect((await found(sessions, await guests.createGuestSession({ type: 'admin' }))).data).toEqual({ type: 'guest' })
    const id = await sessions.createSession('ann', { type: 'guest' })
    expect(await guests.getGuestSession(id)).toBeNull()
    expect(await guests.updateGuestSession(id, { a: 1 })).toBe(false)
    expect((await found(sessions, id)).data).toEqual({ type: 'guest' })
  })

  it('change their data by fields', async () => {
    const id = await guests.createGuestSession({ a: 1 })
    expect(await guests.updateGuestSession(id, { preference: 'value', a: undefined })).toBe(true)
    expect((await guests.getGuestSession(id))?.data).toEqual({ type: 'guest', preference: 'value' })
    for (const other of [unknownId(), unknownId('u'), 'no id']) {
      expect(await guests.getGuestSession(other)).toBeNull()
      expect(await guests.updateGuestSession(other, { a: 1 })).toBe(false)
    }
  })

  it('beyond the bound let those go first that end first', async () => {
    const manager = managerOf(holdfast, { maxGuests: 64 })
    const users = await Promise.all(range(20).map(() => manager.createSession('ann', {}, { ttl: 60 })))
    const early = await Promise.all(range(100).map(() => manager.createSession(null, {}, { ttl: 600 })))
    const late = await Promise.all(range(300).map(() => manager.createSession(null, {}, { ttl: HOUR })))
    await waitFor('about the bound', async () => (await manager.getStats()).guestSessions <= 70)
    const { guestSessions, authenticatedSessions } = await manager.getStats()
    expect(guestSessions).toBeGreaterThan(48)
    expect(authenticatedSessions).toBe(20)
    const stay = async (ids: string[]) => (await opening(manager, ids)).filter(Boolean).length
    expect(await stay(users)).toBe(20)
    expect(await stay(late)).toBe(guestSessions - (await stay(early)))
    expect(await stay(early)).toBeLessThan(8)
  })

  it('beyond a bound of many are about so many', async () => {
    const manager = managerOf(holdfast, { maxGuests: 640 })
    for (const _ of range(20)) await Promise.all(range(100).map(() => manager.createSession()))
    await waitFor('about the bound', async () => (await manager.getStats()).guestSessions <= 640 * 1.1)
    expect((await manager.getStats()).guestSessions).toBeGreaterThan(500)
  })

  it('that come thousands at once are about so many, too', async () => {
    const manager = managerOf(holdfast, { maxGuests: 640 })
    for (const _ of range(4)) await Promise.all(range(4_000).map(() => manager.createSession()))
    await waitFor('about the bound', async () => (await manager.getStats()).guestSessions <= 640 * 1.1, { withinMs: 5_000 })
  })

  it('without a bound stay all', async () => {
    const manager = managerOf(holdfast, { maxGuests: 0 })
    const ids = await Promise.all(range(500).map(() => manager.createSession()))
    expect(await manager.getStats()).toMatchObject({ guestSessions: 500 })
    expect((await opening(manager, ids)).every(Boolean)).toBe(true)
  })

  it('of one prefix do not make those of another go', async () => {
    const unbounded = managerOf(holdfast, { maxGuests: 0 })
    const bounded = managerOf(holdfast, { maxGuests: 64 })
    const ids = await Promise.all(range(200).map(() => unbounded.createSession(null, {}, { ttl: 600 })))
    for (const _ of range(3)) await bounded.createSession()
    expect((await opening(unbounded, ids)).filter(Boolean)).toHaveLength(200)
  })

  it('that log in do not count any more', async () => {
    const manager = managerOf(holdfast, { maxGuests: 64 })
    const ids = await Promise.all(range(200).map(async (n) => manager.authenticate(await manager.createSession(), `user ${n}`)))
    expect((await opening(manager, ids)).every(Boolean)).toBe(true)
    expect(await manager.getStats()).toMatchObject({ guestSessions: 0, authenticatedSessions: 200 })
  })
})

describe('guests where memory is all there is', () => {
  const { open, keyPrefix } = onStore('memory')

  it('make room for users when they have filled it', async () => {
    const { sessionManager } = open({ keyPrefix: `${keyPrefix}full:`, fallback: { maxMemoryMb: 1 } })
    const made = await Promise.allSettled(range(5_000).map(() => sessionManager.createSession()))
    expect(made.some(({ status }) => status === 'fulfilled')).toBe(true)
    const id = await sessionManager.createSession('ann')
    expect(await sessionManager.sessionExists(id)).toBe(true)
  })
})
