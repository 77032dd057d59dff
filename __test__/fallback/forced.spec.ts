// forceFallbackMode takes effect before it returns, and what happened meanwhile is not lost.
import { describe, expect, it } from 'vitest'
import { onStore } from '../cache/stores'
import { waitFor } from '../support/wait-for'

describe('forced fallback', () => {
  const { holdfast, keyPrefix, outside } = onStore('redis')
  const { fallbackManager, cacheManager, isRedisAvailable } = holdfast

  it('is in force when the call comes back, without waiting for its promise', async () => {
    await cacheManager.set('here', 'in redis')
    await waitFor('Redis to answer', () => !fallbackManager.getStats().isUsingFallback)
    const forced = fallbackManager.forceFallbackMode(true)
    expect(fallbackManager.getStats().isUsingFallback).toBe(true)
    const written = cacheManager.set('quick', 'in memory')
    await forced
    expect(await written).toBe(true)
    expect(await outside().call('EXISTS', `${keyPrefix}cache:quick`)).toBe(0)
    expect(await cacheManager.get('quick')).toBe('in memory')
    await fallbackManager.forceFallbackMode(false)
  })

  it('sends nothing to Redis while it lasts, and everything afterwards', async () => {
    await waitFor('Redis to answer', () => !fallbackManager.getStats().isUsingFallback)
    await fallbackManager.set('old', 1)
    await fallbackManager.forceFallbackMode(true)
    await fallbackManager.set('new', 2)
    await fallbackManager.delete('old')
    await cacheManager.set('cached', 3)
    const during = await outside().call('EXISTS', `${keyPrefix}fallback:new`, `${keyPrefix}cache:cached`)
    expect(during).toBe(0)
    expect(await outside().call('EXISTS', `${keyPrefix}fallback:old`)).toBe(1)
    expect(await fallbackManager.get('old')).toBeNull()
    expect(fallbackManager.getFallbackKeys()).toContain('new')

    await fallbackManager.forceFallbackMode(false)
    await fallbackManager.syncWithRedis()
    expect(fallbackManager.getStats()).toMatchObject({ isUsingFallback: false, redisAvailable: true, syncStatus: 'synced' })
    expect(fallbackManager.getStats().lastSyncTime).toBeGreaterThan(0)
    const after = await outside().call('EXISTS', `${keyPrefix}fallback:new`, `${keyPrefix}cache:cached`)
    expect(after).toBe(2)
    expect(await outside().call('EXISTS', `${keyPrefix}fallback:old`)).toBe(0)
    expect(await fallbackManager.mget(['old', 'new'])).toEqual([null, 2])
  })

  it('that is lifted at once is over only once: nothing is answered from memory after that', async () => {
    await cacheManager.set('kept', 'in redis')
    for (let n = 0; n < 100; n++) {
      await waitFor('Redis to answer', () => !fallbackManager.getStats().isUsingFallback)
      void fallbackManager.forceFallbackMode(true)
      void fallbackManager.forceFallbackMode(false)
      await waitFor('Redis to answer', () => !fallbackManager.getStats().isUsingFallback)
      for (let turn = 0; turn < 20; turn++) {
        await new Promise((resolve) => setImmediate(resolve))
        expect(fallbackManager.getStats().isUsingFallback).toBe(false)
      }
    }
  })

  it('can be forced twice and lifted twice', async () => {
    await fallbackManager.forceFallbackMode(true)
    await fallbackManager.forceFallbackMode(true)
    expect(fallbackManager.getStats().isUsingFallback).toBe(true)
    await fallbackManager.forceFallbackMode(false)
    await fallbackManager.forceFallbackMode(false)
    await fallbackManager.syncWithRedis()
    expect(await cacheManager.set('after', 1)).toBe(true)
    expect(await outside().call('EXISTS', `${keyPrefix}cache:after`)).toBe(1)
    expect(isRedisAvailable()).toBe(true)
  })

  it('clears what the fallback holds on request', async () => {
    await fallbackManager.forceFallbackMode(true)
    await fallbackManager.set('held', 1)
    expect(fallbackManager.getFallbackKeys()).toContain('held')
    fallbackManager.clearFallbackData()
    expect(fallbackManager.getFallbackKeys()).toEqual([])
    await fallbackManager.forceFallbackMode(false)
  })
})
