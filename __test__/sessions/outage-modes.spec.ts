// While Redis does not answer, each manager does what it was told: goes on with the sessions that it knows, only reads
// them, or says that nobody can tell. Who logs out is logged out in any case.
import type { HoldfastError } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { patient } from '../cache/stores'
import { Scene, unhandledDuring } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { alone, back, dataOf, datasOf, forced, handleOf, judgeOf, newUser, unavailable, type Manager, type ManagerOptions } from './outages'

const begins: [string, (scene: Scene) => Promise<unknown> | void, (scene: Scene) => Promise<unknown> | void][] = [
  ['was killed', ({ server }) => server.kill(), ({ server }) => server.start()],
  ['is frozen', ({ server }) => server.freeze(), ({ server }) => server.thaw()],
  ['is not asked, by request', ({ holdfast }) => forced(holdfast), ({ holdfast }) => holdfast.fallbackManager.forceFallbackMode(false)],
]

describe.concurrent.each(begins)('while the server %s', (_, begin, end) => {
  it('local reads and writes what it knows, says so, and writes it to Redis afterwards', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const user = newUser()
    const [id, guest] = [await sessionManager.createSession(user, { a: 1, gone: 1 }), await sessionManager.createSession(null, { g: 1 })]
    const handle = await handleOf(sessionManager, id)
    await begin(scene)
    // The first calls find out, and are answered like the others.
    expect(await sessionManager.getSession(id)).toMatchObject({ id, handle, userId: user, isGuest: false, degraded: true, data: { a: 1, gone: 1 } })
    expect(await sessionManager.updateSession(id, { b: [2], gone: undefined })).toBe(true)
    expect(await sessionManager.setSessionData(guest, 'g', 2)).toBe(true)
    expect(await sessionManager.update(guest, (data) => ({ ...data, h: Number(data['g']) + 1 }))).toMatchObject({ degraded: true, data: { g: 2, h: 3 } })
    expect(await datasOf(sessionManager, [id, guest])).toEqual([{ a: 1, b: [2] }, { g: 2, h: 3 }])
    expect(await sessionManager.sessionExists(id)).toBe(true)
    expect(await sessionManager.getUserSessions(user)).toMatchObject([{ id: handle, degraded: true, data: { a: 1, b: [2] } }])
    expect(await sessionManager.getStats()).toMatchObject({ totalSessions: 2, guestSessions: 1 })
    await waitFor('that to be told', async () => (await sessionManager.getStats()).backend === 'memory')
    expect(scene.holdfast.fallbackManager.getStats().journalDepth).toBe(2)
    await end(scene)
    await back(scene.holdfast)
    const other = judgeOf(scene)
    expect(await datasOf(other, [id, guest])).toEqual([{ a: 1, b: [2] }, { g: 2, h: 3 }])
    expect(await sessionManager.getSession(id)).toMatchObject({ degraded: false })
  })

  it('what this process has never seen is not there, and what it changes there changes nothing', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const elsewhere = judgeOf(scene)
    const user = newUser()
    const id = await elsewhere.createSession(user, { a: 1 })
    await begin(scene)
    await alone(scene.holdfast)
    expect(await sessionManager.getSession(id)).toBeNull()
    expect(await sessionManager.sessionExists(id)).toBe(false)
    expect(await sessionManager.getUserSessions(user)).toEqual([])
    expect(await sessionManager.updateSession(id, { a: 2 })).toBe(false)
    expect(await sessionManager.update(id, () => ({ a: 3 }))).toBeNull()
    expect(await sessionManager.rotate(id)).toBeNull()
    expect(await sessionManager.revokeOthers(id)).toBe(0)
    await end(scene)
    await back(scene.holdfast)
    expect(await dataOf(sessionManager, id)).toEqual({ a: 1 })
  })

  it('guests may begin, nobody may log in, and whoever is logged in gets a new id', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager, GuestSessionManager } = scene.holdfast
    const user = newUser()
    const id = await sessionManager.createSession(user, { a: 1 })
    await begin(scene)
    const guest = await GuestSessionManager.createGuestSession({ cart: [1] })
    await expect(sessionManager.createSession(newUser())).rejects.toMatchObject(unavailable)
    await expect(sessionManager.authenticate(null, newUser())).rejects.toMatchObject(unavailable)
    await expect(sessionManager.authenticate(guest, user)).rejects.toMatchObject(unavailable)
    await expect(GuestSessionManager.convertToAuthenticatedSession(guest, user)).rejects.toMatchObject(unavailable)
    expect(await GuestSessionManager.getGuestSession(guest)).toMatchObject({ data: { cart: [1], type: 'guest' }, degraded: true })
    const [rotated, again] = [await sessionManager.rotate(id), await sessionManager.rotate(guest)]
    expect(rotated).toMatch(/^u/)
    // The old one leads there for a moment still.
    expect(await datasOf(sessionManager, [rotated!, id, again!])).toEqual([{ a: 1 }, { a: 1 }, { cart: [1], type: 'guest' }])
    expect(await sessionManager.updateSession(rotated!, { b: 2 })).toBe(true)
    expect(await sessionManager.getUserSessions(user)).toHaveLength(1)
    await end(scene)
    await back(scene.holdfast)
    const other = judgeOf(scene)
    expect(await datasOf(other, [rotated!, again!])).toEqual([{ a: 1, b: 2 }, { cart: [1], type: 'guest' }])
    expect(await other.getUserSessions(user)).toHaveLength(1)
  })

  it('a login that is refused ends nothing', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const ids = [await sessionManager.createSession(newUser(), { a: 1 }), await sessionManager.createSession(null, { a: 1 })]
    await begin(scene)
    await alone(scene.holdfast)
    for (const id of ids) await expect(sessionManager.authenticate(id, newUser())).rejects.toMatchObject(unavailable)
    expect(await datasOf(sessionManager, ids)).toEqual([{ a: 1 }, { a: 1 }])
    await end(scene)
    await back(scene.holdfast)
    expect(await datasOf(judgeOf(scene), ids)).toEqual([{ a: 1 }, { a: 1 }])
  })

  it('users may log in where they are told that they may', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ degradedLogins: true })
    const user = newUser()
    const visitor = await sessions.createSession(null, { cart: [1] })
    await begin(scene)
    const [id, converted] = [await sessions.createSession(user, { a: 1 }), await sessions.authenticate(visitor, user, { b: 2 })]
    const convertedGuest = await sessions.createSession(null, { c: 3 })
    expect(await dataOf(sessions, visitor)).toBeNull()
    await end(scene)
    await back(scene.holdfast)
    const other = judgeOf(scene)
    expect(await datasOf(other, [id, converted, convertedGuest, visitor])).toEqual([{ a: 1 }, { cart: [1], b: 2 }, { c: 3 }, null])
    expect(await other.getUserSessions(user)).toHaveLength(2)
  })

  it('read-only reads what it knows, and changes nothing but ends', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ onUnavailable: 'read-only', touchAfter: 0, degradedLogins: true })
    const user = newUser()
    const [id, guest] = [await sessions.createSession(user, { a: 1 }), await sessions.createSession(null, { g: 1 })]
    await begin(scene)
    await alone(scene.holdfast)
    const unhandled = await unhandledDuring(async () => {
      expect(await sessions.getSession(id)).toMatchObject({ data: { a: 1 }, degraded: true })
    })
    expect(unhandled).toEqual([])
    for (const call of [
      () => sessions.updateSession(id, { a: 2 }),
      () => sessions.setSessionData(guest, 'g', 2),
      () => sessions.update(id, () => ({ a: 2 })),
      () => sessions.createSession(null, { g: 1 }),
      () => sessions.createSession(newUser()),
      () => sessions.rotate(id),
      () => sessions.authenticate(guest, user),
    ]) await expect(call()).rejects.toMatchObject(unavailable)
    expect(await datasOf(sessions, [id, guest])).toEqual([{ a: 1 }, { g: 1 }])
    expect(scene.holdfast.fallbackManager.getStats().journalDepth).toBe(0)
    expect(await sessions.deleteSession(guest)).toBe(true)
    expect(await sessions.invalidateUserSessions(user)).toBe(1)
    expect(await datasOf(sessions, [id, guest])).toEqual([null, null])
    await end(scene)
    await back(scene.holdfast)
    const other = judgeOf(scene)
    expect(await datasOf(other, [id, guest])).toEqual([null, null])
  })

  it('fail answers nothing, and takes ends all the same', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ onUnavailable: 'fail' })
    const user = newUser()
    const ids = await Promise.all(range(3).map((n) => sessions.createSession(null, { n })))
    const [id, , revoked] = [...ids] as [string, string, string]
    const mine = await sessions.createSession(user, { a: 1 })
    const handle = await handleOf(sessions, revoked)
    await begin(scene)
    await alone(scene.holdfast)
    for (const call of [
      () => sessions.getSession(id),
      () => sessions.sessionExists(id),
      () => sessions.updateSession(id, { a: 2 }),
      () => sessions.update(id, () => ({ a: 2 })),
      () => sessions.createSession(null),
      () => sessions.rotate(id),
      () => sessions.getUserSessions(user),
      () => sessions.getStats(),
    ]) await expect(call()).rejects.toMatchObject(unavailable)
    await sessions.deleteSession(id)
    await sessions.revoke(handle)
    await sessions.invalidateUserSessions(user)
    await end(scene)
    await back(scene.holdfast)
    const other = judgeOf(scene)
    expect(await datasOf(other, [...ids, mine])).toEqual([null, { n: 1 }, null, null])
    expect(await datasOf(sessions, [...ids, mine])).toEqual([null, { n: 1 }, null, null])
  })

  it('ends of what this process has never seen are carried out as well', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const other = scene.open({ url: scene.server.url, ...patient })
    const elsewhere = other.sessionManager
    const user = newUser()
    const [id, revoked, mine, kept] = [await elsewhere.createSession(null), await elsewhere.createSession(newUser()), await elsewhere.createSession(user), await elsewhere.createSession(newUser())]
    const handle = await handleOf(elsewhere, revoked)
    await begin(scene)
    await alone(scene.holdfast)
    expect(await sessionManager.deleteSession(id)).toBe(false)
    expect(await sessionManager.revoke(handle)).toBe(false)
    expect(await sessionManager.invalidateUserSessions(user)).toBe(0)
    await end(scene)
    await Promise.all([back(scene.holdfast), back(other)])
    expect(await datasOf(elsewhere, [id, revoked, mine, kept])).toEqual([null, null, null, {}])
    expect(await elsewhere.getUserSessions(user)).toEqual([])
  })

  it('who is ended is so at once here, whatever he asks', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const user = newUser()
    const ids = await Promise.all(range(4).map((n) => sessionManager.createSession(user, { n })))
    const [first, second, third, kept] = ids as [string, string, string, string]
    const handle = await handleOf(sessionManager, second)
    await begin(scene)
    expect(await sessionManager.deleteSession(first)).toBe(true)
    expect(await sessionManager.deleteSession(first)).toBe(false)
    expect(await sessionManager.revoke(handle)).toBe(true)
    expect(await sessionManager.revokeOthers(kept)).toBe(1)
    for (const id of [first, second, third]) {
      expect(await sessionManager.getSession(id)).toBeNull()
      expect(await sessionManager.updateSession(id, { back: true })).toBe(false)
      expect(await sessionManager.rotate(id)).toBeNull()
    }
    expect(await sessionManager.getUserSessions(user)).toHaveLength(1)
    expect(await sessionManager.updateSession(kept, { more: 1 })).toBe(true)
    await end(scene)
    await back(scene.holdfast)
    const other = judgeOf(scene)
    expect(await datasOf(other, ids)).toEqual([null, null, null, { n: 3, more: 1 }])
    expect(await other.getUserSessions(user)).toHaveLength(1)
  })
})

