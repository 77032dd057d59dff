// A session ends when nobody uses it, and at its last moment however much it is used. On Redis the server itself sees to it.
import { describe, expect, it } from 'vitest'
import { onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { aged, found, HOUR, HOUR_MS, keyOf, later, lifeOf, managerOf, untilEnded } from './sessions'

/** What a look at a life may be late, ms. */
const LATE = 20_000
const day = 86_400_000

describe.each(stores)('lifetimes on %s', (store) => {
  const { holdfast } = onStore(store)

  it.each([[60, 60_000], ['30m', 1_800_000], ['7d', 7 * day], [0.5, 500], [0, day], [undefined, day]] as const)('of %s seconds or a text are as long', async (ttl, ms) => {
    const manager = managerOf(holdfast, { absoluteTtl: '90d' })
    const before = Date.now()
    const { expiresAt } = (await manager.getSession(await manager.createSession('ann', {}, { ttl }), { sliding: false })) ?? { expiresAt: 0 }
    expect(expiresAt).toBeGreaterThan(before + ms - 500)
    expect(expiresAt).toBeLessThan(Date.now() + ms + 1_000)
  })

  it('of the manager count where the call says none', async () => {
    const manager = managerOf(holdfast, { ttl: '2h' })
    const { expiresAt, createdAt } = await found(manager, await manager.createSession('ann'))
    expect(Math.abs(expiresAt - createdAt - 2 * HOUR_MS)).toBeLessThan(LATE)
  })

  it('end sessions that nobody uses', async () => {
    const manager = managerOf(holdfast)
    for (const user of ['ann', null]) {
      const id = await manager.createSession(user, { a: 1 }, { ttl: 0.15 })
      await untilEnded(manager, id)
      expect(await manager.getSession(id)).toBeNull()
      expect(await manager.updateSession(id, { a: 2 })).toBe(false)
      expect(await manager.rotate(id)).toBeNull()
      expect(await manager.deleteSession(id)).toBe(false)
    }
    expect(await manager.getUserSessions('ann')).toEqual([])
    expect(await manager.getStats()).toMatchObject({ totalSessions: 0 })
  })

  it('go on with use', async () => {
    const manager = managerOf(holdfast, { ttl: 2, touchAfter: 0 })
    const id = await manager.createSession('ann')
    const end = Date.now() + 3_000
    await waitFor('three seconds of use', async () => {
      expect.soft(await manager.getSession(id)).not.toBeNull()
      return Date.now() > end
    })
  })

  it('do not go on with reads where they are not sliding, by the manager or by the call', async () => {
    const still = managerOf(holdfast, { sliding: false, touchAfter: 0 })
    const sliding = managerOf(holdfast, { touchAfter: 0 })
    for (const [manager, options] of [[still, undefined], [sliding, { sliding: false }]] as const) {
      const id = await manager.createSession('ann', {}, { ttl: 0.3 })
      await waitFor('the session to end in spite of its use', async () => (await manager.getSession(id, options)) === null)
    }
  })

  it('go on where a call says so against the manager', async () => {
    const manager = managerOf(holdfast, { sliding: false, touchAfter: 0 })
    const id = await manager.createSession('ann')
    const { lastAccessedAt } = await found(manager, id)
    await later(20)
    await manager.getSession(id, { sliding: true })
    await waitFor('the use to be noted', async () => (await found(manager, id)).lastAccessedAt > lastAccessedAt + 10)
  })

  it('show a use that is noted at once to whoever makes it', async () => {
    const manager = managerOf(holdfast, { ttl: HOUR, touchAfter: 0 })
    const id = await manager.createSession('ann')
    const first = await found(manager, id)
    await later(50)
    const second = await manager.getSession(id)
    expect(second?.lastAccessedAt).toBeGreaterThan(first.lastAccessedAt + 20)
    expect(second?.expiresAt).toBeGreaterThan(first.expiresAt + 20)
    expect(second?.version).toBe(first.version)
  })

  it('note use no oftener than they were told', async () => {
    const manager = managerOf(holdfast, { ttl: HOUR, touchAfter: '10m' })
    const id = await manager.createSession('ann')
    const { lastAccessedAt } = await found(manager, id)
    await later(50)
    for (const _ of [1, 2, 3]) expect(Math.abs((await manager.getSession(id))!.lastAccessedAt - lastAccessedAt)).toBeLessThan(20)
  })

  it('have a last moment, however much a session is used', async () => {
    const manager = managerOf(holdfast, { touchAfter: 0 })
    const id = await manager.createSession('ann', {}, { ttl: HOUR, absoluteTtl: 0.4 })
    const began = Date.now()
    await waitFor('the session to end in spite of its use', async () => (await manager.getSession(id)) === null)
    expect(Date.now() - began).toBeGreaterThan(200)
    expect(await manager.updateSession(id, { a: 1 }, { ttl: HOUR })).toBe(false)
  })

  it('have the last moment of the manager, and never end behind it', async () => {
    const manager = managerOf(holdfast, { ttl: '1h', absoluteTtl: '10m', touchAfter: 0 })
    const id = await manager.createSession('ann')
    const last = 600_000
    for (const look of [() => found(manager, id), () => manager.getSession(id)]) {
      const { expiresAt = 0, createdAt = 0 } = (await look()) ?? {}
      expect(Math.abs(expiresAt - createdAt - last)).toBeLessThan(5_000)
    }
    expect(await manager.updateSession(id, {}, { ttl: '2d' })).toBe(true)
    const { expiresAt, createdAt } = await found(manager, id)
    expect(expiresAt - createdAt).toBeLessThan(last + 5_000)
  })

  it('stay what is left of them where data changes, and begin anew by another ttl', async () => {
    const manager = managerOf(holdfast, { ttl: HOUR, touchAfter: 0 })
    const id = await manager.createSession('ann', {}, { ttl: 600 })
    const { expiresAt } = await found(manager, id)
    await later(30)
    await manager.updateSession(id, { a: 1 })
    await manager.update(id, (data) => ({ ...data, b: 2 }))
    await manager.setSessionData(id, 'c', 3)
    expect(Math.abs((await found(manager, id)).expiresAt - expiresAt)).toBeLessThan(15)
    await manager.updateSession(id, { d: 4 }, { ttl: '2h' })
    expect(Math.abs((await found(manager, id)).expiresAt - Date.now() - 2 * HOUR_MS)).toBeLessThan(LATE)
    await manager.updateSession(id, {}, { ttl: 60 })
    const session = await found(manager, id)
    expect(Math.abs(session.expiresAt - Date.now() - 60_000)).toBeLessThan(LATE)
    expect(session.data).toEqual({ a: 1, b: 2, c: 3, d: 4 })
  })

  it('take another ttl from every call that has one and changes a session', async () => {
    const manager = managerOf(holdfast)
    const id = await manager.createSession('ann')
    const changed = await manager.update(id, (data) => ({ ...data, a: 1 }), { ttl: 60 })
    expect(Math.abs((changed?.expiresAt ?? 0) - Date.now() - 60_000)).toBeLessThan(LATE)
  })
})

describe('lifetimes by the server', () => {
  const { holdfast, outside, keyPrefix } = onStore('redis')
  const life = (session: { handle: string }) => lifeOf(outside(), keyPrefix, session)

  it.each([['ann'], [null]])('are those that were told, for every key: %s', async (user) => {
    const manager = managerOf(holdfast, { prefix: 'told', absoluteTtl: '10d' })
    const session = await found(manager, await manager.createSession(user, {}, { ttl: 600 }))
    expect(await life(session)).toBeGreaterThan(600_000 - LATE)
    expect(await life(session)).toBeLessThanOrEqual(600_001)
    const names = (await outside().call('KEYS', `${keyPrefix}told*`)) as string[]
    expect(names.length).toBeGreaterThan(1)
    for (const name of names) {
      const left = Number(await outside().call('PTTL', name))
      expect(left, name).toBeGreaterThan(0)
      expect(left, name).toBeLessThanOrEqual(10 * day + LATE)
    }
  })

  it('end a session without anybody of this package', async () => {
    const manager = managerOf(holdfast)
    const session = await found(manager, await manager.createSession('ann', {}, { ttl: 1 }))
    const key = await keyOf(outside(), keyPrefix, session)
    await waitFor('the server to let go of it', async () => (await outside().call('EXISTS', key)) === 0)
  })

  it('begin anew with a use, not before it is time to note it', async () => {
    const manager = managerOf(holdfast, { ttl: 1_000 })
    const id = await manager.createSession('ann')
    const session = await found(manager, id)
    const key = await keyOf(outside(), keyPrefix, session)
    // A twentieth of 1,000 s: 50 s.
    await aged(outside(), key, 'used', 40_000)
    await outside().call('PEXPIRE', key, 960_000)
    expect((await manager.getSession(id))!.expiresAt - Date.now()).toBeLessThan(970_000)
    expect(await life(session)).toBeLessThanOrEqual(960_000)
    await aged(outside(), key, 'used', 20_000)
    expect((await manager.getSession(id))!.expiresAt - Date.now()).toBeGreaterThan(990_000)
    await waitFor('the use to be noted', async () => (await life(session)) > 990_000)
  })

  it('begin anew with a use that is a minute old, however long they are', async () => {
    const manager = managerOf(holdfast, { ttl: '20d', absoluteTtl: '90d' })
    const id = await manager.createSession('ann')
    const session = await found(manager, id)
    const key = await keyOf(outside(), keyPrefix, session)
    await aged(outside(), key, 'used', 61_000)
    await outside().call('PEXPIRE', key, day)
    await manager.getSession(id)
    await waitFor('the use to be noted', async () => (await life(session)) > 19 * day)
  })

  it('stay within the last moment', async () => {
    const manager = managerOf(holdfast, { ttl: HOUR, absoluteTtl: '2h', touchAfter: 0 })
    const id = await manager.createSession('ann')
    const session = await found(manager, id)
    const key = await keyOf(outside(), keyPrefix, session)
    await aged(outside(), key, 'made', 2 * HOUR_MS - 120_000)
    await manager.getSession(id)
    await waitFor('the use to be noted', async () => (await life(session)) < 121_000)
    await manager.updateSession(id, { a: 1 }, { ttl: '1d' })
    expect(await life(session)).toBeLessThanOrEqual(121_000)
  })

  it('stay what is left of them where data changes', async () => {
    const manager = managerOf(holdfast, { ttl: HOUR })
    const id = await manager.createSession('ann')
    const session = await found(manager, id)
    await aged(outside(), await keyOf(outside(), keyPrefix, session), 'used', 600_000)
    await manager.updateSession(id, { a: 1 })
    await manager.update(id, (data) => ({ ...data, b: 1 }))
    expect(Math.abs((await life(session)) - (HOUR_MS - 600_000))).toBeLessThan(LATE)
  })

  it.each([['2h', 2 * HOUR_MS], [30, 30_000]] as const)('are others by another ttl from then on, not from the last use that was noted: %s', async (ttl, ms) => {
    const manager = managerOf(holdfast, { ttl: HOUR })
    const id = await manager.createSession('ann')
    const session = await found(manager, id)
    await aged(outside(), await keyOf(outside(), keyPrefix, session), 'used', 50_000)
    expect(await manager.updateSession(id, {}, { ttl })).toBe(true)
    expect(Math.abs((await life(session)) - ms)).toBeLessThan(LATE)
  })
})
