// `update` changes a session by a function of what is there: nobody's change is lost, and who can't get through is told.
import { HoldfastError } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { areRefused } from '../cache/loads'
import { asAnother, gate, onStore, stores } from '../cache/stores'
import { found, unknownId } from './sessions'

interface Counted extends Record<string, unknown> {
  n: number
}
const more = (data: Counted): Counted => ({ ...data, n: data.n + 1 })

describe.each(stores)('update on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const sessions = holdfast.sessionManager
  const others = store === 'redis' ? [sessions, open(asAnother).sessionManager] : [sessions]

  it('writes what changed, removes what is missing, and gives the session as it is then', async () => {
    const id = await sessions.createSession('ann', { a: 1, b: 2, c: 3 })
    const session = await sessions.update(id, (data) => ({ a: data['a'], b: 5, d: 6 }))
    expect(session).toMatchObject({ id, userId: 'ann', version: 2, degraded: false })
    expect(session?.data).toEqual({ a: 1, b: 5, d: 6 })
    expect((await found(sessions, id)).data).toEqual({ a: 1, b: 5, d: 6 })
  })

  it.each<[string, (data: Record<string, unknown>) => Record<string, unknown> | undefined]>([
    ['undefined', () => undefined],
    ['undefined, whatever it did to the data', (data) => {
      data['a'] = 'changed'
      delete data['b']
      return undefined
    }],
    ['the data as it was', (data) => data],
    ['the same again', () => ({ b: { c: [1] }, a: 1 })],
  ])('writes nothing where the function gives %s', async (_, change) => {
    const id = await sessions.createSession('ann', { a: 1, b: { c: [1] } })
    const session = await sessions.update(id, change)
    expect(session).toMatchObject({ version: 1 })
    expect(session?.data).toEqual({ a: 1, b: { c: [1] } })
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1, b: { c: [1] } }, version: 1 })
  })

  it('takes the data that it gave, changed in place', async () => {
    const id = await sessions.createSession('ann', { list: [1], gone: true })
    const session = await sessions.update<{ list: number[]; gone?: boolean }>(id, (data) => {
      data.list.push(2)
      delete data.gone
      return data
    })
    expect(session?.data).toEqual({ list: [1, 2] })
    expect((await found(sessions, id)).data).toEqual({ list: [1, 2] })
  })

  it('waits for a function that takes its time', async () => {
    const id = await sessions.createSession('ann', { n: 1 })
    const { opened, open: let_ } = gate()
    const change = sessions.update<Counted>(id, async (data) => {
      await opened
      return more(data)
    })
    expect((await found(sessions, id)).data).toEqual({ n: 1 })
    let_()
    expect((await change)?.data).toEqual({ n: 2 })
  })

  it('calls it again with what others wrote meanwhile', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    const seen: number[] = []
    const session = await sessions.update<Counted>(id, async (data) => {
      seen.push(data.n)
      if (seen.length <= 3) await others.at(-1)?.updateSession(id, { n: 10 * seen.length })
      return more(data)
    })
    expect(seen).toEqual([0, 10, 20, 30])
    expect(session?.data).toEqual({ n: 31 })
    expect((await found(sessions, id)).data).toEqual({ n: 31 })
  })

  it('calls it again whatever others wrote, and keeps that', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    let calls = 0
    const session = await sessions.update<Counted>(id, async (data) => {
      if (calls++ === 0) await sessions.updateSession(id, { other: 'of others' })
      return more(data)
    })
    expect(calls).toBe(2)
    expect(session?.data).toEqual({ n: 1, other: 'of others' })
  })

  it('gives up after sixteen calls, with E_CONFLICT and nothing written', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    let calls = 0
    const change = sessions.update(id, async (data) => {
      await sessions.setSessionData(id, 'n', ++calls)
      return { ...data, mine: true }
    })
    const error = await change.then(() => null, (reason: unknown) => reason)
    expect(error).toBeInstanceOf(HoldfastError)
    expect(error).toMatchObject({ code: 'E_CONFLICT', retryable: true, applied: 'no', operation: 'sessionManager.update' })
    expect(JSON.stringify([error, (error as Error).message])).not.toContain(id)
    expect(calls).toBe(16)
    expect((await found(sessions, id)).data).toEqual({ n: 16 })
  })

  it('of fifty at once loses none that it said was done', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    const all = await Promise.allSettled(range(50).map((n) => others[n % others.length]!.update<Counted>(id, more)))
    const done = all.filter(({ status }) => status === 'fulfilled')
    // Of those that meet, one gets through.
    expect(done.length).toBeGreaterThanOrEqual(8)
    for (const each of all) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'E_CONFLICT', retryable: true })
    expect((await found(sessions, id)).data).toEqual({ n: done.length })
    const counts = done.map((each) => (each.status === 'fulfilled' ? (each.value?.data.n ?? 0) : 0))
    expect(counts.sort((a, b) => a - b)).toEqual(range(done.length).map((n) => n + 1))
  })

  it('of fifty that try again counts to fifty', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    const surely = async (manager: typeof sessions): Promise<void> => {
      for (;;) {
        const isDone = await manager.update<Counted>(id, more).then(() => true, (error: unknown) => {
          expect(error).toMatchObject({ code: 'E_CONFLICT' })
          return false
        })
        if (isDone) return
      }
    }
    await Promise.all(range(50).map((n) => surely(others[n % others.length]!)))
    expect((await found(sessions, id)).data).toEqual({ n: 50 })
  })

  it('of fields does not disturb changes of other fields', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    const flags = range(5).map((n) => `flag ${n}`)
    await Promise.all([sessions.update<Counted>(id, more), ...flags.map((flag) => sessions.setSessionData(id, flag, true))])
    expect((await found(sessions, id)).data).toEqual({ n: 1, ...Object.fromEntries(flags.map((flag) => [flag, true])) })
  })

  it('lets what the function throws through as it is, and writes nothing', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    class Own extends Error {}
    for (const thrown of [new Own('mine'), 'a text', undefined, null]) {
      const ways = [() => sessions.update(id, () => {
        throw thrown
      }), () => sessions.update(id, () => Promise.reject(thrown))]
      for (const way of ways) expect(await way().then(() => 'nothing was thrown', (reason: unknown) => reason)).toBe(thrown)
    }
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1 }, version: 1 })
  })

  it('refuses what is no function, and what is no data', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    await areRefused('change', [undefined, null, 'text', {}, 5], (change) => sessions.update(id, change))
    await areRefused('data', [null, 5, 'text', [1], true], (data) => sessions.update(id, () => data))
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1 }, version: 1 })
  })

  it('refuses a function that changes its own session by a function, which would wait for itself', async () => {
    const [id, beside] = [await sessions.createSession('ann', { n: 0 }), await sessions.createSession('ann', { n: 0 })]
    const nested = sessions.update<Counted>(id, async (data) => {
      await sessions.update<Counted>(beside, more)
      await new Promise((resolve) => setImmediate(resolve))
      await sessions.update<Counted>(id, more)
      return data
    })
    await expect(nested).rejects.toMatchObject({ code: 'E_INVALID', path: 'change' })
    expect([(await found(sessions, id)).data, (await found(sessions, beside)).data]).toEqual([{ n: 0 }, { n: 1 }])
    expect((await sessions.update<Counted>(id, more))?.data.n).toBe(1)
  })

  it('takes what a function left behind when it was over, also while others run', async () => {
    const [id, other] = [await sessions.createSession('ann', { n: 0 }), await sessions.createSession('ann', { n: 0 })]
    const { opened, open: go } = gate()
    let late: Promise<unknown> = Promise.resolve()
    await sessions.update<Counted>(id, (data) => {
      late = opened.then(() => sessions.update<Counted>(id, more))
      return more(data)
    })
    const beside = sessions.update<Counted>(other, async (data) => {
      go()
      await late
      return more(data)
    })
    await beside
    expect((await found(sessions, id)).data).toEqual({ n: 2 })
  })

  it('waits for no function that never ends', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    void sessions.update<Counted>(id, () => new Promise(() => {}))
    const [one, other] = await Promise.all([sessions.update<Counted>(id, more), sessions.update<Counted>(id, more)])
    expect([one?.data.n, other?.data.n].sort()).toEqual([1, 2])
  })

  it('gives null where there is no session, and calls nothing', async () => {
    expect(await sessions.update(unknownId(), () => expect.unreachable('it was called'))).toBeNull()
  })

  it('gives null where the session ends meanwhile, which stays ended', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    const change = sessions.update<Counted>(id, async (data) => {
      await others.at(-1)?.deleteSession(id)
      return more(data)
    })
    expect(await change).toBeNull()
    for (const manager of others) expect(await manager.getSession(id)).toBeNull()
  })

  it('goes on where a session got another id meanwhile', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    let next: string | null = null
    const session = await sessions.update<Counted>(id, async (data) => {
      next ??= await sessions.rotate(id)
      return more(data)
    })
    expect(session?.data).toEqual({ n: 1 })
    expect((await found(sessions, next!)).data).toEqual({ n: 1 })
  })

  it('loses nothing where others changed a session and gave it another id meanwhile', async () => {
    const id = await sessions.createSession('ann', { n: 0 })
    let next: string | null = null
    const session = await sessions.update<Counted>(id, async (data) => {
      if (next === null) {
        await sessions.updateSession(id, { n: 10 })
        next = await sessions.rotate(id)
      }
      return more(data)
    })
    expect(session?.data).toEqual({ n: 11 })
    expect((await found(sessions, next!)).data).toEqual({ n: 11 })
  })
})
