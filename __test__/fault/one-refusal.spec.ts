// A server that serves, and refuses one command or one key: OOM, NOPERM, NOSCRIPT. That call says so with
// a code, or the script is loaded again without a word. Nobody is degraded by it, and nothing is journalled.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import type { RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

const large = 'l'.repeat(200_000)

/** What holds of each such refusal. */
function isNoOutage({ events, holdfast }: Scene): void {
  expect(events).toEqual(['backend-connected'])
  expect(holdfast.isRedisAvailable()).toBe(true)
  expect(holdfast.fallbackManager.getStats()).toMatchObject({ isUsingFallback: false, journalDepth: 0, dropped: 0 })
}

describe('a server that is out of memory (OOM)', () => {
  async function full(): Promise<Scene> {
    const scene = await Scene.start()
    await Promise.all(range(5).map((n) => scene.cache.set(`key:${n}`, n)))
    await scene.outside((outside) => outside.call('CONFIG', 'SET', 'maxmemory', '1'))
    return scene
  }
  const emptied = (scene: Scene): Promise<unknown> => scene.outside((outside) => outside.call('CONFIG', 'SET', 'maxmemory', '0'))

  it('takes no set: it answers false, or E_FULL where the command is raw', async () => {
    await using scene = await full()
    const { cache, holdfast } = scene
    expect(await Promise.all([cache.set('new', 1), cache.set('key:1', 'replaced'), cache.set('large', large)])).toEqual([false, false, false])
    expect(await holdfast.fallbackManager.set('new', 1)).toBe(false)
    const client = holdfast.redisClient.getClient()
    await expect(client.call('SET', 'raw', 1)).rejects.toMatchObject({ code: 'E_FULL', applied: 'no', retryable: false })
    expect(await holdfast.redisClient.execute('SET', 'raw', 1)).toBeNull()
    isNoOutage(scene)
    // Refused is refused: nothing of it turns up when there is room.
    await emptied(scene)
    expect(await scene.stored(['new', 'large', 'key:1'])).toEqual([null, null, 1])
    expect(await Promise.all(['new', 'large', 'key:1'].map((key) => cache.get(key)))).toEqual([null, null, 1])
    expect(await cache.set('new', 2)).toBe(true)
  })

  it('goes on reading, and gives a loader its value', async () => {
    await using scene = await full()
    const { cache } = scene
    expect(await cache.getEntry('key:1')).toMatchObject({ value: 1, source: 'redis' })
    expect(await cache.exists('key:1')).toBe(true)
    expect(await cache.getOrSet('key:2', () => 'never')).toBe(2)
    expect(await cache.getOrSet('new', () => 'loaded')).toBe('loaded')
    isNoOutage(scene)
  })

  it('deletes all the same, and says that it did', async () => {
    await using scene = await full()
    const { cache } = scene
    expect(await Promise.all(['key:0', 'key:1', 'none'].map((key) => cache.delete(key)))).toEqual([true, true, false])
    expect(await scene.stored(['key:0', 'key:1'])).toEqual([null, null])
    await cache.clear()
    expect(await scene.stored(range(5).map((n) => `key:${n}`))).toEqual(range(5).map(() => null))
    isNoOutage(scene)
    await emptied(scene)
    expect(await cache.get('key:0')).toBeNull()
  })

  it('met on the way back carries out the deletes, and answers reads from what waits', async () => {
    await using scene = await full()
    const { cache, holdfast, proxy } = scene
    await emptied(scene)
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all([cache.set('key:1', 'during'), cache.set('new', 'during'), cache.delete('key:2')])
    await scene.outside((outside) => outside.call('CONFIG', 'SET', 'maxmemory', '1'))
    await proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    await waitFor('the replay to be refused', () => holdfast.fallbackManager.getStats().journalDepth === 2)
    expect(await scene.stored(['key:2'])).toEqual([null])
    expect(await cache.get('key:2')).toBeNull()
    // Acknowledged, and owed to the server still.
    expect(await Promise.all([cache.get('key:1'), cache.get('new')])).toEqual(['during', 'during'])
    await emptied(scene)
    await scene.healed()
    expect(await scene.stored(['key:1', 'new', 'key:2'])).toEqual(['during', 'during', null])
  })
})

