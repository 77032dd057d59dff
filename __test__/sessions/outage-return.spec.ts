// When Redis is back, what was acknowledged meanwhile is there, once; whatever the outage was.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { Scene, unhandledDuring } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { alone, back, dataOf, datasOf, handleOf, judgeOf, newUser, outages } from './outages'

const HOUR_MS = 3_600_000

describe.concurrent.each(outages)('after a server that $name', ({ begin, end, persistent, isLost }) => {
  it('what began meanwhile is there, for everybody and in all lists', async () => {
    await using scene = await Scene.start({}, { persistent })
    const sessions = scene.holdfast.createSessionManager({ degradedLogins: true })
    const user = newUser()
    await sessions.createSession(null)
    await begin(scene)
    await alone(scene.holdfast)
    const mine = await Promise.all(range(20).map((n) => sessions.createSession(user, { n, text: 'ä "x" \u0000' }, { ipAddress: '10.0.0.1', userAgent: 'agent' })))
    const guests = await Promise.all(range(20).map((n) => sessions.createSession(null, { n }, { ttl: 3600 })))
    const before = await sessions.getSession(mine[0]!)
    await end(scene)
    await back(scene.holdfast)
    const judge = judgeOf(scene)
    expect(await datasOf(judge, mine)).toEqual(range(20).map((n) => ({ n, text: 'ä "x" \u0000' })))
    expect(await datasOf(judge, guests)).toEqual(range(20).map((n) => ({ n })))
    expect(await judge.getUserSessions(user)).toHaveLength(20)
    expect(await judge.getStats()).toMatchObject({ authenticatedSessions: 20, guestSessions: isLost ? 20 : 21, backend: 'redis' })
    const after = await judge.getSession(mine[0]!)
    expect(after).toMatchObject({ userId: user, ipAddress: '10.0.0.1', userAgent: 'agent', createdAt: before!.createdAt, degraded: false })
    expect(Math.abs(after!.expiresAt - before!.expiresAt)).toBeLessThan(5_000)
    const left = (await judge.getSession(guests[0]!, { sliding: false }))!.expiresAt - Date.now()
    expect(left).toBeGreaterThan(HOUR_MS - 20_000)
    expect(left).toBeLessThanOrEqual(HOUR_MS)
    // They are sessions as all others are.
    expect(await judge.invalidateUserSessions(user)).toBe(20)
    expect(await datasOf(sessions, mine)).toEqual(range(20).map(() => null))
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0, journalDepth: 0 })
  })

  it('what was set and removed of a session is so', async () => {
    await using scene = await Scene.start({}, { persistent })
    const { sessionManager } = scene.holdfast
    const ids = await Promise.all(range(10).map((n) => sessionManager.createSession(n % 2 === 0 ? newUser() : null, { n, old: 1, gone: 1, back: 1 })))
    await begin(scene)
    await alone(scene.holdfast)
    for (const id of ids) {
      expect(await sessionManager.updateSession(id, { old: 2, gone: undefined, back: undefined, fresh: { deep: [null, 'é'] } })).toBe(true)
      expect(await sessionManager.updateSession(id, { old: 3, back: 'again', short: 1 })).toBe(true)
      expect(await sessionManager.setSessionData(id, 'short', undefined)).toBe(true)
    }
    const expected = range(10).map((n) => ({ n, old: 3, back: 'again', fresh: { deep: [null, 'é'] } }))
    expect(await datasOf(sessionManager, ids)).toEqual(expected)
    await end(scene)
    await back(scene.holdfast)
    // What the server lost before the outage is its own loss, with what was changed of it.
    const there = isLost ? ids.map(() => null) : expected
    expect(await datasOf(judgeOf(scene), ids)).toEqual(there)
    expect(await datasOf(sessionManager, ids)).toEqual(there)
  })

  it('what began meanwhile has its changes, and what was ended of it never comes', async () => {
    await using scene = await Scene.start({}, { persistent })
    const { sessionManager } = scene.holdfast
    await sessionManager.createSession(null)
    await begin(scene)
    await alone(scene.holdfast)
    const [kept, ended, rotated] = [await sessionManager.createSession(null, { a: 1, b: 1 }), await sessionManager.createSession(null, { a: 1 }), await sessionManager.createSession(null, { a: 1 })]
    await sessionManager.updateSession(kept, { a: 2, b: undefined, c: 3 })
    expect(await sessionManager.deleteSession(ended)).toBe(true)
    const next = await sessionManager.rotate(rotated)
    await sessionManager.updateSession(next!, { more: 1 })
    await end(scene)
    await back(scene.holdfast)
    expect(await datasOf(judgeOf(scene), [kept, ended, rotated, next!])).toEqual([{ a: 2, c: 3 }, null, { a: 1, more: 1 }, { a: 1, more: 1 }])
    expect(await judgeOf(scene).getStats()).toMatchObject({ guestSessions: isLost ? 2 : 3 })
  })

  it('another lifetime and later use are so, too', async () => {
    await using scene = await Scene.start({}, { persistent })
    const sessions = scene.holdfast.createSessionManager({ touchAfter: 0, ttl: 600 })
    await sessions.createSession(null)
    const began = Date.now()
    const [longer, shorter, used] = await Promise.all(range(3).map((n) => sessions.createSession(null, { n }))) as [string, string, string]
    await begin(scene)
    await alone(scene.holdfast)
    const own = await sessions.createSession(null)
    const since = Date.now()
    expect(await sessions.updateSession(longer, {}, { ttl: 7200 })).toBe(true)
    expect(await sessions.updateSession(shorter, { a: 1 }, { ttl: 60 })).toBe(true)
    expect(await sessions.updateSession(own, {}, { ttl: 1800 })).toBe(true)
    await waitFor('some time to pass', () => Date.now() - since > 1_200)
    const lastUse = Date.now()
    expect(await sessions.getSession(used)).not.toBeNull()
    await end(scene)
    await back(scene.holdfast)
    const judge = judgeOf(scene)
    const expectEnd = async (id: string, ttl: number, from: number, to: number): Promise<void> => {
      const session = await judge.getSession(id, { sliding: false })
      expect(session).not.toBeNull()
      expect(session!.expiresAt).toBeGreaterThan(from + ttl * 1000 - 400)
      expect(session!.expiresAt).toBeLessThan(to + ttl * 1000 + 400)
    }
    await expectEnd(own, 1800, since, since)
    if (isLost) return
    await expectEnd(longer, 7200, began, since)
    await expectEnd(shorter, 60, began, since)
    await expectEnd(used, 600, lastUse, lastUse)
    // And the server itself lets them live for so long.
    const pattern = `${scene.keyPrefix}session:{*`
    const ttls = await scene.outside(async (client) => {
      const keys = (await client.call('KEYS', pattern)) as string[]
      return await Promise.all(keys.map(async (key) => Number(await client.call('PTTL', key))))
    })
    expect(ttls.every((ttl) => ttl > 0 && ttl <= 7_200_000)).toBe(true)
    expect(ttls.some((ttl) => ttl > 7_000_000)).toBe(true)
  })

  it('another lifetime counts from when it was given', async () => {
    await using scene = await Scene.start({}, { persistent })
    const sessions = scene.holdfast.createSessionManager({ ttl: 600 })
    await sessions.createSession(null)
    await begin(scene)
    await alone(scene.holdfast)
    const id = await sessions.createSession(null)
    const since = Date.now()
    await waitFor('some time to pass', () => Date.now() - since > 1_200)
    // So short that it would be over, if it counted from before.
    expect(await sessions.updateSession(id, { a: 1 }, { ttl: 1 })).toBe(true)
    expect(await sessions.updateSession(id, {}, { ttl: 60 })).toBe(true)
    const at = Date.now()
    await end(scene)
    await back(scene.holdfast)
    const session = await judgeOf(scene).getSession(id, { sliding: false })
    expect(session?.data).toEqual({ a: 1 })
    expect(Math.abs(session!.expiresAt - at - 60_000)).toBeLessThan(400)
  })

  it('a session that is used all the time outlives its lifetime', async () => {
    await using scene = await Scene.start({}, { persistent })
    // After its last use it must live until a busy machine has come back and looked.
    const sessions = scene.holdfast.createSessionManager({ touchAfter: 0, ttl: 8 })
    await begin(scene)
    await alone(scene.holdfast)
    const id = await sessions.createSession(null, { a: 1 })
    const since = performance.now()
    await waitFor('its lifetime to be over', async () => {
      expect(await sessions.getSession(id)).not.toBeNull()
      return performance.now() - since > 8_500
    })
    await end(scene)
    await back(scene.holdfast)
    expect(await dataOf(judgeOf(scene), id)).toEqual({ a: 1 })
  })

  it('what was ended is so for everybody', async () => {
    await using scene = await Scene.start({}, { persistent })
    const { sessionManager } = scene.holdfast
    const [user, others] = [newUser(), newUser()]
    const [one, revoked, guest] = [await sessionManager.createSession(newUser()), await sessionManager.createSession(newUser()), await sessionManager.createSession(null)]
    const mine = await Promise.all(range(5).map((n) => sessionManager.createSession(user, { n })))
    const beside = await Promise.all(range(5).map((n) => sessionManager.createSession(others, { n })))
    const kept = beside[2]!
    const handle = await handleOf(sessionManager, revoked)
    await begin(scene)
    await alone(scene.holdfast)
    expect([await sessionManager.deleteSession(one), await sessionManager.revoke(handle), await sessionManager.deleteSession(guest)]).toEqual([true, true, true])
    expect([await sessionManager.invalidateUserSessions(user), await sessionManager.revokeOthers(kept)]).toEqual([5, 4])
    await end(scene)
    await back(scene.holdfast)
    const judge = judgeOf(scene)
    expect(await datasOf(judge, [one, revoked, guest, ...mine])).toEqual(range(8).map(() => null))
    expect(await datasOf(judge, beside)).toEqual(range(5).map((n) => (n === 2 ? { n } : null)))
    expect(await judge.getUserSessions(user)).toEqual([])
    expect(await judge.getUserSessions(others)).toHaveLength(1)
    // Who logs in now is logged in.
    const again = await judge.createSession(user, { again: 1 })
    expect(await dataOf(sessionManager, again)).toEqual({ again: 1 })
  })

  it('calls that were on their way all end, and what they said stands', async () => {
    await using scene = await Scene.start({}, { persistent })
    const sessions = scene.holdfast.createSessionManager({ degradedLogins: true })
    const known = await Promise.all(range(40).map((n) => sessions.createSession(newUser(), { n })))
    const users = known.map((id) => id)
    expect(users).toHaveLength(40)
    const calls = (mark: string) =>
      known.map((id, n) => {
        if (n % 4 === 0) return sessions.updateSession(id, { [mark]: n })
        if (n % 4 === 1) return sessions.deleteSession(id)
        if (n % 4 === 2) return sessions.rotate(id)
        return sessions.createSession(newUser(), { [mark]: n })
      })
    let before: PromiseSettledResult<unknown>[] = []
    let after: PromiseSettledResult<unknown>[] = []
    const unhandled = await unhandledDuring(async () => {
      const first = Promise.allSettled(calls('before'))
      const begun = begin(scene)
      const second = Promise.allSettled(calls('after'))
      await begun
      before = await first
      after = await second
    })
    expect(unhandled).toEqual([])
    expect([...before, ...after].filter(({ status }) => status === 'rejected')).toEqual([])
    const [said, saidLater] = [before, after].map((results) => results.map((result) => (result as PromiseFulfilledResult<unknown>).value))
    await alone(scene.holdfast)
    await end(scene)
    await back(scene.holdfast)
    const judge = judgeOf(scene)
    for (const n of range(40)) {
      // What an emptied server had answered before it was killed is its own loss; what was ended is ended even so.
      if (n % 4 === 1) expect(await dataOf(judge, known[n]!)).toBeNull()
      if (isLost) continue
      if (n % 4 === 0) {
        expect([said![n], saidLater![n]]).toEqual([true, true])
        expect(await dataOf(judge, known[n]!)).toEqual({ n, before: n, after: n })
      }
      if (n % 4 === 2) {
        // One of both made the new id, or both did; where both did, both are the session's.
        const ids = [said![n], saidLater![n]].filter((id) => id !== null) as string[]
        expect(ids.length).toBeGreaterThan(0)
        for (const id of ids) expect([n, await dataOf(judge, id)]).toEqual([n, { n }])
      }
      if (n % 4 === 3) {
        expect(await dataOf(judge, said![n] as string)).toEqual({ before: n })
        expect(await dataOf(judge, saidLater![n] as string)).toEqual({ after: n })
      }
    }
  })
})

