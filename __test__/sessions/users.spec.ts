// A user's sessions: listed by handles that open nothing, ended one by one, all but one, or all at once.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore, stores } from '../cache/stores'
import { found, HOUR, later, managerOf, opening, requestWith, unknownId, untilEnded } from './sessions'

const odd = ['zoe', 'Zoe', 'zoe ', ' zoe', 'z', 'zoe:1', '{zoe}', '*', '?', '%', '\0', 'ä', 'a\u0308', '日本', '😀', '__proto__', 'constructor', 'toString', 'u'.repeat(512), '0', 'null', 'undefined']

describe.each(stores)('a user\'s sessions on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const sessions = managerOf(holdfast, { prefix: 'users', touchAfter: 0 })
  const other = store === 'redis' ? managerOf(open(asAnother), { prefix: 'users', touchAfter: 0 }) : sessions

  it('are listed with all that they are, each under its handle, those first that were used last', async () => {
    const ids: string[] = []
    for (const n of range(3)) {
      ids.push(await sessions.createSession('ann', { n }, { ipAddress: `203.0.113.${n}`, userAgent: `browser ${n}` }))
      await later(20)
    }
    await sessions.createSession('another user')
    await sessions.createSession()
    for (const manager of [sessions, other]) {
      const all = await manager.getUserSessions<{ n: number }>('ann')
      expect(all.map(({ data }) => data.n)).toEqual([2, 1, 0])
      for (const { id, handle, data: { n }, ...rest } of all) {
        expect(id).toBe(handle)
        expect(handle).toBe((await found(sessions, ids[n]!)).handle)
        expect(rest).toMatchObject({ userId: 'ann', isGuest: false, ipAddress: `203.0.113.${n}`, userAgent: `browser ${n}`, version: 1 })
      }
    }
    await later(20)
    await sessions.getSession(ids[0]!)
    await expect.poll(async () => (await sessions.getUserSessions('ann')).map(({ data }) => data['n'])).toEqual([0, 2, 1])
  })

  it('are not used by being listed', async () => {
    const id = await sessions.createSession('bea')
    const { lastAccessedAt } = await found(sessions, id)
    await later(40)
    for (const _ of range(3)) await sessions.getUserSessions('bea')
    expect(Math.abs((await found(sessions, id)).lastAccessedAt - lastAccessedAt)).toBeLessThan(20)
  })

  it('are those of the one user, whatever the name', async () => {
    for (const user of odd) await sessions.createSession(user, { user })
    for (const user of odd) {
      const all = await other.getUserSessions(user)
      expect(all.map(({ userId, data }) => [userId, data['user']]), user).toEqual([[user, user]])
    }
    for (const user of odd.slice(1)) expect(await sessions.invalidateUserSessions(user), user).toBe(1)
    expect(await sessions.getUserSessions('zoe')).not.toEqual([])
  })

  it('of nobody are none', async () => {
    expect(await sessions.getUserSessions('nobody')).toEqual([])
    expect(await sessions.invalidateUserSessions('nobody')).toBe(0)
  })

  it('are not listed any more when they have ended, in whatever way', async () => {
    const ids = await Promise.all(range(4).map(() => sessions.createSession('cay', {}, { ttl: HOUR })))
    const brief = await sessions.createSession('cay', {}, { ttl: 0.05 })
    await sessions.deleteSession(ids[0]!)
    await sessions.revoke((await found(sessions, ids[1]!)).handle)
    await untilEnded(sessions, brief)
    const handles = await Promise.all(ids.slice(2).map(async (id) => (await found(sessions, id)).handle))
    expect((await other.getUserSessions('cay')).map(({ handle }) => handle).sort()).toEqual(handles.sort())
  })

  it('are opened by no handle, whatever is called', async () => {
    const ids = [await sessions.createSession('dee', { a: 1 }), await sessions.createSession(null, { a: 1 })]
    for (const id of ids) {
      const { handle } = await found(sessions, id)
      expect(await sessions.getSession(handle)).toBeNull()
      expect(await sessions.getSessionData(handle)).toBeNull()
      expect(await sessions.sessionExists(handle)).toBe(false)
      expect(await sessions.updateSession(handle, { a: 2 })).toBe(false)
      expect(await sessions.setSessionData(handle, 'a', 2)).toBe(false)
      expect(await sessions.update(handle, () => expect.unreachable('it was called'))).toBeNull()
      expect(await sessions.rotate(handle)).toBeNull()
      expect(await sessions.revokeOthers(handle)).toBe(0)
      expect(await sessions.deleteSession(handle)).toBe(false)
      const opened = await sessions.openSession(requestWith(`${sessions.cookies.name}=${handle}`))
      expect([opened.session, opened.id, opened.userId]).toEqual([null, null, null])
      await opened.destroy()
      expect(await found(sessions, id)).toMatchObject({ data: { a: 1 }, version: 1 })
    }
  })

  it('are ended by their handle, once, and by their id as well', async () => {
    const [id, second] = [await sessions.createSession('eve'), await sessions.createSession('eve')]
    const { handle } = await found(sessions, id)
    expect(await other.revoke(handle)).toBe(true)
    expect(await other.revoke(handle)).toBe(false)
    expect(await opening(sessions, [id, second])).toEqual([false, true])
    expect(await sessions.revoke(second)).toBe(true)
    expect(await sessions.getUserSessions('eve')).toEqual([])
  })

  it('are not ended by what is no handle of theirs', async () => {
    const id = await sessions.createSession('fay')
    const { handle } = await found(sessions, id)
    const unknown = unknownId('u')
    const wrong = ['', 'handle', handle.slice(1), `${handle}a`, handle.replace('.', ''), handle.toUpperCase(), `${handle}\n`, unknown, `${unknown.slice(0, 23)}.${unknown.slice(23)}`, `g${handle.slice(1)}`]
    for (const each of wrong) expect(await sessions.revoke(each), each).toBe(false)
    expect(await sessions.sessionExists(id)).toBe(true)
  })

  it('are ended but one, and that one goes on', async () => {
    const ids = await Promise.all(range(4).map((n) => sessions.createSession('gus', { n })))
    const stranger = await sessions.createSession('another user')
    expect(await other.revokeOthers(ids[1]!)).toBe(3)
    expect(await opening(sessions, [...ids, stranger])).toEqual([false, true, false, false, true])
    expect(await sessions.revokeOthers(ids[1]!)).toBe(0)
    expect(await sessions.updateSession(ids[1]!, { after: true })).toBe(true)
    expect(await sessions.getUserSessions('gus')).toMatchObject([{ data: { n: 1, after: true } }])
    const next = await sessions.rotate(ids[1]!)
    expect(await sessions.getSessionData(next!)).toEqual({ n: 1, after: true })
    const later_ = await sessions.createSession('gus')
    expect(await opening(sessions, [next!, later_])).toEqual([true, true])
  })

  it('are not there for a guest, who has no others', async () => {
    const [id, guest] = [await sessions.createSession(), await sessions.createSession()]
    expect(await sessions.revokeOthers(id)).toBe(0)
    expect(await opening(sessions, [id, guest])).toEqual([true, true])
  })

  it('are ended all at once, and stay dead when the user comes back', async () => {
    const ids = await Promise.all(range(5).map((n) => (n % 2 === 0 ? sessions : other).createSession('hal', { n })))
    const stranger = await sessions.createSession('another user')
    expect(await sessions.invalidateUserSessions('hal')).toBe(5)
    const dead = async () => {
      for (const manager of [sessions, other]) {
        expect(await opening(manager, ids)).toEqual(ids.map(() => false))
        for (const id of ids) expect(await manager.updateSession(id, { a: 1 })).toBe(false)
      }
    }
    await dead()
    expect(await sessions.getUserSessions('hal')).toEqual([])
    expect(await sessions.invalidateUserSessions('hal')).toBe(0)
    const next = await other.createSession('hal', { back: true })
    const login = await sessions.authenticate(ids[0], 'hal')
    const guest = await sessions.authenticate(await sessions.createSession(), 'hal')
    await dead()
    expect(await opening(other, [next, login, guest, stranger])).toEqual([true, true, true, true])
    expect(await sessions.getUserSessions('hal')).toHaveLength(3)
    expect(await sessions.invalidateUserSessions('hal')).toBe(3)
    expect(await opening(sessions, [next, login, guest, stranger])).toEqual([false, false, false, true])
  })

  it('are ended and begun again and again, and each time only what began since is there', async () => {
    for (const round of range(20)) {
      const ids = await Promise.all(range(3).map(() => sessions.createSession('ian', { round })))
      expect(await opening(other, ids)).toEqual([true, true, true])
      expect(await other.invalidateUserSessions('ian')).toBe(3)
      expect(await opening(sessions, ids)).toEqual([false, false, false])
    }
  })

  it('of another prefix are others', async () => {
    const id = await sessions.createSession('jan')
    const elsewhere = await sessions.createSession('jan', {}, { prefix: 'elsewhere' })
    expect(await sessions.getUserSessions('jan', { prefix: 'elsewhere' })).toHaveLength(1)
    expect(await sessions.invalidateUserSessions('jan', { prefix: 'elsewhere' })).toBe(1)
    expect(await sessions.sessionExists(id)).toBe(true)
    expect(await sessions.sessionExists(elsewhere, { prefix: 'elsewhere' })).toBe(false)
  })
})
