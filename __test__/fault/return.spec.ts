// The way back from an outage, disturbed: by what is asked meanwhile, by a server without room or
// without connections, by connections of others that have the numbers ours had.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

const keys = (count: number): string[] => range(count).map((n) => `key:${n}`)
const large = 'l'.repeat(100_000)

describe('the return from an outage', () => {
  it('closes no connection of others on a server that was restarted', async () => {
    await using scene = await Scene.start()
    await scene.cache.set('before', 1)
    await scene.proxy.set('refuse')
    await scene.degraded()
    await scene.server.restart({ keepData: false, force: true })
    // The new server counts connections from the start again: these have the numbers that ours had.
    const others = await Promise.all(range(60).map(() => scene.server.client()))
    await scene.cache.set('during', 1)
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await Promise.all(others.map((other) => other.call('PING')))).toEqual(others.map(() => 'PONG'))
    expect(await scene.stored(['during'])).toEqual([1])
    for (const other of others) other.close()
  })

  it('gives every key its journalled value, however often its connection breaks in the middle', async () => {
    await using scene = await Scene.start()
    const { cache, proxy } = scene
    const names = keys(3_000)
    await Promise.all(names.map((key) => cache.set(key, 'before')))
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all(names.map((key, n) => (n % 3 === 0 ? cache.delete(key) : cache.set(key, 'during'))))
    await proxy.set({ slice: 512 })
    await waitFor('Redis to answer', () => scene.holdfast.isRedisAvailable())
    for (const round of range(5)) {
      proxy.resetConnections()
      const asked = range(60).map((n) => 2_940 - round * 60 + n)
      const answers = await Promise.all(asked.map((n) => cache.get(`key:${n}`)))
      expect(answers, `round ${round}`).toEqual(asked.map((n) => (n % 3 === 0 ? null : 'during')))
    }
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(names)).toEqual(names.map((_, n) => (n % 3 === 0 ? null : 'during')))
  })

  it('brings back nothing that is cleared while it lasts', async () => {
    await using scene = await Scene.start()
    const { cache, proxy } = scene
    await cache.set('before', 1)
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all(keys(20).map((key, n) => cache.set(key, n % 2 === 0 ? large : n)))
    await proxy.set({ slice: 4_096 })
    await waitFor('Redis to answer', () => scene.holdfast.isRedisAvailable())
    await cache.clear()
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored([...keys(20), 'before'])).toEqual([...range(20), 0].map(() => null))
  })

  it('to a server without room waits until there is some, and loses nothing', async () => {
    await using scene = await Scene.start()
    const { cache, proxy } = scene
    await cache.set('before', 1)
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all(keys(300).map((key, n) => cache.set(key, n)))
    await scene.outside((client) => client.call('CONFIG', 'SET', 'maxmemory', '1'))
    await proxy.set('pass')
    await waitFor('Redis to answer', () => scene.holdfast.isRedisAvailable())
    // Whoever asks for the replay is told that it can't be done now, instead of waiting.
    await scene.holdfast.fallbackManager.syncWithRedis()
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ journalDepth: 300, conflicts: 0 })
    await scene.outside((client) => client.call('CONFIG', 'SET', 'maxmemory', '0'))
    await scene.healed()
    expect(await scene.stored(keys(300))).toEqual(range(300))
  })

  it('by hand replays sets and invalidations alike', async () => {
    await using scene = await Scene.start({ fallback: { autoSync: false } })
    const { cache, proxy, holdfast } = scene
    await Promise.all(keys(10).map((key) => cache.set(key, 'before')))
    await proxy.set('refuse')
    await scene.degraded()
    await cache.clear()
    await Promise.all(keys(5).map((key) => cache.set(key, 'during')))
    await proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    await holdfast.fallbackManager.syncWithRedis()
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ journalDepth: 0, syncStatus: 'synced' })
    expect(await scene.stored(keys(10))).toEqual(range(10).map((n) => (n < 5 ? 'during' : null)))
  })
})

describe('a server that takes no more connections', () => {
  it('takes large values over the one that stands, and is no worse for it', async () => {
    await using scene = await Scene.start()
    const { cache, events } = scene
    await cache.set('before', 1)
    // The package's one, and this one.
    using outside = await scene.server.client()
    await outside.call('CONFIG', 'SET', 'maxclients', '2')
    expect(await Promise.all(keys(5).map((key) => cache.set(key, large)))).toEqual(range(5).map(() => true))
    expect(await cache.getEntry('key:3')).toMatchObject({ value: large, source: 'redis' })
    expect(events.filter((name) => name !== 'backend-connected')).toEqual([])
  })
})