describe('a user who may not do something (NOPERM)', () => {
  async function limited(...rights: string[]): Promise<{ scene: Scene; judge: RespClient }> {
    const scene = await Scene.start({ username: 'app', password: 'of-the-app' })
    const judge = await scene.server.client()
    await judge.call('ACL', 'SETUSER', 'app', 'on', '>of-the-app', '~*', '&*', '+@all')
    await Promise.all(range(3).map((n) => scene.cache.set(`key:${n}`, n)))
    await judge.call('ACL', 'SETUSER', 'app', ...rights)
    return { scene, judge }
  }
  const refused = (applied: unknown = 'no'): object => ({ name: 'HoldfastError', code: 'E_AUTH', applied, retryable: false })

  it.each<[string, string[], (scene: Scene) => Promise<unknown>]>([
    ['SET, by a set', ['-set'], ({ cache }) => cache.set('key:0', 'new')],
    ['SET, by a large set', ['-set'], ({ cache }) => cache.set('key:0', large)],
    ['SET, by a loader', ['-set'], ({ cache }) => cache.getOrSet('none', () => 'loaded')],
    ['GET, by a get', ['-get'], ({ cache }) => cache.get('key:0')],
    ['GET, by a loader', ['-get'], ({ cache }) => cache.getOrSet('key:0', () => 'loaded')],
    ['EXISTS', ['-exists'], ({ cache }) => cache.exists('key:0')],
    ['UNLINK, by a delete', ['-unlink'], ({ cache }) => cache.delete('key:0')],
    ['SCAN, by a clear', ['-scan'], ({ cache }) => cache.clear()],
    ['EVALSHA, by a clear', ['-evalsha'], ({ cache }) => cache.clear()],
    ['this key', ['resetkeys', '~nothing:*'], ({ cache }) => cache.set('key:0', 'new')],
    ['INCR, by a raw command', ['-incr'], ({ holdfast }) => holdfast.redisClient.getClient().call('INCR', 'counter')],
  ])('is told so with E_AUTH: %s', async (_, rights, call) => {
    const { scene, judge } = await limited(...rights)
    await using __ = scene
    await expect(call(scene)).rejects.toMatchObject(refused(expect.stringMatching(/^(no|unknown)$/)))
    isNoOutage(scene)
    expect(await scene.stored(['key:0'])).toEqual([0])
    await judge.call('ACL', 'SETUSER', 'app', '+@all', 'allkeys')
    await call(scene)
    isNoOutage(scene)
    judge.close()
  })

  it('to one key spoils a clear for that key alone, and the clear says that it is not done', async () => {
    const { scene, judge } = await limited()
    await using _ = scene
    const { cache } = scene
    // Each with a record beside it, which is swept before any value.
    for (const key of ['denied', 'key:1']) {
      await cache.delete(key)
      await cache.set(key, 'again')
    }
    await judge.call('ACL', 'SETUSER', 'app', 'resetkeys', `~${scene.name('key:*')}`, `~${scene.keyPrefix}h:*`)
    await expect(cache.clear()).rejects.toMatchObject({ ...refused('unknown'), operation: 'cacheManager.clear' })
    expect(await scene.stored(['key:0', 'key:1', 'key:2', 'denied'])).toEqual([null, null, null, 'again'])
    isNoOutage(scene)
    await judge.call('ACL', 'SETUSER', 'app', 'allkeys')
    await cache.clear()
    expect(await scene.stored(['denied'])).toEqual([null])
    judge.close()
  })

  it.each(['hset', 'pexpire'])('%s inside the script that notes a clear: everything is removed all the same, and the clear says that it is not done', async (right) => {
    const { scene, judge } = await limited(`-${right}`)
    await using _ = scene
    const error = await scene.cache.clear().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ ...refused('unknown'), operation: 'cacheManager.clear' })
    expect(String((error as Error).cause)).toMatch(/^NOPERM The user executing the script/)
    expect(await scene.stored(['key:0', 'key:1', 'key:2'])).toEqual([null, null, null])
    isNoOutage(scene)
    await judge.call('ACL', 'SETUSER', 'app', '+@all')
    await scene.cache.clear()
    judge.close()
  })

  it('HGETALL, by which clears of others are read, loses nothing on the way back', async () => {
    const { scene, judge } = await limited('-hgetall')
    await using _ = scene
    const { cache, holdfast, proxy } = scene
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all([cache.set('key:0', 'during'), cache.set('fresh', 'during'), cache.delete('key:1')])
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['key:0', 'fresh', 'key:1'])).toEqual(['during', 'during', null])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, syncStatus: 'synced' })
    judge.close()
  })

  it('when it is let in again: what it may not write is counted as a conflict, and holds up nothing else', async () => {
    const { scene, judge } = await limited()
    await using _ = scene
    const { cache, holdfast, proxy } = scene
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all([cache.set('key:0', 'during'), cache.set('allowed', 'during'), cache.delete('key:1')])
    await judge.call('ACL', 'SETUSER', 'app', 'resetkeys', `~${scene.name('allowed')}`, `~${scene.keyPrefix}h:*`)
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['key:0', 'key:1', 'allowed'])).toEqual([0, 1, 'during'])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 2, journalDepth: 0 })
    judge.close()
  })

  it('spoils that key alone', async () => {
    const { scene, judge } = await limited('resetkeys')
    await using _ = scene
    await judge.call('ACL', 'SETUSER', 'app', `~${scene.name('allowed')}*`, `~${scene.keyPrefix}h:{${scene.name('allowed')}*`)
    const { cache } = scene
    const answers = await Promise.allSettled([
      cache.set('allowed:1', 1),
      cache.set('key:0', 'new'),
      cache.get('key:1'),
      cache.get('allowed:1'),
      cache.delete('allowed:1'),
      cache.getOrSet('allowed:2', () => 'loaded'),
    ])
    expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : (answer.reason as { code: string }).code))).toEqual([
      true,
      'E_AUTH',
      'E_AUTH',
      1,
      true,
      'loaded',
    ])
    isNoOutage(scene)
    judge.close()
  })
})

