// A server that is not there at first, or does not let us in: memory answers from the first call on, and
// the instance heals by itself.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene, unhandledDuring } from './outage'

const wrong = 'not-the-password-4711'
const right = 'the-password-0815'

describe('a server that refuses at the start', () => {
  it('leaves the first call to memory, rejects nothing behind the back, and heals', async () => {
    await using scene = await Scene.start()
    await scene.proxy.set('refuse')
    const { cache, holdfast } = scene
    const unhandled = await unhandledDuring(async () => {
      expect(await cache.set('first', { call: 1 })).toBe(true)
      expect(await cache.getEntry('first')).toMatchObject({ value: { call: 1 }, source: 'memory' })
      expect(await cache.getOrSet('loaded', () => 'fresh')).toBe('fresh')
      expect(holdfast.isRedisAvailable()).toBe(false)
      await expect(holdfast.redisClient.getClient().call('PING')).rejects.toMatchObject({
        code: 'E_UNAVAILABLE',
        applied: 'no',
      })
      expect((await holdfast.getSystemStatus()).overall).toBe('degraded')
    })
    expect(unhandled).toEqual([])

    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['first', 'loaded'])).toEqual([{ call: 1 }, 'fresh'])
    expect(await cache.getEntry('first')).toMatchObject({ value: { call: 1 }, source: 'redis' })
    expect(holdfast.redisClient.getConnectionState().lastError).toBeUndefined()
  })

  it('is no reason for initializeRedisSystem to reject', async () => {
    await using scene = await Scene.start()
    await scene.proxy.set('refuse')
    const { components, success } = await scene.holdfast.initializeRedisSystem()
    expect({ success, redis: components.redis, fallback: components.fallback }).toEqual({
      success: true,
      redis: false,
      fallback: true,
    })
  })

  it('is told of once, however many calls there are', async () => {
    await using scene = await Scene.start()
    await scene.proxy.set('refuse')
    await Promise.all(range(500).map((n) => scene.cache.set(`key:${n}`, n)))
    await Promise.all(range(500).map((n) => scene.cache.get(`key:${n}`)))
    await scene.proxy.set('pass')
    await scene.healed()
    await waitFor('the events', () => scene.events.includes('backend-recovered'))
    expect(scene.events).toEqual(['backend-degraded', 'backend-connected', 'backend-recovered'])
  })
})

describe('a wrong password', () => {
  it('heals by itself when it is put right on the server', async () => {
    await using scene = await Scene.start({ password: wrong, url: undefined, host: '127.0.0.1', port: 1 })
    const holdfast = scene.open({ url: undefined, host: scene.proxy.host, port: scene.proxy.port, password: wrong })
    await scene.outside((outside) => outside.call('CONFIG', 'SET', 'requirepass', right))
    const { cacheManager, fallbackManager, redisClient } = holdfast
    expect(await cacheManager.set('kept', 'yes')).toBe(true)
    expect(await cacheManager.getEntry('kept')).toMatchObject({ source: 'memory' })
    await expect(redisClient.getClient().call('PING')).rejects.toMatchObject({ code: 'E_AUTH', applied: 'no' })
    expect(redisClient.getConnectionState().lastError).toMatchObject({ code: 'E_AUTH' })

    using outside = await scene.server.client({ password: right })
    await outside.call('CONFIG', 'SET', 'requirepass', wrong)
    await waitFor('the healing', () => holdfast.isRedisAvailable() && fallbackManager.getStats().journalDepth === 0)
    expect(await cacheManager.getEntry('kept')).toMatchObject({ value: 'yes', source: 'redis' })
    expect(await outside.call('EXISTS', scene.name('kept'))).toBe(1)
  })

  it('that became wrong while the instance was online heals too, and loses nothing', async () => {
    await using scene = await Scene.start({ url: undefined, host: '127.0.0.1', port: 1 })
    const holdfast = scene.open({ url: undefined, host: scene.proxy.host, port: scene.proxy.port, password: right })
    using outside = await scene.server.client()
    await outside.call('CONFIG', 'SET', 'requirepass', right)
    const { cacheManager, fallbackManager, redisClient } = holdfast
    await cacheManager.set('before', 1)
    expect(await cacheManager.getEntry('before')).toMatchObject({ source: 'redis' })

    await outside.call('CONFIG', 'SET', 'requirepass', 'changed-meanwhile')
    scene.proxy.resetConnections()
    await waitFor('the outage', async () => (await cacheManager.exists('before'), fallbackManager.getStats().isUsingFallback))
    expect(redisClient.getConnectionState().lastError).toMatchObject({ code: 'E_AUTH' })
    expect(await cacheManager.set('during', 2)).toBe(true)
    expect(await cacheManager.delete('before')).toBe(true)

    await outside.call('CONFIG', 'SET', 'requirepass', right)
    await waitFor('the healing', () => holdfast.isRedisAvailable() && fallbackManager.getStats().journalDepth === 0)
    expect(await outside.call('EXISTS', scene.name('during'))).toBe(1)
    expect(await outside.call('EXISTS', scene.name('before'))).toBe(0)
  })
})
