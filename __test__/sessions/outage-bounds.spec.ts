// What waits for Redis is kept or refused, never lost: copies make room first.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, patient } from '../cache/stores'
import { Scene } from '../fault/outage'
import { alone, back, dataOf, datasOf, judgeOf, newUser, type Manager } from './outages'

const full = { code: 'E_FULL', applied: 'no' }
const text = 'x'.repeat(200)

/** Calls until one is refused; what the others answered. */
async function untilFull<T>(call: (n: number) => Promise<T>, atMost = 20_000): Promise<T[]> {
  const answers: T[] = []
  for (let n = 0; n < atMost; n += 50) {
    const results = await Promise.allSettled(range(50).map((more) => call(n + more)))
    let isFull = false
    for (const result of results) {
      if (result.status === 'fulfilled') answers.push(result.value)
      else {
        expect(result.reason).toMatchObject(full)
        isFull = true
      }
    }
    if (isFull) return answers
  }
  throw new Error('it is never full')
}

async function expectAll(sessions: Manager, ids: readonly string[], expected: (n: number) => unknown): Promise<void> {
  const found = await datasOf(sessions, ids)
  const wrong = found.flatMap((data, n) => (JSON.stringify(data) === JSON.stringify(expected(n)) ? [] : [[n, data]]))
  expect({ wrong: wrong.length, one: wrong[0] }).toEqual({ wrong: 0 })
}

describe.concurrent.each([
  ['memory', { maxMemoryMb: 1 }],
  ['the journal', { maxJournalMb: 1 }],
])('where %s is small', (_, fallback) => {
  it('sessions that begin are refused rather than lost, and all that began are there', async () => {
    await using scene = await Scene.start({ ...patient, fallback })
    const { sessionManager } = scene.holdfast
    await sessionManager.createSession(null)
    await scene.server.kill()
    await alone(scene.holdfast)
    const ids = await untilFull((n) => sessionManager.createSession(null, { n, text }).then((id) => ({ id, n })))
    expect(ids.length).toBeGreaterThan(100)
    const dataAt = (at: number): unknown => ({ n: ids[at]!.n, text })
    await expectAll(sessionManager, ids.map(({ id }) => id), dataAt)
    expect(scene.holdfast.fallbackManager.getStats().dropped).toBe(0)
    await scene.server.start()
    await back(scene.holdfast)
    await expectAll(judgeOf(scene), ids.map(({ id }) => id), dataAt)
  })

  it('changes are refused rather than lost, and nothing of a refused one is seen', async () => {
    await using scene = await Scene.start({ ...patient, fallback }, { persistent: true })
    const { sessionManager } = scene.holdfast
    const id = await sessionManager.createSession(newUser(), { a: 1 })
    await scene.server.kill()
    await alone(scene.holdfast)
    const fields = await untilFull(async (n) => (expect(await sessionManager.setSessionData(id, `field ${n}`, text)).toBe(true), n))
    const expected = { a: 1, ...Object.fromEntries(fields.map((n) => [`field ${n}`, text])) }
    expect(await dataOf(sessionManager, id)).toEqual(expected)
    await scene.server.start()
    await back(scene.holdfast)
    expect(await dataOf(judgeOf(scene), id)).toEqual(expected)
  })

  it('ends are taken however full it is, and make room', async () => {
    await using scene = await Scene.start({ ...patient, fallback }, { persistent: true })
    const { sessionManager } = scene.holdfast
    const user = newUser()
    const mine = await Promise.all(range(3).map(() => sessionManager.createSession(user)))
    const elsewhere = scene.open({ url: scene.server.url, ...asAnother }).sessionManager
    const strange = await Promise.all(range(300).map(() => elsewhere.createSession(newUser())))
    await scene.server.kill()
    await alone(scene.holdfast)
    const ids = (await untilFull((n) => sessionManager.createSession(null, { n, text }))).slice()
    const ended = ids.splice(0, 50)
    expect(await Promise.all(ended.map((id) => sessionManager.deleteSession(id)))).toEqual(ended.map(() => true))
    expect(await sessionManager.invalidateUserSessions(user)).toBeLessThanOrEqual(3)
    await Promise.all(strange.map((id) => sessionManager.deleteSession(id)))
    if (_ === 'memory') expect(await sessionManager.createSession(null, { n: -1, text })).toMatch(/^g/)
    await scene.server.start()
    await back(scene.holdfast)
    const judge = judgeOf(scene)
    await expectAll(judge, [...ended, ...mine, ...strange], () => null)
    expect((await datasOf(judge, ids)).filter((data) => data === null)).toEqual([])
  })

  it('one field that is set over and over needs no more room than once', async () => {
    await using scene = await Scene.start({ ...patient, fallback }, { persistent: true })
    const { sessionManager } = scene.holdfast
    const id = await sessionManager.createSession(null)
    await scene.server.kill()
    await alone(scene.holdfast)
    const long = 'y'.repeat(150_000)
    for (const n of range(30)) expect(await sessionManager.setSessionData(id, 'field', `${n}${long}`)).toBe(true)
    await scene.server.start()
    await back(scene.holdfast)
    expect(await dataOf(judgeOf(scene), id)).toEqual({ field: `29${long}` })
  })
})

