// What exportFallbackData gives out carries what sessions wait for: another process brings it to Redis, once, whoever else
// does.
import type { FallbackData } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { patient } from '../cache/stores'
import { apart, Scene } from '../fault/outage'
import { alone, back, dataOf, datasOf, handleOf, newUser } from './outages'

/** Through a file, as a deploy would. */
const written = (data: FallbackData): FallbackData => JSON.parse(JSON.stringify(data)) as FallbackData

describe.concurrent('the data of an outage', () => {
  it('carries begun, changed and ended sessions to another process, and from there to Redis', async () => {
    await using scene = await Scene.start()
    const sessions = scene.holdfast.createSessionManager({ degradedLogins: true, ttl: 900 })
    const [user, everybody] = [newUser(), newUser()]
    const changed = await sessions.createSession(newUser(), { a: 1, gone: 1, theirs: 1 })
    const [ended, revoked] = [await sessions.createSession(newUser()), await sessions.createSession(null)]
    const all = await Promise.all(range(3).map(() => sessions.createSession(everybody)))
    const beside = await Promise.all(range(3).map((n) => sessions.createSession(user, { n })))
    const handle = await handleOf(sessions, revoked)
    await scene.proxy.set('reset')
    await alone(scene.holdfast)
    await sessions.updateSession(changed, { a: 2, gone: undefined, theirs: 'early' })
    await sessions.deleteSession(ended)
    await sessions.revoke(handle)
    expect(await sessions.invalidateUserSessions(everybody)).toBe(3)
    expect(await sessions.revokeOthers(beside[1]!)).toBe(2)
    const [began, guest] = [await sessions.createSession(everybody, { b: 1 }), await sessions.createSession(null, { g: 1 }, { ttl: 60 })]
    const next = await sessions.rotate(guest)
    const data = written(scene.holdfast.fallbackManager.exportFallbackData())
    await apart()

    const other = scene.open({ url: scene.server.url, ...patient })
    const sessionsThere = other.createSessionManager({})
    await sessionsThere.updateSession(changed, { theirs: 'late' })
    other.fallbackManager.importFallbackData(data)
    await other.fallbackManager.syncWithRedis()
    await back(other)
    const expected = [{ a: 2, theirs: 'late' }, null, null, null, null, null, null, { n: 1 }, null, { b: 1 }, { g: 1 }, { g: 1 }]
    const ids = [changed, ended, revoked, ...all, ...beside, began, guest, next!]
    expect(await datasOf(sessionsThere, ids)).toEqual(expected)
    const left = (await sessionsThere.getSession(next!, { sliding: false }))!.expiresAt - Date.now()
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(60_000)

    // Whoever it was comes back as well, after others went on.
    await sessionsThere.updateSession(changed, { a: 3 })
    expect(await sessionsThere.deleteSession(began)).toBe(true)
    await scene.proxy.set('pass')
    await back(scene.holdfast)
    expected[0] = { a: 3, theirs: 'late' }
    expected[9] = null
    expect(await datasOf(sessionsThere, ids)).toEqual(expected)
    expect(await datasOf(sessions, ids)).toEqual(expected)
    expect(await sessionsThere.getUserSessions(user)).toHaveLength(1)
  })

  it('is kept in memory by whoever takes it while Redis is away, too', async () => {
    await using scene = await Scene.start()
    const sessions = scene.holdfast.createSessionManager({ degradedLogins: true })
    const known = await sessions.createSession(null, { a: 1 })
    const other = scene.open({ commandTimeoutMs: 59_000 })
    const sessionsThere = other.createSessionManager({ degradedLogins: true })
    const user = newUser()
    const mine = await sessionsThere.createSession(user, { a: 1 })
    expect(await datasOf(sessionsThere, [known, mine])).toEqual([{ a: 1 }, { a: 1 }])
    await scene.proxy.set('reset')
    await Promise.all([alone(scene.holdfast), alone(other)])
    const began = await sessions.createSession(user, { b: 1 })
    await apart()
    await sessions.invalidateUserSessions(user)
    await sessions.deleteSession(known)
    other.fallbackManager.importFallbackData(written(scene.holdfast.fallbackManager.exportFallbackData()))
    expect(await datasOf(sessionsThere, [known, mine, began])).toEqual([null, null, null])
    await scene.proxy.set('pass')
    await Promise.all([back(scene.holdfast), back(other)])
    expect(await datasOf(sessionsThere, [known, mine, began])).toEqual([null, null, null])
  })

  it('ends what it ended also for the copies of whoever brought it to Redis', async () => {
    await using scene = await Scene.start()
    const { sessionManager, fallbackManager } = scene.holdfast
    const other = scene.open({ commandTimeoutMs: 59_000 })
    const user = newUser()
    const ids = [await sessionManager.createSession(null, { a: 1 }), await sessionManager.createSession(user, { a: 1 })]
    expect(await datasOf(other.sessionManager, ids)).toEqual([{ a: 1 }, { a: 1 }])
    await fallbackManager.forceFallbackMode(true)
    await sessionManager.deleteSession(ids[0]!)
    await sessionManager.invalidateUserSessions(user)
    other.fallbackManager.importFallbackData(written(fallbackManager.exportFallbackData()))
    await other.fallbackManager.syncWithRedis()
    await back(other)
    await other.fallbackManager.forceFallbackMode(true)
    expect(await datasOf(other.sessionManager, ids)).toEqual([null, null])
  })

  it('yields to what was changed and ended since', async () => {
    await using scene = await Scene.start()
    const { sessionManager, fallbackManager } = scene.holdfast
    const [id, ended] = [await sessionManager.createSession(null, { a: 1 }), await sessionManager.createSession(null, { a: 1 })]
    await scene.proxy.set('reset')
    await alone(scene.holdfast)
    await Promise.all([id, ended].map((each) => sessionManager.updateSession(each, { a: 2, b: 2 })))
    const data = written(fallbackManager.exportFallbackData())
    await sessionManager.updateSession(id, { a: 3 })
    await sessionManager.deleteSession(ended)
    fallbackManager.importFallbackData(data)
    expect(await datasOf(sessionManager, [id, ended])).toEqual([{ a: 3, b: 2 }, null])
    await scene.proxy.set('pass')
    await back(scene.holdfast)
    expect(await datasOf(sessionManager, [id, ended])).toEqual([{ a: 3, b: 2 }, null])
  })

  it('gives away nobody who could be used: ids do not stand in it', async () => {
    await using scene = await Scene.start()
    const { sessionManager, fallbackManager } = scene.holdfast
    await sessionManager.createSession(null)
    await scene.server.kill()
    await alone(scene.holdfast)
    const ids = await Promise.all(range(5).map(() => sessionManager.createSession(null, { n: 1 })))
    const text = JSON.stringify(fallbackManager.exportFallbackData())
    const readable = text + text.replace(/[0-9a-f]{2}/gi, (pair) => String.fromCharCode(parseInt(pair, 16)))
    for (const id of ids) {
      expect(readable).not.toContain(id)
      expect(text).not.toContain(Buffer.from(id).toString('hex'))
      expect(await dataOf(sessionManager, id)).toEqual({ n: 1 })
    }
  })
})
