// How many sessions there are, and an end of them all.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore, stores } from '../cache/stores'
import { found, heldBy, managerOf, opening, untilEnded } from './sessions'

describe.each(stores)('statistics of sessions on %s', (store) => {
  const { holdfast, open, outside, keyPrefix } = onStore(store)
  const counts = (guestSessions: number, authenticatedSessions: number) => {
    const totalSessions = guestSessions + authenticatedSessions
    return { totalSessions, activeSessions: totalSessions, guestSessions, authenticatedSessions, backend: store }
  }

  it('count guests and users, as they come and go', async () => {
    const manager = managerOf(holdfast)
    expect(await manager.getStats()).toEqual(counts(0, 0))
    const guests = await Promise.all(range(5).map(() => manager.createSession()))
    const users = await Promise.all(range(7).map((n) => manager.createSession(`user ${n % 3}`)))
    expect(await manager.getStats()).toEqual(counts(5, 7))
    await manager.deleteSession(guests[0]!)
    await manager.revoke((await found(manager, users[0]!)).handle)
    expect(await manager.getStats()).toEqual(counts(4, 6))
    // Of user 1 there are two.
    expect(await manager.invalidateUserSessions('user 1')).toBe(2)
    expect(await manager.getStats()).toEqual(counts(4, 4))
    await manager.updateSession(guests[1]!, { a: 1 }, { ttl: 600 })
    await manager.rotate(guests[1]!)
    expect(await manager.getStats()).toEqual(counts(4, 4))
  })

  it('do not count what has ended by itself', async () => {
    const manager = managerOf(holdfast)
    const brief = await Promise.all(range(6).map((n) => manager.createSession(n % 2 === 0 ? 'ann' : null, {}, { ttl: 0.1 })))
    await manager.createSession('ann')
    for (const id of brief) await untilEnded(manager, id)
    expect(await manager.getStats()).toEqual(counts(0, 1))
    // What is made later takes them off the lists.
    await manager.createSession('ann')
    expect(await manager.getStats()).toEqual(counts(0, 2))
  })

  it('are the same for everybody on one store, and those of the shared manager by another name', async () => {
    const own = open({ keyPrefix: `${keyPrefix}own:` })
    await own.sessionManager.createSession('ann')
    await own.createGuestSession()
    expect(await own.getSessionStats()).toEqual(counts(1, 1))
    expect(await own.sessionManager.getStats()).toEqual(counts(1, 1))
    expect((await own.getSystemStatus()).sessions).toEqual({ backend: store, stats: counts(1, 1) })
    expect(await own.sessionManager.getStats({ prefix: 'session' })).toEqual(counts(1, 1))
    expect(await own.sessionManager.getStats({ prefix: 'other' })).toEqual(counts(0, 0))
  })

  it('are none when all were cleared, and nothing else was touched', async () => {
    const prefix = 'cleared'
    const manager = managerOf(holdfast, { prefix })
    const other = store === 'redis' ? managerOf(open(asAnother), { prefix }) : manager
    const beside = managerOf(holdfast)
    const ids = await Promise.all(range(30).map((n) => manager.createSession(n % 2 === 0 ? `user ${n}` : null, { mark: 'cleared' })))
    const stays = await Promise.all([beside.createSession('user 0'), beside.createSession()])
    await holdfast.cacheManager.set('cleared', 'stays')
    await other.getSession(ids[0]!)
    expect(await manager.clearAllSessions()).toBeUndefined()
    for (const each of [manager, other]) {
      expect(await opening(each, ids)).toEqual(ids.map(() => false))
      expect(await each.getStats()).toEqual(counts(0, 0))
      expect(await each.getUserSessions('user 0')).toEqual([])
    }
    expect(await opening(beside, stays)).toEqual([true, true])
    expect(await holdfast.cacheManager.get('cleared')).toBe('stays')
    if (store === 'redis') expect(await heldBy(outside(), `${keyPrefix}${prefix}:`)).not.toContain('mark')
    const next = await manager.createSession('user 0', { back: true })
    expect(await other.getSessionData(next)).toEqual({ back: true })
    for (const id of ids) expect(await manager.updateSession(id, { a: 1 })).toBe(false)
    await manager.clearAllSessions()
    await manager.clearAllSessions()
    expect(await manager.sessionExists(next)).toBe(false)
  })
})
