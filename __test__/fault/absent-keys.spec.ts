// A journalled set that finds its key absent: was it never there, or deleted by somebody whose tombstone has
// ended? What counts is whether the server may have served others after the set, longer ago than tombstones
// live. docs/decisions/0009 has the rule and why it is no weaker.

import { randomUUID } from 'node:crypto'

import { describe, expect, it } from 'vitest'

import { opener, type Instance } from '../cache/stores'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

/** Seconds. Longer than the server lives unseen here, so that a rule that looks at no more than that fails. */
const tombstoneTtl = 4

/** Every tombstone that stands now, and every moment until now, is longer ago than a tombstone lives. */
async function outlived(): Promise<void> {
  const end = performance.now() + tombstoneTtl * 1000 + 100
  await waitFor('every tombstone to end', () => performance.now() > end, { everyMs: 50 })
}

/** A dial that began after this call was refused. */
async function seenDead({ redisClient }: Instance): Promise<void> {
  const { connectionAttempts } = redisClient.getConnectionState()
  await waitFor('two more dials', () => redisClient.getConnectionState().connectionAttempts >= connectionAttempts + 2)
  expect(redisClient.getConnectionState().lastError?.cause).toMatch(/ECONNREFUSED/)
}

async function replayed({ fallbackManager, isRedisAvailable }: Instance): Promise<void> {
  await waitFor('the replay', () => isRedisAvailable() && fallbackManager.getStats().journalDepth === 0)
}

/** Where the tombstone of a cache entry stands. */
const tombstone = (scene: Scene, key: string): string => `${scene.keyPrefix}h:{${scene.name(key)}}`

/** An instance beside the scene's own, straight at the server: another one than ours to the server. */
const another = (scene: Scene): Instance => scene.open({ url: scene.server.url, tombstoneTtl })

// Side by side, because each waits for tombstoneTtl.
describe.concurrent('a set of an absent key', () => {
  it('is dropped when others were served after it, and the server was dead until their tombstones had ended', async () => {
    await using scene = await Scene.start({ tombstoneTtl }, { persistent: true })
    const { cache, holdfast, proxy, server } = scene
    const { cacheManager: others } = another(scene)
    await Promise.all([cache.set('probe', 1), others.set('probe', 1)])
    await proxy.set('blackhole')
    await scene.degraded()
    expect(await cache.set('key', 'ours, older')).toBe(true)
    await others.set('key', 'theirs')
    expect(await others.delete('key')).toBe(true)
    expect(await scene.outside((outside) => outside.call('EXISTS', tombstone(scene, 'key')))).toBe(1)

    await server.kill()
    await proxy.set('refuse')
    await seenDead(holdfast)
    expect(await cache.set('since', 'nobody was served')).toBe(true)
    await outlived()
    await server.start()
    expect(await scene.outside((outside) => outside.call('EXISTS', tombstone(scene, 'key')))).toBe(0)
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['key', 'since'])).toEqual([null, 'nobody was served'])
    expect(await Promise.all(['key', 'since'].map((key) => cache.get(key)))).toEqual([null, 'nobody was served'])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 1, superseded: 0, replayed: 1 })
  })

  it('is written however long the server was dead, when it was dead all the time', async () => {
    await using scene = await Scene.start()
    const { server } = scene
    const holdfast = another(scene)
    const { cacheManager, fallbackManager } = holdfast
    await cacheManager.set('probe', 1)
    await server.kill()
    await cacheManager.exists('probe')
    await seenDead(holdfast)
    const keys = ['one', 'two', 'three']
    expect(await Promise.all(keys.map((key) => cacheManager.set(key, key)))).toEqual([true, true, true])
    await outlived()
    await server.start()
    await replayed(holdfast)
    expect(await scene.stored([...keys, 'probe'])).toEqual([...keys, null])
    expect(fallbackManager.getStats()).toMatchObject({ conflicts: 0, superseded: 0, replayed: 3 })
  })

  it('is dropped when dials failed in any other way, although the server was as dead', async () => {
    await using scene = await Scene.start({ tombstoneTtl })
    const { cache, holdfast, server } = scene
    await cache.set('probe', 1)
    // The proxy goes on accepting connections.
    await server.kill()
    await scene.degraded()
    expect(await cache.set('key', 'ours')).toBe(true)
    await outlived()
    await server.start()
    await scene.healed()
    expect(await scene.stored(['key'])).toEqual([null])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 1, superseded: 0, replayed: 0 })
  })

  it('is written by a process that starts while nobody listens, however long that lasts', async () => {
    const [port, keyPrefix] = [await freePort(), `absent:${randomUUID()}:`]
    const { open, closeAll } = opener({ url: `redis://127.0.0.1:${port}`, keyPrefix, tombstoneTtl })
    const holdfast = open()
    const { cacheManager, fallbackManager } = holdfast
    const keys = ['one', 'two', 'three']
    expect(await Promise.all(keys.map((key) => cacheManager.set(key, key)))).toEqual([true, true, true])
    await outlived()
    await using server = await RedisServer.start({ port })
    await replayed(holdfast)
    using outside = await server.client()
    expect(await outside.call('EXISTS', ...keys.map((key) => `${keyPrefix}cache:${key}`))).toBe(3)
    expect(fallbackManager.getStats()).toMatchObject({ conflicts: 0, superseded: 0, replayed: 3 })
    await closeAll()
  })
})

describe('a journal that waits for syncWithRedis()', () => {
  it('drops what is older than tombstoneTtl by then and absent, and tells of no re-sync before it is asked for', async () => {
    await using scene = await Scene.start({ tombstoneTtl, fallback: { autoSync: false } })
    const { cache, events, holdfast, proxy } = scene
    const { fallbackManager } = holdfast
    const told: string[] = []
    for (const name of ['resync-start', 'resync-end'] as const) holdfast.on(name, () => told.push(name))
    const { cacheManager: others } = another(scene)
    await Promise.all([cache.set('probe', 1), others.set('probe', 1)])
    // Taken for dead: what is found out after the return alone decides.
    await proxy.set('refuse')
    await seenDead(holdfast)
    expect(await Promise.all(['meanwhile', 'later', 'there'].map((key) => cache.set(key, 'ours')))).toEqual([true, true, true])
    await others.set('meanwhile', 'theirs')
    await others.delete('meanwhile')
    await proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    await waitFor('the news', () => events.includes('backend-recovered'))
    expect(told).toEqual([])
    expect(fallbackManager.getStats()).toMatchObject({ journalDepth: 3, syncStatus: 'never' })
    expect(fallbackManager.getStats().lastSyncTime).toBeUndefined()

    await others.set('later', 'theirs')
    await others.delete('later')
    await outlived()
    // One that stands is compared, whatever its age.
    await others.set('there', 'theirs, newer')
    await fallbackManager.syncWithRedis()
    expect(await scene.stored(['meanwhile', 'later', 'there'])).toEqual([null, null, 'theirs, newer'])
    expect(await Promise.all(['meanwhile', 'later'].map((key) => cache.get(key)))).toEqual([null, null])
    expect(fallbackManager.getStats()).toMatchObject({ journalDepth: 0, conflicts: 2, superseded: 1, syncStatus: 'synced' })
    expect(fallbackManager.getStats().lastSyncTime).toBeGreaterThan(0)
  })
})
