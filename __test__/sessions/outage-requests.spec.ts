// The session of a request while Redis is away: what nobody can tell is no answer, and the client keeps what may be worth
// something still.
import { describe, expect, it } from 'vitest'
import { asAnother, patient } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { alone, back, dataOf, judgeOf, newUser, unavailable, type Manager } from './outages'
import { requestWith } from './sessions'

const openWith = (sessions: Manager, id: string) => sessions.openSession(requestWith(`${sessions.cookies.name}=${id}`))
/** What a client is told. */
const told = (opened: { commit: (headers: Headers) => Headers }): string[] => opened.commit(new Headers()).getSetCookie()

describe.concurrent('while Redis is away', () => {
  it.each([
    ['a user\'s', newUser()],
    ['a guest\'s', null],
  ])('%s session that was read before, and that no copy vouches for, is neither there nor gone', async (_, user) => {
    await using scene = await Scene.start({}, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ maxDegradedSession: 0 })
    const id = await sessions.createSession(user, { a: 1 })
    const opened = await openWith(sessions, id)
    await scene.server.kill()
    await alone(scene.holdfast)
    await expect(opened.set({ a: 2 })).rejects.toMatchObject({ ...unavailable, retryable: true, operation: 'RequestSession.set' })
    expect(await opened.update(() => ({ a: 3 }))).toBe(false)
    expect(await opened.rotate()).toBe(false)
    expect([opened.id, opened.userId, opened.data]).toEqual([id, user, { a: 1 }])
    expect(told(opened)).toEqual([])
    await scene.server.start()
    await back(scene.holdfast)
    expect(await dataOf(judgeOf(scene), id)).toEqual({ a: 1 })
    await opened.set({ a: 4 })
    expect(opened.data).toEqual({ a: 4 })
  })

  it('a user\'s cookie that opens nothing here is never replaced by a guest\'s', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const elsewhere = judgeOf(scene)
    const id = await elsewhere.createSession(newUser(), { a: 1 })
    await scene.server.kill()
    await alone(scene.holdfast)
    const opened = await openWith(sessionManager, id)
    expect([opened.session, told(opened)]).toEqual([null, []])
    await opened.set({ a: undefined })
    await expect(opened.set({ a: 2 })).rejects.toMatchObject({ ...unavailable, retryable: true, operation: 'RequestSession.set' })
    expect([opened.session, told(opened)]).toEqual([null, []])
    await scene.server.start()
    await back(scene.holdfast)
    const after = await openWith(sessionManager, id)
    await after.set({ b: 2 })
    expect([after.id, after.data, told(after)]).toEqual([id, { a: 1, b: 2 }, []])
  })

  it('a log-out that fails can be tried again', async () => {
    await using scene = await Scene.start({ fallback: { enabled: false } }, { persistent: true })
    const { sessionManager } = scene.holdfast
    const id = await sessionManager.createSession(newUser(), { a: 1 })
    const opened = await openWith(sessionManager, id)
    await scene.server.kill()
    for (const _ of [1, 2]) await expect(opened.destroy()).rejects.toMatchObject({ code: 'E_UNAVAILABLE' })
    await scene.server.start()
    await waitFor('Redis to answer', async () => (await opened.destroy().then(() => true, () => false)))
    expect(await dataOf(judgeOf(scene), id)).toBeNull()
  })

  it('a guest whose session is unknown here begins anew, as does a user who has logged out', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const elsewhere = judgeOf(scene)
    const [guest, user] = [await elsewhere.createSession(null, { a: 1 }), await elsewhere.createSession(newUser())]
    await scene.server.kill()
    await alone(scene.holdfast)
    for (const id of [guest, user]) {
      const opened = await openWith(sessionManager, id)
      if (id === user) await opened.destroy()
      await opened.set({ b: 2 })
      expect(opened.session).toMatchObject({ isGuest: true, data: { b: 2 } })
      expect(told(opened)).toEqual([sessionManager.cookies.header(opened.id!)])
    }
  })

  it('a log-out by a cookie that opens nothing here holds when Redis is back', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { sessionManager } = scene.holdfast
    const elsewhere = scene.open({ url: scene.server.url, ...patient, ...asAnother }).sessionManager
    const ids = [await elsewhere.createSession(null, { a: 1 }), await elsewhere.createSession(newUser(), { a: 1 })]
    await scene.server.kill()
    await alone(scene.holdfast)
    for (const id of ids) {
      const opened = await openWith(sessionManager, id)
      await opened.destroy()
      expect(told(opened)).toEqual([sessionManager.cookies.clear(new Headers()).get('set-cookie')])
    }
    await scene.server.start()
    await back(scene.holdfast)
    expect(await Promise.all(ids.map((id) => dataOf(judgeOf(scene), id)))).toEqual([null, null])
  })
})
