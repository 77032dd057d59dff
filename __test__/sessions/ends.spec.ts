// An end is final: nothing that was under way when somebody logged out brings a session back, and nothing writes to it.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, gate, onStore, stores } from '../cache/stores'
import { found, heldBy, managerOf } from './sessions'

describe.each(stores)('an end on %s', (store) => {
  const { holdfast, open, outside, keyPrefix } = onStore(store)
  const prefix = 'ends'
  const sessions = managerOf(holdfast, { prefix, touchAfter: 0 })
  const other = store === 'redis' ? managerOf(open(asAnother), { prefix, touchAfter: 0 }) : sessions

  /** Nobody finds it, whoever asks, and nothing that it held is left. */
  async function isGone(id: string, mark: string): Promise<void> {
    for (const manager of [sessions, other]) {
      expect(await manager.getSession(id)).toBeNull()
      expect(await manager.sessionExists(id)).toBe(false)
      expect(await manager.updateSession(id, { mark })).toBe(false)
    }
    if (store === 'redis') expect(await heldBy(outside(), keyPrefix)).not.toContain(mark)
  }

  it.each([['ann'], [null]])('counts for more than what is saved beside it: %s', async (user) => {
    for (const at of [0, 5, 10]) {
      const mark = `mark-${user}-${at}`
      const id = await sessions.createSession(user, { mark })
      const calls = range(10).map((n) => () => (n % 2 === 0 ? sessions : other).updateSession(id, { [`field ${n}`]: mark }))
      const all: (() => Promise<unknown>)[] = [...calls.slice(0, at), () => sessions.deleteSession(id), ...calls.slice(at)]
      await Promise.all(all.map((call) => call()))
      await isGone(id, mark)
    }
  })

  it('counts for more than reads beside it, which note their use', async () => {
    const id = await sessions.createSession('ann', { mark: 'read' })
    await Promise.all([...range(5).map(() => other.getSession(id)), sessions.deleteSession(id), ...range(5).map(() => sessions.getSession(id))])
    await isGone(id, 'read')
  })

  it('counts for more than a function that was asked before it', async () => {
    const id = await sessions.createSession('ann', { mark: 'asked' })
    const { opened, open: let_ } = gate()
    const begun = gate()
    const change = sessions.update(id, async (data) => {
      begun.open()
      await opened
      return { ...data, more: 'asked' }
    })
    await begun.opened
    expect(await other.deleteSession(id)).toBe(true)
    let_()
    expect(await change).toBeNull()
    await isGone(id, 'asked')
  })

  it('counts for more than a rotation beside it, whichever comes first', async () => {
    for (const _ of range(5)) {
      for (const isFirst of [true, false]) {
        const id = await sessions.createSession('bea', { mark: 'rotated' })
        const end = () => other.deleteSession(id)
        const [ended, next] = isFirst
          ? await Promise.all([end(), sessions.rotate(id)])
          : await Promise.all([sessions.rotate(id), end()]).then(([given, done]) => [done, given] as const)
        expect(ended).toBe(true)
        if (next !== null) expect(await sessions.getSession(next)).toBeNull()
        await isGone(id, 'rotated')
      }
    }
    expect(await sessions.getUserSessions('bea')).toEqual([])
  })

  it('of all of a user\'s counts for more than what is saved beside it', async () => {
    const ids = await Promise.all(range(5).map(() => sessions.createSession('cay', { mark: 'of all' })))
    const save = (id: string) => [sessions.updateSession(id, { more: 'of all' }), other.getSession(id), other.updateSession(id, { again: 'of all' })]
    await Promise.all([...ids.flatMap(save), sessions.invalidateUserSessions('cay'), ...ids.flatMap(save)])
    for (const id of ids) await isGone(id, 'of all')
    expect(await sessions.getUserSessions('cay')).toEqual([])
  })

  it('of all of a user\'s counts for more than a rotation beside it', async () => {
    for (const turn of range(5)) {
      const user = `dee ${turn}`
      const id = await sessions.createSession(user, { mark: 'rotated' })
      const [next] = await Promise.all([sessions.rotate(id), sessions.invalidateUserSessions(user)])
      expect(next === null ? null : await sessions.getSession(next)).toBeNull()
      expect(await sessions.getSession(id)).toBeNull()
      expect(await sessions.getUserSessions(user)).toEqual([])
    }
  })

  it('of all but one counts for more than a rotation of another beside it, whichever is asked first', async () => {
    for (const turn of range(6)) {
      const user = `eve ${turn}`
      const [mine, theirs] = [await sessions.createSession(user), await sessions.createSession(user)]
      const revoke = () => sessions.revokeOthers(mine)
      const [next] = await (turn % 2 === 0
        ? Promise.all([sessions.rotate(theirs), revoke()])
        : Promise.all([revoke(), sessions.rotate(theirs)]).then(([, id]) => [id] as const))
      expect(next === null ? null : await sessions.getSession(next)).toBeNull()
      expect(await sessions.getUserSessions(user)).toHaveLength(1)
      expect(await sessions.sessionExists(mine)).toBe(true)
    }
  })

  it('told through a handle counts as one through the id', async () => {
    const id = await sessions.createSession('fay', { mark: 'by handle' })
    const { handle } = await found(sessions, id)
    await Promise.all([sessions.updateSession(id, { more: 'by handle' }), other.revoke(handle), sessions.updateSession(id, { again: 'by handle' })])
    await isGone(id, 'by handle')
  })
})
