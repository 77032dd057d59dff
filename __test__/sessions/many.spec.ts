// Ten thousand sessions of one user are made, listed and ended as one is.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore, stores } from '../cache/stores'
import { found, managerOf, opening } from './sessions'

const MANY = 10_000

describe.each(stores)('ten thousand sessions of a user on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const options = { prefix: 'many' }
  const sessions = managerOf(holdfast, options)
  const other = store === 'redis' ? managerOf(open(asAnother), options) : sessions
  const make = (user: string) => Promise.all(range(MANY).map((n) => sessions.createSession(user, { n })))

  it('are listed, each once, and ended but one', async () => {
    const ids = await make('ann')
    const all = await other.getUserSessions<{ n: number }>('ann')
    expect(all).toHaveLength(MANY)
    expect(new Set(all.map(({ handle }) => handle)).size).toBe(MANY)
    expect(new Set(all.map(({ data }) => data.n)).size).toBe(MANY)
    expect(await sessions.getStats()).toMatchObject({ authenticatedSessions: MANY })
    expect(await sessions.revokeOthers(ids[7]!)).toBe(MANY - 1)
    expect(await opening(other, [ids[0]!, ids[7]!, ids.at(-1)!])).toEqual([false, true, false])
    expect((await other.getUserSessions('ann')).map(({ data }) => data)).toEqual([{ n: 7 }])
    expect(await other.invalidateUserSessions('ann')).toBe(1)
  })

  it('are ended at once, and a login works right afterwards', async () => {
    const ids = await make('bea')
    expect(await other.invalidateUserSessions('bea')).toBe(MANY)
    // Whatever is left of them is nobody's.
    const next = await sessions.createSession('bea', { back: true })
    const some = range(100).map((n) => ids[n * 100]!)
    expect(await opening(sessions, some)).toEqual(some.map(() => false))
    expect(await opening(other, [next])).toEqual([true])
    expect((await sessions.getUserSessions('bea')).map(({ data }) => data)).toEqual([{ back: true }])
    await expect.poll(() => sessions.getStats(), { timeout: 15_000 }).toMatchObject({ authenticatedSessions: 1 })
    expect(await found(other, next)).toMatchObject({ userId: 'bea', data: { back: true } })
    expect(await opening(sessions, ids)).toEqual(ids.map(() => false))
  })

  it('that were ended are told of once', async () => {
    const ids = await make('cay')
    expect(await sessions.invalidateUserSessions('cay')).toBe(MANY)
    expect(await sessions.deleteSession(ids.at(-1)!)).toBe(false)
  })

  it('are cleared with all others', async () => {
    const cleared = managerOf(holdfast)
    const ids = await Promise.all(range(2_000).map((n) => cleared.createSession(n % 2 === 0 ? `user ${n % 7}` : null)))
    await cleared.clearAllSessions()
    expect(await opening(cleared, ids)).toEqual(ids.map(() => false))
    expect(await cleared.getStats()).toMatchObject({ totalSessions: 0 })
  })
})