describe('a server that forgot its scripts (NOSCRIPT)', () => {
  const forget = ({ server }: Scene): Promise<unknown> =>
    server.client().then(async (outside) => {
      await outside.call('SCRIPT', 'FLUSH')
      outside.close()
    })

  it('gets them again, and nobody notices', async () => {
    await using scene = await Scene.start()
    const { cache, holdfast } = scene
    const client = holdfast.redisClient.getClient()
    for (const round of range(3)) {
      await forget(scene)
      const loads = range(20).map((n) => cache.getOrSet(`loaded:${round}:${n}`, () => ({ n })))
      expect(await Promise.all(loads)).toEqual(range(20).map((n) => ({ n })))
      expect(await Promise.all([cache.set('key', round), cache.get('key'), client.call('INCR', 'counter')])).toEqual([true, round, round + 1])
      expect(await scene.stored(range(20).map((n) => `loaded:${round}:${n}`))).toEqual(range(20).map((n) => ({ n })))
    }
    isNoOutage(scene)
  })

  it('between the lease and the fill gets them again too', async () => {
    await using scene = await Scene.start()
    const { cache } = scene
    const loaded = cache.getOrSet('loaded', async () => {
      await forget(scene)
      return 'fresh'
    })
    expect(await loaded).toBe('fresh')
    expect(await scene.stored(['loaded'])).toEqual(['fresh'])
    isNoOutage(scene)
  })

  it('is cleared all the same', async () => {
    await using scene = await Scene.start()
    const { cache } = scene
    await Promise.all(range(20).map((n) => cache.set(`key:${n}`, n)))
    await forget(scene)
    await cache.clear()
    expect(await scene.stored(range(20).map((n) => `key:${n}`))).toEqual(range(20).map(() => null))
    isNoOutage(scene)
  })

  async function returned(work: (scene: Scene) => Promise<unknown>): Promise<Scene> {
    const scene = await Scene.start({ fallback: { autoSync: false } })
    const { cache, holdfast, proxy } = scene
    const values = range(20).map((n) => cache.set(`key:${n}`, n))
    await Promise.all([...values, holdfast.fallbackManager.mset({ deleted: 1, replaced: 1 })])
    await proxy.set('refuse')
    await scene.degraded()
    await work(scene)
    await proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    return scene
  }

  it('before a re-sync by hand still gets the clears of the outage', async () => {
    await using scene = await returned(({ cache }) => cache.clear())
    await forget(scene)
    await scene.holdfast.fallbackManager.syncWithRedis()
    await scene.healed()
    expect(await scene.stored(range(20).map((n) => `key:${n}`))).toEqual(range(20).map(() => null))
  })

  it('before a re-sync by hand still gets the deletes and the sets of the outage', async () => {
    await using scene = await returned(({ holdfast: { fallbackManager } }) =>
      Promise.all([fallbackManager.delete('deleted'), fallbackManager.set('replaced', 2)]),
    )
    const { fallbackManager } = scene.holdfast
    await forget(scene)
    await fallbackManager.syncWithRedis()
    await scene.healed()
    expect(await fallbackManager.mget(['deleted', 'replaced'])).toEqual([null, 2])
    expect(fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0 })
  })
})
