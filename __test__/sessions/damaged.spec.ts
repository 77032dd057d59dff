// What something else wrote to spoils nothing but itself.
import type { HoldfastError } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore, patient } from '../cache/stores'
import { fresh, heldBy, keyOf, managerOf, opening, type Manager } from './sessions'

describe('what something else wrote to', () => {
  const { holdfast, open, outside, keyPrefix } = onStore('redis')
  // It knows nothing of them but what is there.
  const another = open({ ...patient, ...asAnother })
  const damages: [what: string, damage: (key: string) => (string | number)[][]][] = [
    ['a field that is no JSON', (key) => [['HSET', key, ':a', '1.1 {']]],
    ['a field that is nobody\'s', (key) => [['HSET', key, 'theirs', '1']]],
    ['another type', (key) => [['DEL', key], ['SET', key, 'theirs']]],
  ]
  /** Sessions of which one is damaged. */
  const damaged = async (user: string | null, damage: (key: string) => (string | number)[][]) => {
    const options = { prefix: fresh('session') }
    const [sessions, judge] = [managerOf(holdfast, options), managerOf(another, options)]
    const ids = await Promise.all(range(5).map((n) => sessions.createSession(user, { n })))
    const handles = (await Promise.all(ids.map((id) => sessions.getSession(id)))).map((session) => session!.handle)
    const key = await keyOf(outside(), keyPrefix, { handle: handles[2]! })
    await outside().pipeline(damage(key))
    return { judge, ids, handles, key }
  }

  it.each(damages)('%s: the list of a user\'s has the others', async (_, damage) => {
    const { judge, ids } = await damaged('ann', damage)
    await expect(judge.getSession(ids[2]!)).rejects.toMatchObject({ code: 'E_DATA', applied: 'no' })
    const { length } = ids
    expect((await judge.getUserSessions('ann')).map(({ data }) => data['n']).sort()).toEqual(range(length).filter((n) => n !== 2))
  })

  it.each(damages.slice(0, 2))('%s: it is ended with all others', async (_, damage) => {
    for (const user of ['ann', null]) {
      const { judge, ids } = await damaged(user, damage)
      await judge.clearAllSessions()
      expect(await opening(judge, ids)).toEqual(ids.map(() => false))
      expect(await judge.getStats()).toMatchObject({ totalSessions: 0 })
    }
  })

  it.each(damages.slice(2))('%s: all others are ended, and that one is told', async (_, damage) => {
    for (const user of ['ann', null]) {
      const { judge, ids, handles, key } = await damaged(user, damage)
      for (const _ of range(2)) {
        const error = await judge.clearAllSessions().then(() => null, (reason: unknown) => reason as { failures: Map<string, Error> })
        expect(error).toMatchObject({ code: 'E_DATA', applied: 'unknown', message: expect.stringMatching(/^1 of the sessions/) })
        expect([...error!.failures]).toEqual([[handles[2], expect.objectContaining({ code: 'E_DATA' })]])
      }
      expect(await outside().call('GET', key)).toBe('theirs')
      expect(await opening(judge, ids.filter((_, n) => n !== 2))).toEqual([false, false, false, false])
      await outside().call('DEL', key)
      await judge.clearAllSessions()
      expect(await judge.getStats()).toMatchObject({ totalSessions: 0 })
    }
  })

  const calls: [call: string, call: (sessions: Manager, id: string, other: string) => Promise<unknown>][] = [
    ['updateSession', (sessions, id) => sessions.updateSession(id, { a: 2 })],
    ['update', (sessions, id) => sessions.update(id, () => ({ a: 2 }))],
    ['rotate', (sessions, id) => sessions.rotate(id)],
    ['authenticate', (sessions, id) => sessions.authenticate(id, 'ann')],
    ['deleteSession', (sessions, id) => sessions.deleteSession(id)],
    ['invalidateUserSessions', (sessions) => sessions.invalidateUserSessions('ann')],
    ['revokeOthers', (sessions, _, other) => sessions.revokeOthers(other)],
  ]

  it.each(damages)('%s: no call says that it did nothing when it did something', async (_, damage) => {
    const told: unknown[] = []
    for (const [name, call] of calls) {
      const { judge, ids } = await damaged('ann', damage)
      const before = await heldBy(outside(), keyPrefix)
      const error = await call(judge, ids[2]!, ids[3]!).then(() => null, (reason: unknown) => reason as HoldfastError)
      if (error === null) continue
      expect(error.code).toBe('E_DATA')
      if (error.applied === 'no') expect(await heldBy(outside(), keyPrefix), name).toBe(before)
      else told.push(name)
    }
    expect(told).toContain('deleteSession')
  })

  it('an end that fails after another user\'s login does not say that nothing was written', async () => {
    const sessions = managerOf(holdfast)
    const [user, other] = [fresh('user'), fresh('user')]
    const id = await sessions.createSession(user)
    const [, part] = /^(u.{22})/.exec(id)!
    const [index] = (await outside().call('KEYS', `${keyPrefix}*${part}:index`)) as string[]
    await outside().pipeline([['DEL', index!], ['SET', index!, 'theirs']])
    await expect(sessions.authenticate(id, other)).rejects.toMatchObject({ code: 'E_DATA', applied: 'unknown' })
    expect(await sessions.getUserSessions(other)).toHaveLength(1)
  })
})
