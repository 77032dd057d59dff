// What is ended stays ended, whoever changes it meanwhile, and in whatever order those come back who were cut off.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { apart } from '../fault/outage'
import { alone, back, dataOf, datasOf, handleOf, newUser, Two, type Manager, type Side } from './outages'

const options = { degradedLogins: true, touchAfter: 0 }

/** Ways to end a session; `user` is whose it is. */
const ends: [string, (sessions: Manager, id: string, user: string) => Promise<unknown>][] = [
  ['its end', (sessions, id) => sessions.deleteSession(id)],
  ['its revocation', async (sessions, id) => sessions.revoke(await handleOf(sessions, id))],
  ['the end of all of its user', (sessions, _, user) => sessions.invalidateUserSessions(user)],
]

/** What a process that knows nothing of the end does to a session meanwhile. */
const changes: [string, (sessions: Manager, id: string) => Promise<string>][] = [
  ['is changed', async (sessions, id) => (expect(await sessions.updateSession(id, { late: 1 })).toBe(true), id)],
  ['is used', async (sessions, id) => (expect(await sessions.getSession(id)).not.toBeNull(), id)],
  ['is given a longer life', async (sessions, id) => (expect(await sessions.updateSession(id, {}, { ttl: '7d' })).toBe(true), id)],
  ['gets a new id', async (sessions, id) => (await sessions.rotate(id))!],
  ['is the one that is kept', async (sessions, id) => (await sessions.revokeOthers(id), id)],
]

async function expectEnded(two: Two, ids: readonly string[], user: string): Promise<void> {
  await two.judged()
  for (const sessions of [two.judge, two.one.sessions, two.other.sessions]) {
    expect(await datasOf(sessions, ids)).toEqual(ids.map(() => null))
    expect(await sessions.getUserSessions(user)).toEqual([])
  }
  for (const id of ids) {
    expect(await two.judge.updateSession(id, { back: 1 })).toBe(false)
    expect(await two.judge.rotate(id)).toBeNull()
  }
}

describe.concurrent.each(ends)('after %s', (_, end) => {
  it.each(changes)('online, a session that %s by one who is cut off is ended', async (_what, change) => {
    await using two = await Two.start(options)
    const user = newUser()
    const id = await two.known(user, { a: 1 })
    await two.one.leave()
    await end(two.other.sessions, id, user)
    await apart()
    const now = await change(two.one.sessions, id)
    await two.one.comeBack()
    await expectEnded(two, [id, now], user)
  })

  it.each(changes)('online, a session that %s before it by one who is cut off is ended', async (_what, change) => {
    await using two = await Two.start(options)
    const user = newUser()
    const id = await two.known(user, { a: 1 })
    await two.one.leave()
    const now = await change(two.one.sessions, id)
    await apart()
    await end(two.other.sessions, id, user)
    await two.one.comeBack()
    await expectEnded(two, [id, now], user)
  })

  it.each(changes)('by one who is cut off, a session that %s online is ended', async (_what, change) => {
    await using two = await Two.start(options)
    const user = newUser()
    const id = await two.known(user, { a: 1 })
    await two.one.leave()
    await end(two.one.sessions, id, user)
    await apart()
    const now = await change(two.other.sessions, id)
    await two.one.comeBack()
    await expectEnded(two, [id, now], user)
  })

  it.each(changes)('by one who is cut off, a session that %s before it online is ended', async (_what, change) => {
    await using two = await Two.start(options)
    const user = newUser()
    const id = await two.known(user, { a: 1 })
    await two.one.leave()
    const now = await change(two.other.sessions, id)
    await apart()
    await end(two.one.sessions, id, user)
    await two.one.comeBack()
    await expectEnded(two, [id, now], user)
  })

  describe.each([['the one that ended it', true], ['the one that did not', false]])('when both are cut off and %s comes back first', (_who, isFirst) => {
    it.each(changes)('a session that %s is ended', async (_what, change) => {
      await using two = await Two.start(options)
      const user = newUser()
      const id = await two.known(user, { a: 1 })
      await Promise.all(two.sides.map((side) => side.leave()))
      await end(two.one.sessions, id, user)
      await apart()
      const now = await change(two.other.sessions, id)
      const order: Side[] = isFirst ? [two.one, two.other] : [two.other, two.one]
      for (const side of order) await side.comeBack()
      await expectEnded(two, [id, now], user)
    })

    it.each(changes)('a session that %s before it is ended', async (_what, change) => {
      await using two = await Two.start(options)
      const user = newUser()
      const id = await two.known(user, { a: 1 })
      await Promise.all(two.sides.map((side) => side.leave()))
      const now = await change(two.other.sessions, id)
      await apart()
      await end(two.one.sessions, id, user)
      const order: Side[] = isFirst ? [two.one, two.other] : [two.other, two.one]
      for (const side of order) await side.comeBack()
      await expectEnded(two, [id, now], user)
    })
  })

  it('over a server that came back empty, a session that another one changes and uses is ended', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const id = await two.known(user, { a: 1 })
    await two.server.kill()
    await Promise.all(two.sides.map(({ holdfast }) => alone(holdfast)))
    await end(two.one.sessions, id, user)
    await apart()
    expect(await two.other.sessions.updateSession(id, { late: 1 })).toBe(true)
    await two.server.start()
    await Promise.all(two.sides.map(({ holdfast }) => back(holdfast)))
    await expectEnded(two, [id], user)
  })

  it('in another outage it is still ended for those who were back once', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const id = await two.known(user, { a: 1 })
    await two.one.leave()
    await end(two.other.sessions, id, user)
    expect(await two.one.sessions.updateSession(id, { late: 1 })).toBe(true)
    await two.one.comeBack()
    await two.one.leave()
    expect(await dataOf(two.one.sessions, id)).toBeNull()
    expect(await two.one.sessions.updateSession(id, { later: 1 })).toBe(false)
    await two.one.comeBack()
    await expectEnded(two, [id], user)
  })
})