describe.concurrent('after an outage', () => {
  it('frozen and then killed, every call is settled, and what it said stands', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { holdfast, server } = scene
    const sessions = holdfast.createSessionManager({ degradedLogins: true })
    const known = await Promise.all(range(100).map((n) => sessions.createSession(newUser(), { n })))
    const guests = await Promise.all(range(20).map((n) => sessions.createSession(null, { n })))
    server.freeze()
    const changes = known.slice(0, 50).map((id) => sessions.updateSession(id, { frozen: 1 }))
    const ends = known.slice(50).map((id) => sessions.deleteSession(id))
    const began = range(50).map((n) => sessions.createSession(newUser(), { n, frozen: 1 }))
    const others = [...guests.map((id) => sessions.getSession(id)), sessions.getStats(), sessions.getUserSessions(newUser())]
    await waitFor('them to be on their way', () => holdfast.fallbackManager.getStats().isUsingFallback || true)
    await server.kill()
    const results = await Promise.allSettled<unknown>([...changes, ...ends, ...began, ...others])
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([])
    expect(await Promise.all(changes)).toEqual(range(50).map(() => true))
    await server.start()
    await back(holdfast)
    const judge = judgeOf(scene)
    expect(await datasOf(judge, known)).toEqual(range(100).map((n) => (n < 50 ? { n, frozen: 1 } : null)))
    expect(await datasOf(judge, await Promise.all(began))).toEqual(range(50).map((n) => ({ n, frozen: 1 })))
    expect(await datasOf(judge, guests)).toEqual(range(20).map((n) => ({ n })))
  })

  it('a server that is killed in the middle of the replay has everything in the end', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { holdfast, server } = scene
    const sessions = holdfast.createSessionManager({ degradedLogins: true })
    const user = newUser()
    const known = await Promise.all(range(1_500).map((n) => sessions.createSession(newUser(), { n })))
    const mine = await Promise.all(range(20).map(() => sessions.createSession(user)))
    await server.kill()
    await alone(holdfast)
    await Promise.all(known.map((id, n) => (n % 3 === 0 ? sessions.deleteSession(id) : sessions.updateSession(id, { during: n }))))
    await sessions.invalidateUserSessions(user)
    const began = await Promise.all(range(1_500).map((n) => sessions.createSession(user, { n })))
    for (const _ of range(2)) {
      const begun = new Promise<void>((resolve) => holdfast.on('resync-start', () => resolve()))
      await server.start()
      await begun
      await server.kill()
    }
    await server.start()
    await back(holdfast)
    const judge = judgeOf(scene)
    expect(await datasOf(judge, known)).toEqual(known.map((_, n) => (n % 3 === 0 ? null : { n, during: n })))
    expect(await datasOf(judge, mine)).toEqual(mine.map(() => null))
    expect(await datasOf(judge, began)).toEqual(began.map((_, n) => ({ n })))
  })

  it('the first read that Redis answers has what was changed, however much waits', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { holdfast, server } = scene
    const { sessionManager } = holdfast
    const ids = await Promise.all(range(1_000).map((n) => sessionManager.createSession(null, { n })))
    await server.kill()
    await alone(holdfast)
    await Promise.all(ids.map((id, n) => (n % 2 === 0 ? sessionManager.updateSession(id, { during: 1 }) : sessionManager.deleteSession(id))))
    await server.start()
    const expected = ids.map((_, n) => (n % 2 === 0 ? { n, during: 1 } : null))
    await waitFor('Redis to answer', async () => {
      expect(await datasOf(sessionManager, ids)).toEqual(expected)
      const { isUsingFallback, journalDepth } = holdfast.fallbackManager.getStats()
      return !isUsingFallback && journalDepth === 0
    })
    expect(await datasOf(sessionManager, ids)).toEqual(expected)
  })

  it('what is ended while Redis comes back is never read again here', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { holdfast, server } = scene
    const { sessionManager } = holdfast
    const users = range(400).map(newUser)
    const ids = await Promise.all(users.map((user) => sessionManager.createSession(user)))
    await server.kill()
    await alone(holdfast)
    let next = 0
    await server.start()
    const read: number[] = []
    await waitFor('Redis to answer for a while', async () => {
      for (const _ of range(2)) {
        const n = next++ % users.length
        if (n % 2 === 0) await sessionManager.invalidateUserSessions(users[n]!)
        else await sessionManager.deleteSession(ids[n]!)
        if ((await sessionManager.getSession(ids[n]!)) !== null) read.push(n)
      }
      return next >= users.length && holdfast.isRedisAvailable()
    }, { everyMs: 0 })
    expect(read).toEqual([])
    await back(holdfast)
    expect((await datasOf(judgeOf(scene), ids)).filter((data) => data !== null)).toEqual([])
  })

  it('what was ended with all of its user is neither counted nor ended once more', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const user = newUser()
    const ids = await Promise.all(range(6).map(() => sessionManager.createSession(user)))
    const handle = await handleOf(sessionManager, ids[1]!)
    await scene.server.kill()
    await alone(scene.holdfast)
    expect(await sessionManager.invalidateUserSessions(user)).toBe(6)
    await scene.server.start()
    await back(scene.holdfast)
    const judge = judgeOf(scene)
    const stats = await judge.getStats()
    const ended = [await judge.deleteSession(ids[0]!), await judge.revoke(handle), await judge.invalidateUserSessions(user)]
    expect({ ended, sessions: stats.totalSessions }).toEqual({ ended: [false, false, 0], sessions: 0 })
  })

  it('one outage upon the other loses nothing', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const id = await sessionManager.createSession(newUser(), {})
    const ended: string[] = []
    const expected: Record<string, unknown> = {}
    for (const [n, { begin, end }] of outages.filter(({ isLost }) => !isLost).entries()) {
      ended.push(await sessionManager.createSession(null))
      await begin(scene)
      await alone(scene.holdfast)
      expect(await sessionManager.updateSession(id, { [n]: n, last: n })).toBe(true)
      Object.assign(expected, { [n]: n, last: n })
      expect(await sessionManager.deleteSession(ended[n]!)).toBe(true)
      await end(scene)
      await back(scene.holdfast)
      expect(await dataOf(sessionManager, id)).toEqual(expected)
      expect(await datasOf(sessionManager, ended)).toEqual(ended.map(() => null))
    }
    expect(await dataOf(judgeOf(scene), id)).toEqual(expected)
  })
})