describe.concurrent('what is refused while it is on its way to a frozen server', () => {
  it.each<[string, (sessions: Manager, id: string, user: string) => Promise<unknown>, NonNullable<ManagerOptions['onUnavailable']>]>([
    ['a login', (sessions, _, user) => sessions.createSession(user), 'local'],
    ['a change', (sessions, id) => sessions.updateSession(id, { late: 1 }), 'read-only'],
    ['a change', (sessions, id) => sessions.updateSession(id, { late: 1 }), 'fail'],
    ['a new id', (sessions, id) => sessions.rotate(id), 'fail'],
  ])('%s does not say that nothing was done when it was done', async (_, call, onUnavailable) => {
    await using scene = await Scene.start({ nearCache: 'off' })
    const sessions = scene.holdfast.createSessionManager({ onUnavailable })
    const user = newUser()
    const id = await sessions.createSession(user, { a: 1 })
    const judge = judgeOf(scene)
    const look = async (): Promise<unknown> => (await judge.getUserSessions(user)).map(({ data, handle }) => [handle, data])
    const before = await look()
    scene.server.freeze()
    const error = await call(sessions, id, user).then(() => null, (reason: HoldfastError) => reason)
    expect(error).toMatchObject({ code: 'E_UNAVAILABLE' })
    scene.server.thaw()
    await back(scene.holdfast)
    const after = await look()
    if (error?.applied === 'no') expect(after).toEqual(before)
  })
})

