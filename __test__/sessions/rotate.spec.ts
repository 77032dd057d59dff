// A session gets another id: for a moment the old one leads to it, then it is worth nothing. All else goes on.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { aged, found, HOUR, HOUR_MS, keyOf, later, lifeOf, managerOf, opening } from './sessions'

describe.each(stores)('rotate on %s', (store) => {
  const { holdfast, open, outside, keyPrefix } = onStore(store)
  const sessions = managerOf(holdfast, { prefix: 'rotated' })
  const other = store === 'redis' ? managerOf(open(asAnother), { prefix: 'rotated' }) : sessions
  /** For whom the old id ends at once, nearly. */
  const brief = managerOf(holdfast, { prefix: 'brief', rotationGrace: 0.05 })
  /** The old id leads nowhere: neither as this process reckons the server's time nor by the server's own clock. */
  const dead = async (id: string): Promise<void> => {
    await waitFor('the old id to lead nowhere', async () => !(await brief.sessionExists(id)))
    await later(250)
  }

  it.each([['ann'], [null]])('keeps all of a session but its id and handle: %s', async (user) => {
    const id = await sessions.createSession(user, { a: 1, gone: 1 }, { ttl: 600, ipAddress: '203.0.113.7', userAgent: 'a browser' })
    await sessions.updateSession(id, { b: [2], gone: undefined })
    const before = await found(sessions, id)
    const next = await sessions.rotate(id)
    const { handle, version: __, lastAccessedAt: ___, expiresAt, absoluteExpiresAt, ...after } = await found(sessions, next!)
    expect(next).not.toBe(id)
    expect(handle).not.toBe(before.handle)
    expect(before).toMatchObject({ ...after, data: { a: 1, b: [2] } })
    expect(Math.abs(expiresAt - Date.now() - 600_000)).toBeLessThan(20_000)
    expect(Math.abs(absoluteExpiresAt - before.absoluteExpiresAt)).toBeLessThan(20)
  })

  it('leads from the old id to the session for a moment, whatever is asked and wherever', async () => {
    const id = await sessions.createSession('abe', { n: 0 })
    const next = (await sessions.rotate(id))!
    const { handle } = await found(sessions, next)
    for (const manager of [sessions, other]) {
      expect(await manager.getSession(id)).toMatchObject({ id, handle, userId: 'abe', data: { n: 0 } })
      expect(await manager.sessionExists(id)).toBe(true)
    }
    expect(await other.updateSession(id, { n: 1, a: 1 })).toBe(true)
    expect((await sessions.update(id, (data) => ({ ...data, n: 2 })))?.data).toEqual({ a: 1, n: 2 })
    expect(await sessions.getSessionData(next)).toEqual({ a: 1, n: 2 })
    expect(await sessions.revokeOthers(id)).toBe(0)
    expect(await sessions.sessionExists(next)).toBe(true)
  })

  it('leads nowhere afterwards', async () => {
    for (const user of ['ann', null]) {
      const id = await brief.createSession(user)
      const next = (await brief.rotate(id))!
      await dead(id)
      expect(await brief.getSession(id)).toBeNull()
      expect(await brief.updateSession(id, { a: 1 })).toBe(false)
      expect(await brief.update(id, () => expect.unreachable('there is nothing to change'))).toBeNull()
      expect(await brief.rotate(id)).toBeNull()
      expect(await brief.deleteSession(id)).toBe(false)
      expect(await brief.sessionExists(next)).toBe(true)
    }
  })

  it('leads nowhere at all with a grace of 0', async () => {
    const none = managerOf(holdfast, { rotationGrace: 0 })
    const id = await none.createSession('ann')
    const next = (await none.rotate(id))!
    expect(await opening(none, [id, next])).toEqual([false, true])
  })

  it('is ended through the old id while that leads to it', async () => {
    const id = await sessions.createSession('ann')
    const next = (await sessions.rotate(id))!
    expect(await other.deleteSession(id)).toBe(true)
    expect(await opening(sessions, [id, next])).toEqual([false, false])
    expect(await sessions.deleteSession(next)).toBe(false)
  })

  it('is ended through the old handle while that leads to it', async () => {
    const id = await sessions.createSession('ann')
    const { handle } = await found(sessions, id)
    const next = (await sessions.rotate(id))!
    expect(await other.revoke(handle)).toBe(true)
    expect(await opening(sessions, [id, next])).toEqual([false, false])
  })

  it('leaves nothing behind the old id where the new one is ended', async () => {
    const id = await sessions.createSession('ann')
    const next = (await sessions.rotate(id))!
    expect(await sessions.deleteSession(next)).toBe(true)
    expect(await opening(other, [id, next])).toEqual([false, false])
    expect(await sessions.updateSession(id, { a: 1 })).toBe(false)
  })

  it('goes on in chains, of which all lead to the last', async () => {
    const ids = [await sessions.createSession('ann', { n: 0 })]
    for (const n of range(5)) {
      ids.push((await sessions.rotate(ids.at(-1)!))!)
      await sessions.updateSession(ids[0]!, { n })
    }
    expect(new Set(ids).size).toBe(6)
    for (const id of ids) expect(await other.getSessionData(id)).toEqual({ n: 4 })
    expect(await sessions.deleteSession(ids[1]!)).toBe(true)
    expect(await opening(sessions, ids.slice(1))).toEqual(range(5).map(() => false))
  })

  it('goes on in chains of twelve, too', async () => {
    const ids = [await sessions.createSession('ann')]
    for (const _ of range(12)) ids.push((await sessions.rotate(ids.at(-1)!))!)
    expect(await opening(sessions, ids)).toEqual(ids.map(() => true))
    expect(await sessions.deleteSession(ids[0]!)).toBe(true)
    expect(await sessions.sessionExists(ids.at(-1)!)).toBe(false)
  })

  it('of an old id that leads to it gives the session another id still', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    const first = (await sessions.rotate(id))!
    const second = (await sessions.rotate(id))!
    expect(new Set([id, first, second]).size).toBe(3)
    for (const each of [id, first, second]) expect(await sessions.getSessionData(each)).toEqual({ a: 1 })
  })

  it('asked for twice at once gives each an id that opens the session', async () => {
    const id = await sessions.createSession('bea', { a: 1 })
    const ids = await Promise.all([sessions.rotate(id), sessions.rotate(id)])
    for (const each of ids) expect(each === null ? null : await sessions.getSessionData(each)).toEqual({ a: 1 })
    expect(await sessions.getUserSessions('bea')).toHaveLength(1)
  })

  it('asked for by many at once leaves one session, with its data, to which the old id leads', async () => {
    const id = await sessions.createSession('cay', { a: 1 })
    const ids = (await Promise.all(range(10).map((n) => (n % 2 === 0 ? sessions : other).rotate(id)))).filter((each) => each !== null)
    expect(ids.length).toBeGreaterThan(0)
    expect(await sessions.getSessionData(id)).toEqual({ a: 1 })
    const all = await sessions.getUserSessions('cay')
    expect(all).toHaveLength(1)
    expect(all[0]?.data).toEqual({ a: 1 })
  })

  it('loses no change that is made beside it', async () => {
    for (const turn of range(5)) {
      const id = await sessions.createSession('ann', { first: turn })
      const saves = (at: number) => range(5).map((n) => (n % 2 === 0 ? sessions : other).updateSession(id, { [`field ${at + n}`]: n }))
      const [next, ...done] = await Promise.all([sessions.rotate(id), ...saves(0), ...saves(5)])
      expect(done.every(Boolean)).toBe(true)
      const { data } = await found(sessions, next!)
      expect(Object.keys(data)).toHaveLength(11)
    }
  })

  it('loses no count that is made beside it', async () => {
    const more = async (manager: typeof sessions, id: string): Promise<void> => {
      const isDone = () => manager.update<{ n: number }>(id, ({ n }) => ({ n: n + 1 })).then(() => true, () => false)
      while (!(await isDone()));
    }
    for (const _ of range(60)) {
      const id = await sessions.createSession('ann', { n: 0 })
      const counting = range(12).map((n) => more(n % 2 === 0 ? sessions : other, id))
      const next = await sessions.rotate(id)
      await Promise.all(counting)
      expect(await sessions.getSessionData(next!)).toEqual({ n: 12 })
    }
  })

  it('counts the session once, and lists it by its new handle', async () => {
    const counted = managerOf(holdfast)
    const id = await counted.createSession('ann')
    const next = (await counted.rotate(id))!
    expect(await counted.getStats()).toMatchObject({ totalSessions: 1, authenticatedSessions: 1 })
    const { handle } = await found(counted, next)
    expect((await counted.getUserSessions('ann')).map((each) => each.handle)).toEqual([handle])
  })

  it('does not give it more time than it has', async () => {
    let id = await sessions.createSession('ann', {}, { ttl: HOUR, absoluteTtl: 0.5 })
    const began = Date.now()
    await waitFor('the session to end in spite of its rotations', async () => {
      const next = await sessions.rotate(id)
      if (next !== null) id = next
      return next === null
    })
    expect(Date.now() - began).toBeGreaterThan(200)
  })

  if (store === 'redis') it('does not give it more time than it has by the server either', async () => {
    const id = await sessions.createSession('ann', {}, { ttl: HOUR, absoluteTtl: '2h' })
    await aged(outside(), await keyOf(outside(), keyPrefix, await found(sessions, id)), 'made', 2 * HOUR_MS - 60_000)
    const next = (await sessions.rotate(id))!
    expect(await lifeOf(outside(), keyPrefix, await found(sessions, next))).toBeLessThanOrEqual(61_000)
    await sessions.updateSession(next, {}, { ttl: '1d' })
    expect(await lifeOf(outside(), keyPrefix, await found(sessions, next))).toBeLessThanOrEqual(61_000)
  })

  it('grows the version, as every change does', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    await sessions.updateSession(id, { a: 2 })
    const { version } = await found(sessions, id)
    await sessions.rotate(id)
    expect((await found(sessions, id)).version).toBeGreaterThanOrEqual(version)
  })
})
