// The counts are exact.
import { describe, expect, it } from 'vitest'
import { onStore, stores } from './stores'

describe.each(stores)('statistics on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager, getCacheStats, getCacheInfo, AICacheManager } = holdfast
  const counts = () => {
    const { hits, misses, sets, deletes, errors } = cacheManager.getStats()
    return { hits, misses, sets, deletes, errors }
  }

  it('count hits, misses, sets and deletes', async () => {
    cacheManager.resetStats()
    expect(counts()).toEqual({ hits: 0, misses: 0, sets: 0, deletes: 0, errors: 0 })
    await cacheManager.set('a', 1)
    await cacheManager.set('b', null)
    await cacheManager.get('a')
    await cacheManager.get('b')
    await cacheManager.get('c')
    await cacheManager.delete('a')
    await cacheManager.get('a')
    expect(counts()).toEqual({ hits: 2, misses: 2, sets: 2, deletes: 1, errors: 0 })
  })

  it('count getOrSet as a miss and a set, then as a hit', async () => {
    cacheManager.resetStats()
    await cacheManager.getOrSet('loaded', async () => 1)
    expect(counts()).toMatchObject({ hits: 0, misses: 1, sets: 1 })
    await cacheManager.getOrSet('loaded', async () => 1)
    expect(counts()).toMatchObject({ hits: 1, misses: 1, sets: 1 })
  })

  it('count what AI responses do to the cache', async () => {
    cacheManager.resetStats()
    await AICacheManager.cacheResponse('p', 'r', 'm')
    await AICacheManager.getCachedResponse('p', 'm')
    await AICacheManager.getCachedResponse('other', 'm')
    expect(counts()).toMatchObject({ hits: 1, misses: 1, sets: 1 })
  })

  it('are copies, the same from every name, and say which store answers', async () => {
    const stats = cacheManager.getStats()
    expect(['redis', 'memory', 'hybrid']).toContain(stats.backend)
    if (store === 'memory') expect(stats.backend).toBe('memory')
    else expect(stats.backend).not.toBe('memory')
    expect(getCacheStats()).toEqual(stats)
    stats.hits = 1e6
    expect(cacheManager.getStats().hits).not.toBe(1e6)
  })

  it('stand in the info, with what the memory holds', async () => {
    await cacheManager.set('here', 'x'.repeat(500))
    const info = await cacheManager.getInfo()
    expect(info.stats).toEqual(cacheManager.getStats())
    expect(info.redis.available).toBe(store === 'redis')
    if (store === 'memory') {
      expect(info.memory.entries).toBeGreaterThan(0)
      expect(info.memory.size).toBeGreaterThan(0)
    }
    const again = await getCacheInfo()
    expect({ ...again, redis: again.redis.available }).toEqual({ ...info, redis: info.redis.available })
  })

  it('are zero after a reset', () => {
    cacheManager.resetStats()
    expect(counts()).toEqual({ hits: 0, misses: 0, sets: 0, deletes: 0, errors: 0 })
  })
})