describe.concurrent('a copy', () => {
  it.each([
    ['that was read', async () => {}],
    ['that was changed since the outage began', async (change: () => Promise<boolean>) => void (await change())],
  ])('%s, and that Redis vouched for too long ago, is none', async (_, act) => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ maxDegradedSession: 1, degradedLogins: true, touchAfter: 0 })
    const user = newUser()
    const known = [await sessions.createSession(user, { a: 1 }), await sessions.createSession(null, { g: 1 })]
    await scene.server.kill()
    await alone(scene.holdfast)
    expect(await datasOf(sessions, known)).toEqual([{ a: 1 }, { g: 1 }])
    await act(async () => (await sessions.updateSession(known[0]!, { b: 1 })) && (await sessions.updateSession(known[1]!, { b: 1 })))
    // They begin here: nobody else could know better.
    const own = [await sessions.createSession(user, { own: 1 }), await sessions.createSession(null, { own: 2 })]
    // Use does not make it younger.
    await waitFor('the copies to be too old', async () => (await sessions.getSession(known[0]!)) === null && (await sessions.getSession(known[1]!)) === null)
    expect(await sessions.updateSession(known[0]!, { late: 1 })).toBe(false)
    expect(await sessions.sessionExists(known[1]!)).toBe(false)
    expect(await sessions.rotate(known[0]!)).toBeNull()
    expect((await sessions.getUserSessions(user)).map(({ data }) => data)).toEqual([{ own: 1 }])
    expect(await datasOf(sessions, own)).toEqual([{ own: 1 }, { own: 2 }])
    expect(await sessions.updateSession(own[0]!, { more: 1 })).toBe(true)
    await scene.server.start()
    await back(scene.holdfast)
    const changed = _.includes('changed') ? { b: 1 } : {}
    expect(await datasOf(sessions, [...known, ...own])).toEqual([{ a: 1, ...changed }, { g: 1, ...changed }, { own: 1, more: 1 }, { own: 2 }])
  })

  it('that is rotated while Redis is away grows no younger by it', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ maxDegradedSession: 1 })
    const id = await sessions.createSession(newUser(), { a: 1 })
    await scene.server.kill()
    await alone(scene.holdfast)
    const rotated = await sessions.rotate(id)
    expect(await dataOf(sessions, rotated!)).toEqual({ a: 1 })
    await waitFor('it to be too old', async () => (await sessions.getSession(rotated!)) === null, { withinMs: 5_000 })
  })

  it('of a session that others ended is at most as old as it may be', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ maxDegradedSession: 1 })
    const elsewhere = judgeOf(scene)
    const id = await sessions.createSession(newUser(), { a: 1 })
    await scene.proxy.set('refuse')
    await alone(scene.holdfast)
    expect(await elsewhere.deleteSession(id)).toBe(true)
    expect(await dataOf(sessions, id)).toEqual({ a: 1 })
    await waitFor('it to be too old', async () => (await sessions.getSession(id)) === null)
    await scene.proxy.set('pass')
    await back(scene.holdfast)
    expect(await sessions.getSession(id)).toBeNull()
  })

  it('ages from when Redis was asked last, not from when it was made', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ maxDegradedSession: 2 })
    const id = await sessions.createSession(null, { a: 1 })
    const since = performance.now()
    await waitFor('some time to pass', async () => {
      expect(await dataOf(sessions, id)).toEqual({ a: 1 })
      return performance.now() - since > 2_100
    })
    await scene.server.kill()
    expect(await sessions.getSession(id)).toMatchObject({ degraded: true })
  })
})