describe.concurrent('the end of all but one', () => {
  it('while cut off keeps the one, with all that it holds, also on a server that came back empty', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const [kept, ...others] = [await two.known(user, { kept: 1 }), await two.known(user, { n: 1 }), await two.known(user, { n: 2 })]
    await two.server.kill()
    await Promise.all(two.sides.map(({ holdfast }) => alone(holdfast)))
    expect(await two.one.sessions.updateSession(kept!, { more: 1 })).toBe(true)
    expect(await two.one.sessions.revokeOthers(kept!)).toBe(2)
    expect(await two.one.sessions.updateSession(kept!, { later: 1 })).toBe(true)
    await two.server.start()
    await Promise.all(two.sides.map(({ holdfast }) => back(holdfast)))
    expect(await two.seen(kept!)).toEqual({ kept: 1, more: 1, later: 1 })
    for (const id of others) expect(await two.seen(id)).toBeNull()
    expect(await two.judge.getUserSessions(user)).toHaveLength(1)
  })

  it.each([['with its data', true], ['empty', false]])('is that of the last one who said it, on a server that came back %s', async (_, persistent) => {
    await using two = await Two.start(options, {}, { persistent })
    const user = newUser()
    const [first, second] = [await two.known(user, { n: 1 }), await two.known(user, { n: 2 })]
    await two.server.kill()
    await Promise.all(two.sides.map(({ holdfast }) => alone(holdfast)))
    expect(await two.one.sessions.revokeOthers(first)).toBe(1)
    await apart()
    expect(await two.one.sessions.createSession(user, { own: 1 })).toMatch(/^u/)
    await apart()
    expect(await two.other.sessions.revokeOthers(second)).toBe(1)
    await two.server.start()
    await Promise.all(two.sides.map(({ holdfast }) => back(holdfast)))
    // Each ended the other one's; nobody may come back.
    expect([await two.seen(first), await two.seen(second)]).toEqual([null, null])
  })

  it('while cut off ends what others began before it, and nothing that they began after it', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const kept = await two.known(user, { kept: 1 })
    await two.one.leave()
    const before = await two.other.sessions.createSession(user, { before: 1 })
    await apart()
    expect(await two.one.sessions.revokeOthers(kept)).toBe(0)
    await apart()
    const after = await two.other.sessions.createSession(user, { after: 1 })
    await two.one.comeBack()
    expect([await two.seen(kept), await two.seen(before), await two.seen(after)]).toEqual([{ kept: 1 }, null, { after: 1 }])
  })

  it('online keeps the one that another one changes while it is cut off', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const [kept, gone] = [await two.known(user, { kept: 1 }), await two.known(user, { gone: 1 })]
    await two.one.leave()
    expect(await two.one.sessions.updateSession(kept, { early: 1 })).toBe(true)
    expect(await two.one.sessions.updateSession(gone, { early: 1 })).toBe(true)
    await apart()
    expect(await two.other.sessions.revokeOthers(kept)).toBe(1)
    await apart()
    expect(await two.one.sessions.updateSession(kept, { late: 1 })).toBe(true)
    await two.one.comeBack()
    expect([await two.seen(kept), await two.seen(gone)]).toEqual([{ kept: 1, early: 1, late: 1 }, null])
  })

  it('does not bring back the kept one when another one ended it first', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const [kept, other] = [await two.known(user, { kept: 1 }), await two.known(user, { n: 1 })]
    await two.one.leave()
    expect(await two.other.sessions.invalidateUserSessions(user)).toBe(2)
    await apart()
    expect(await two.one.sessions.revokeOthers(kept)).toBe(1)
    await two.one.comeBack()
    await expectEnded(two, [kept, other], user)
  })
})