describe.concurrent('where memory is small', () => {
  it('copies go before what waits, those first that were used longest ago', async () => {
    await using scene = await Scene.start({ ...patient, silenceMs: 3_000, fallback: { maxMemoryMb: 1 } }, { persistent: true })
    await scene.connected()
    const { sessionManager } = scene.holdfast
    const copies: string[] = []
    for (const n of range(1_200)) copies.push(await sessionManager.createSession(null, { n, text }))
    await scene.server.kill()
    await alone(scene.holdfast)
    const known = await datasOf(sessionManager, copies)
    // The newest are there, the oldest went.
    expect([known[0], known.at(-1)]).toEqual([null, { n: 1_199, text }])
    const held = known.filter((data) => data !== null).length
    expect(held).toBeGreaterThan(100)
    const changed = copies.slice(-20)
    for (const id of changed) expect(await sessionManager.updateSession(id, { during: 1 })).toBe(true)
    const own = await untilFull((n) => sessionManager.createSession(null, { n, text }))
    // All copies made room.
    expect((await datasOf(sessionManager, copies.slice(0, -20))).filter((data) => data !== null)).toEqual([])
    expect((await datasOf(sessionManager, changed)).every((data) => (data as { during?: number } | null)?.during === 1)).toBe(true)
    expect(own.length).toBeGreaterThan(100)
    await scene.server.start()
    await back(scene.holdfast)
    const judge = judgeOf(scene)
    expect((await datasOf(judge, own)).filter((data) => data === null)).toEqual([])
    expect((await datasOf(judge, changed)).filter((data) => (data as { during?: number } | null)?.during !== 1)).toEqual([])
    expect((await datasOf(judge, copies)).filter((data) => data === null)).toEqual([])
    // There is room for new ones again.
    expect(await sessionManager.createSession(null)).toMatch(/^g/)
  })

  it('what is full while Redis is away is not full when it is back, nor in the next outage', async () => {
    await using scene = await Scene.start({ ...patient, silenceMs: 3_000, fallback: { maxMemoryMb: 1 } }, { persistent: true })
    await scene.connected()
    const { sessionManager } = scene.holdfast
    await sessionManager.createSession(null)
    const counts: number[] = []
    for (const _ of range(2)) {
      await scene.server.kill()
      await alone(scene.holdfast)
      counts.push((await untilFull((n) => sessionManager.createSession(null, { n, text }))).length)
      await scene.server.start()
      await back(scene.holdfast)
    }
    expect(counts[1]).toBeGreaterThan(counts[0]! * 0.9)
  })

  it('guests beyond their bound make room for others, but for those who wait', async () => {
    await using scene = await Scene.start(patient, { persistent: true })
    const sessions = scene.holdfast.createSessionManager({ maxGuests: 64 })
    await sessions.createSession(null)
    await scene.server.kill()
    await alone(scene.holdfast)
    const ids = await untilFull((n) => sessions.createSession(null, { n }).then((id) => ({ id, n })))
    expect(ids.length).toBeGreaterThanOrEqual(63)
    await expectAll(sessions, ids.map(({ id }) => id), (at) => ({ n: ids[at]!.n }))
    await scene.server.start()
    await back(scene.holdfast)
    await expectAll(judgeOf(scene), ids.map(({ id }) => id), (at) => ({ n: ids[at]!.n }))
  })
})