describe.concurrent('without a fallback', () => {
  it('nobody can tell, and nothing is taken', async () => {
    await using scene = await Scene.start({ fallback: { enabled: false } })
    const { sessionManager } = scene.holdfast
    const id = await sessionManager.createSession(newUser(), { a: 1 })
    await scene.server.kill()
    for (const call of [() => sessionManager.getSession(id), () => sessionManager.updateSession(id, { a: 2 }), () => sessionManager.createSession(null), () => sessionManager.deleteSession(id)])
      await expect(call()).rejects.toMatchObject({ code: 'E_UNAVAILABLE' })
  })
})

describe.concurrent('by request', () => {
  it('statistics say at once that memory counted', async () => {
    await using scene = await Scene.start()
    const { sessionManager, fallbackManager } = scene.holdfast
    await sessionManager.createSession(null)
    const backends: string[] = []
    for (const _ of range(20)) {
      const forced = fallbackManager.forceFallbackMode(true)
      backends.push((await sessionManager.getStats()).backend)
      await forced
      await fallbackManager.forceFallbackMode(false)
      await fallbackManager.syncWithRedis()
    }
    expect(new Set(backends)).toEqual(new Set(['memory']))
  })

  it('memory answers at once, sends nothing, and everything is there afterwards', async () => {
    await using scene = await Scene.start()
    const { sessionManager, fallbackManager } = scene.holdfast
    const elsewhere = judgeOf(scene)
    const id = await sessionManager.createSession(newUser(), { a: 1 })
    const ended = await sessionManager.createSession(newUser())
    for (const round of range(3)) {
      const forced = fallbackManager.forceFallbackMode(true)
      const changed = sessionManager.updateSession(id, { [`during ${round}`]: true })
      await forced
      expect(await changed).toBe(true)
      const guest = await sessionManager.createSession(null, { round })
      expect(await dataOf(elsewhere, id)).not.toHaveProperty(`during ${round}`)
      expect(await dataOf(elsewhere, guest)).toBeNull()
      if (round === 1) await sessionManager.deleteSession(ended)
      expect(await dataOf(elsewhere, ended)).toEqual(round < 2 ? {} : null)
      await fallbackManager.forceFallbackMode(false)
      await fallbackManager.syncWithRedis()
      expect(await dataOf(elsewhere, id)).toHaveProperty(`during ${round}`)
      expect(await dataOf(elsewhere, guest)).toEqual({ round })
    }
    expect(await datasOf(elsewhere, [id, ended])).toEqual([{ a: 1, 'during 0': true, 'during 1': true, 'during 2': true }, null])
  })
})