describe.concurrent('a login while cut off', () => {
  it('before the end of all elsewhere is ended by it', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    await two.known(user)
    await two.one.leave()
    const id = await two.one.sessions.createSession(user, { n: 1 })
    await apart()
    expect(await two.other.sessions.invalidateUserSessions(user)).toBe(1)
    await two.one.comeBack()
    await expectEnded(two, [id], user)
  })

  it('after the end of all elsewhere lives', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const known = await two.known(user)
    await two.one.leave()
    await two.other.sessions.invalidateUserSessions(user)
    await apart()
    const id = await two.one.sessions.createSession(user, { n: 1 })
    await two.one.comeBack()
    expect([await two.seen(known), await two.seen(id)]).toEqual([null, { n: 1 }])
  })

  it.each([['first', true], ['last', false]])('before the end of all by another one who is cut off and comes back %s is ended', async (_, isFirst) => {
    await using two = await Two.start(options)
    const user = newUser()
    await Promise.all(two.sides.map((side) => side.leave()))
    const before = await two.one.sessions.createSession(user, { n: 1 })
    await apart()
    await two.other.sessions.invalidateUserSessions(user)
    await apart()
    const after = await two.one.sessions.createSession(user, { n: 2 })
    const own = await two.other.sessions.createSession(user, { n: 3 })
    for (const side of isFirst ? [two.other, two.one] : [two.one, two.other]) await side.comeBack()
    expect(await Promise.all([before, after, own].map((id) => two.seen(id)))).toEqual([null, { n: 2 }, { n: 3 }])
  })

  it('of one who is logged in already, before the end of all elsewhere, is ended by it, and after it lives', async () => {
    await using two = await Two.start(options)
    const [user, later] = [newUser(), newUser()]
    const [id, next] = [await two.known(user), await two.known(later)]
    await two.one.leave()
    const before = await two.one.sessions.authenticate(id, user)
    await two.other.sessions.invalidateUserSessions(later)
    await apart()
    await two.other.sessions.invalidateUserSessions(user)
    const after = await two.one.sessions.authenticate(next, later)
    await two.one.comeBack()
    expect(await Promise.all([id, before, next, after].map((each) => two.seen(each)))).toEqual([null, null, null, {}])
  })

  it('after an end of all by the same one lives, and before it does not', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const known = await two.known(user)
    await two.one.leave()
    const before = await two.one.sessions.createSession(user, { n: 1 })
    expect(await two.one.sessions.invalidateUserSessions(user)).toBe(2)
    const after = await two.one.sessions.createSession(user, { n: 2 })
    await two.one.sessions.updateSession(after, { more: 1 })
    await two.one.comeBack()
    expect(await Promise.all([known, before, after].map((id) => two.seen(id)))).toEqual([null, null, { n: 2, more: 1 }])
  })

  it('of a guest whom another one ended makes nothing of the ended one come back', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const guest = await two.known(null, { cart: [1] })
    await two.one.leave()
    expect(await two.other.sessions.deleteSession(guest)).toBe(true)
    const id = await two.one.sessions.authenticate(guest, user)
    await two.one.comeBack()
    expect(await two.seen(guest)).toBeNull()
    // A login is a new beginning.
    expect(await two.seen(id)).not.toBeNull()
  })
})

