// Redis is back, and what ended sessions has to wait all the same: whoever ended them does not read them meanwhile.
import { describe, expect, it } from 'vitest'
import { turn } from '../boundary/inside'
import { type Instance } from '../cache/stores'
import { apart, Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { alone, back, dataOf, datasOf, judgeOf, newUser } from './outages'

const full = ['--maxmemory', '1kb', '--maxmemory-policy', 'noeviction']

interface Left {
  /** Ended by itself, and with all of its user. */
  ended: [string, string]
  /** The one that was kept when others of its user were ended, changed, and begun. */
  kept: string
  changed: string
  began: string
}

async function leave({ sessionManager }: Instance, away: () => Promise<unknown>): Promise<Left> {
  const user = newUser()
  const [one, all, kept, changed] = [
    await sessionManager.createSession(newUser()),
    await sessionManager.createSession(user),
    await sessionManager.createSession(newUser(), { a: 1 }),
    await sessionManager.createSession(null, { a: 1 }),
  ]
  await away()
  expect(await sessionManager.deleteSession(one)).toBe(true)
  expect(await sessionManager.invalidateUserSessions(user)).toBe(1)
  expect(await sessionManager.revokeOthers(kept)).toBe(0)
  expect(await sessionManager.updateSession(changed, { a: 2 })).toBe(true)
  return { ended: [one, all], kept, changed, began: await sessionManager.createSession(null, { b: 1 }) }
}

describe.concurrent('what waits', () => {
  it('for room on a full server is there when there is room', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { holdfast, server } = scene
    const { ended, kept, changed, began } = await leave(holdfast, async () => {
      await server.kill()
      await alone(holdfast)
    })
    await server.start({ args: full })
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    await apart(300)
    await scene.outside((client) => client.call('CONFIG', 'SET', 'maxmemory', '0'))
    await back(holdfast)
    const judge = judgeOf(scene)
    expect(await datasOf(judge, [...ended, kept, changed, began])).toEqual([null, null, { a: 1 }, { a: 2 }, { b: 1 }])
  })

  it.each<[string, (left: Left) => string, unknown]>([
    ['a session that was ended', ({ ended }) => ended[0], null],
    ['a session that was ended with all of its user', ({ ended }) => ended[1], null],
    ['a session that was changed', ({ changed }) => changed, { a: 2 }],
    ['a session that began', ({ began }) => began, { b: 1 }],
    ['a session that was kept', ({ kept }) => kept, { a: 1 }],
  ])('for room on a full server is heeded here meanwhile: %s', async (_, which, expected) => {
    await using scene = await Scene.start({}, { persistent: true })
    const { holdfast, server } = scene
    const left = await leave(holdfast, async () => {
      await server.kill()
      await alone(holdfast)
    })
    await server.start({ args: full })
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    const since = performance.now()
    while (performance.now() - since < 1_500) {
      expect(await dataOf(holdfast.sessionManager, which(left))).toEqual(expected)
      await turn()
    }
  })

  it('for syncWithRedis() is carried out by it', async () => {
    await using scene = await Scene.start({ fallback: { autoSync: false } }, { persistent: true })
    const { holdfast, proxy } = scene
    const { ended, kept, changed, began } = await leave(holdfast, async () => {
      await proxy.set('reset')
      await alone(holdfast)
    })
    await proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    await holdfast.fallbackManager.syncWithRedis()
    const judge = judgeOf(scene)
    expect(await datasOf(judge, [...ended, kept, changed, began])).toEqual([null, null, { a: 1 }, { a: 2 }, { b: 1 }])
  })

  it('for syncWithRedis() is not lost by what is changed live meanwhile', async () => {
    await using scene = await Scene.start({ fallback: { autoSync: false } }, { persistent: true })
    const { holdfast, proxy } = scene
    const { sessionManager } = holdfast
    const { changed, began } = await leave(holdfast, async () => {
      await proxy.set('reset')
      await alone(holdfast)
    })
    await sessionManager.updateSession(changed, { c: 1 })
    await proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    await sessionManager.updateSession(changed, { a: 3, d: 1 })
    await holdfast.fallbackManager.syncWithRedis()
    const judge = judgeOf(scene)
    expect(await datasOf(judge, [changed, began])).toEqual([{ a: 3, c: 1, d: 1 }, { b: 1 }])
  })
})
