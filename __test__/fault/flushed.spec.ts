// A server that is emptied under us: by FLUSHALL, or because it comes back as a new one. Nothing that
// went with it is served or written back, and nothing that was deleted or expired returns.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

const keys = range(20).map((n) => `key:${n}`)
const nothing = keys.map(() => null)
const past = { skipL1: true }
const flush = (scene: Scene): Promise<unknown> => scene.outside((outside) => outside.call('FLUSHALL'))

async function filled(): Promise<Scene> {
  const scene = await Scene.start()
  await Promise.all(keys.map((key, n) => scene.cache.set(key, n)))
  // Read values are kept for an outage.
  expect(await Promise.all(keys.map((key) => scene.cache.get(key)))).toEqual(range(20))
  return scene
}

describe('a server that is flushed', () => {
  it('is believed at once: nothing cached is served', async () => {
    await using scene = await filled()
    const { cache, events } = scene
    await flush(scene)
    // Past copies, which learn of it a moment later.
    expect(await Promise.all(keys.map((key) => cache.get(key, past)))).toEqual(nothing)
    expect(await cache.exists('key:1', past)).toBe(false)
    expect(await cache.getOrSet('key:2', () => 'loaded', past)).toBe('loaded')
    expect(await scene.stored(['key:1', 'key:2'])).toEqual([null, 'loaded'])
    expect(events).toEqual(['backend-connected'])
  })

  it('and seen to be empty, does not get its values back from memory in an outage', async () => {
    await using scene = await filled()
    const { cache, proxy } = scene
    await flush(scene)
    expect(await Promise.all(keys.slice(0, 10).map((key) => cache.get(key, past)))).toEqual(nothing.slice(0, 10))
    expect(await Promise.all(keys.slice(10).map((key) => cache.exists(key, past)))).toEqual(keys.slice(10).map(() => false))
    await proxy.set('refuse')
    await scene.degraded()
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(nothing)
  })

  it('while a loader runs gets no value of it afterwards', async () => {
    await using scene = await filled()
    const { cache } = scene
    const loaded = cache.getOrSet('loading', async () => {
      await flush(scene)
      return 'from before'
    })
    expect(await loaded).toBe('from before')
    expect(await scene.stored(['loading'])).toEqual([null])
    expect(await cache.get('loading')).toBeNull()
  })

  it('while we are cut off is not filled again with what may have been deleted', async () => {
    await using scene = await filled()
    const { cache, holdfast, proxy } = scene
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all([cache.set('key:0', 'during'), cache.set('fresh', 'during'), cache.delete('key:1')])
    await flush(scene)
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored([...keys, 'fresh'])).toEqual([...nothing, null])
    expect(await Promise.all([...keys, 'fresh'].map((key) => cache.get(key)))).toEqual([...nothing, null])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 2, journalDepth: 0 })
    expect(await cache.set('key:0', 'since')).toBe(true)
    expect(await scene.stored(['key:0'])).toEqual(['since'])
  })

  it('while we are cut off is known for that, also where it was full when we looked at it last', async () => {
    await using scene = await filled()
    const { cache, holdfast, proxy } = scene
    await scene.outside((outside) => outside.call('CONFIG', 'SET', 'maxmemory', '1'))
    await holdfast.redisClient.reconnect()
    expect(await cache.set('fresh', 'refused')).toBe(false)
    await proxy.set('refuse')
    await scene.degraded()
    await cache.set('fresh', 'during')
    await scene.outside((outside) => outside.call('CONFIG', 'SET', 'maxmemory', '0'))
    await flush(scene)
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['fresh'])).toEqual([null])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 1, journalDepth: 0 })
  })

  it('and restarted before we replay is known for the flush still', async () => {
    await using scene = await Scene.start({ fallback: { autoSync: false } })
    const { cache, events, holdfast, proxy, server } = scene
    const returned = (times: number): Promise<unknown> =>
      waitFor('the return', () => events.filter((name) => name === 'backend-recovered').length === times)
    await cache.set('before', 1)
    await proxy.set('refuse')
    await scene.degraded()
    await cache.set('fresh', 'during')
    await flush(scene)
    await proxy.set('pass')
    await returned(1)
    await proxy.set('refuse')
    await scene.degraded()
    await server.restart({ keepData: false, force: true })
    await proxy.set('pass')
    await returned(2)
    await holdfast.fallbackManager.syncWithRedis()
    expect(await scene.stored(['fresh'])).toEqual([null])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 1, journalDepth: 0 })
  })
})

describe('a server that comes back empty', () => {
  it('gets what was set meanwhile, and nothing that was deleted, expired or only read', async () => {
    await using scene = await filled()
    const { cache, holdfast, server } = scene
    await server.kill()
    await scene.degraded()
    await Promise.all([cache.set('set', 'during'), cache.set('short', 'during', { ttl: 1 }), cache.set('gone', 'during')])
    await Promise.all([cache.delete('gone'), cache.delete('key:0')])
    expect(await cache.get('key:1')).toBe(1)
    await waitFor('the short one to expire', async () => (await cache.get('short')) === null)
    await server.start()
    await scene.healed()
    expect(await scene.stored([...keys, 'set', 'short', 'gone'])).toEqual([...nothing, 'during', null, null])
    expect(await Promise.all(['key:0', 'key:1', 'set', 'short', 'gone'].map((key) => cache.get(key)))).toEqual([
      null,
      null,
      'during',
      null,
      null,
    ])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ dropped: 0, journalDepth: 0 })
  })

  it('gets each value with what is left of its time', async () => {
    await using scene = await filled()
    const { cache, server } = scene
    await server.kill()
    await scene.degraded()
    await Promise.all([cache.set('minute', 1, { ttl: 60 }), cache.set('day', 1, { ttl: '1d' }), cache.set('endless', 1, { persist: true })])
    const left = (await cache.getEntry('minute'))?.ttlMs ?? 0
    await waitFor('some of it to pass', async () => ((await cache.getEntry('minute'))?.ttlMs ?? left) < left)
    await server.start()
    await scene.healed()
    using outside = await server.client()
    const [minute, day, endless] = await outside.pipeline(['minute', 'day', 'endless'].map((key) => ['PTTL', scene.name(key)]))
    expect(minute).toBeGreaterThan(20_000)
    expect(minute).toBeLessThan(60_000)
    expect(day).toBeGreaterThan(86_360_000)
    expect(day).toBeLessThanOrEqual(86_400_000)
    expect(endless).toBe(-1)
  })
})

describe('a subscription by a raw command', () => {
  it('is refused, and no connection turns into a stream', async () => {
    await using scene = await filled()
    const { holdfast } = scene
    const client = holdfast.redisClient.getClient()
    for (const command of ['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE', 'MONITOR']) {
      await expect(client.call(command, 'news')).rejects.toMatchObject({ code: 'E_UNSUPPORTED', applied: 'no' })
    }
    expect(await client.call('PUBLISH', 'news', 'nobody hears it')).toBe(0)
    expect(await scene.cache.get('key:1')).toBe(1)
  })
})