describe.concurrent('while both are online', () => {
  it.each([['at the same moment', 0], ['while its own steps take long', 15]])('a session that gets a new id is ended with all of its user, %s', async (_, delay) => {
    await using two = await Two.start(options)
    const users = range(200).map(newUser)
    const ids = await Promise.all(users.map((user) => two.other.sessions.createSession(user)))
    if (delay > 0) await two.one.proxy.set({ delay, jitter: delay })
    const next = await Promise.all(ids.map(async (id, n) => {
      const [rotated] = await Promise.all([two.one.sessions.rotate(id), apart(n / 4).then(() => two.other.sessions.invalidateUserSessions(users[n]!))])
      return rotated ?? id
    }))
    await two.one.proxy.set('pass')
    // Whichever came first: it was one of the sessions that there were, or it was there no more.
    expect((await datasOf(two.judge, next)).filter((data) => data !== null)).toEqual([])
  })
})

describe.concurrent('whatever was ended', () => {
  it('before it reached Redis stays so for as long as it could live', async () => {
    await using two = await Two.start(options, { tombstoneTtl: 1 })
    await two.one.leave()
    const id = await two.one.sessions.createSession(null, { a: 1 })
    // Its owner comes to the other one, and goes.
    expect(await two.other.sessions.deleteSession(id)).toBe(false)
    await apart(1_500)
    await two.one.comeBack()
    expect(await two.seen(id)).toBeNull()
  })

  it('by the old id of a session that has a new one here is ended with it', async () => {
    await using two = await Two.start(options)
    const id = await two.known(newUser(), { a: 1 })
    await two.one.leave()
    const next = await two.one.sessions.rotate(id)
    expect(await two.one.sessions.deleteSession(id)).toBe(true)
    expect(await dataOf(two.one.sessions, next!)).toBeNull()
    await two.one.comeBack()
    expect([await two.seen(id), await two.seen(next!)]).toEqual([null, null])
  })

  it('with everything that is known here is ended for everybody, and what is not known here lives', async () => {
    await using two = await Two.start(options)
    const known = [await two.known(newUser()), await two.known(null)]
    await two.one.leave()
    const strange = await two.other.sessions.createSession(null, { strange: 1 })
    const own = await two.one.sessions.createSession(newUser())
    await two.one.sessions.clearAllSessions()
    await two.one.comeBack()
    for (const id of [...known, own]) expect(await two.seen(id)).toBeNull()
    expect(await two.seen(strange)).toEqual({ strange: 1 })
  })

  it('by one who was cut off stays so, though the other one kept reading and listing it all the time', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const ids: string[] = []
    for (const n of range(10)) ids.push(await two.known(user, { n }))
    await two.one.leave()
    let over = false
    const busy = async (): Promise<void> => {
      while (!over) {
        await Promise.all(ids.map((id) => two.other.sessions.getSession(id)))
        await Promise.all(ids.map((id, n) => two.other.sessions.updateSession(id, { [`late ${n}`]: n })))
        await two.other.sessions.getUserSessions(user)
      }
    }
    const work = busy()
    for (const [n, id] of ids.entries()) if (n % 2 === 0) await two.one.sessions.deleteSession(id)
    await two.one.comeBack()
    over = true
    await work
    for (const [n, id] of ids.entries()) {
      const data = await two.seen(id)
      if (n % 2 === 0) expect(data).toBeNull()
      else expect(data).toMatchObject({ n })
    }
  })

  it('stays ended when a third one lists and clears what is left of it', async () => {
    await using two = await Two.start(options)
    const user = newUser()
    const [id, kept] = [await two.known(user, { n: 1 }), await two.known(user, { n: 2 })]
    await two.one.leave()
    // It will be brought as a whole.
    expect(await two.one.sessions.revokeOthers(id)).toBe(1)
    await apart()
    expect(await two.other.sessions.deleteSession(id)).toBe(true)
    for (const _ of range(3)) {
      await two.judge.getUserSessions(user)
      await two.judge.invalidateUserSessions(user)
    }
    await two.one.comeBack()
    expect([await two.seen(id), await two.seen(kept)]).toEqual([null, null])
  })
})
