// The counts are exact.
import { describe, expect, it } from 'vitest'
import { untilHot } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { onStore, stores } from './stores'

describe.each(stores)('statistics on %s', (store) => {
  const { holdfast, open, keyPrefix } = onStore(store)
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

  it('say which layer answered: together they are the hits', async () => {
    await cacheManager.set('layers', 1)
    await untilHot(holdfast, 'layers')
    cacheManager.resetStats()
    await cacheManager.get('layers')
    await cacheManager.get('layers', { skipL1: true })
    await cacheManager.get('none')
    const { hits, misses, hitRate, layers } = cacheManager.getStats()
    const behind = store === 'redis' ? { redis: 1, memory: 0 } : { redis: 0, memory: 1 }
    expect({ hits, misses, layers }).toEqual({ hits: 2, misses: 1, layers: { hot: 1, near: 0, ...behind } })
    expect(hitRate).toBeCloseTo(2 / 3)
    if (store === 'memory') return
    await cacheManager.getEntry('layers')
    expect(cacheManager.getStats().layers).toEqual({ hot: 1, near: 1, redis: 1, memory: 0 })
  })

  it('count loads, those who shared one, and those that failed', async () => {
    cacheManager.resetStats()
    const slow = () => new Promise<string>((resolve) => setTimeout(resolve, 30, 'loaded'))
    await Promise.all(Array.from({ length: 50 }, () => cacheManager.getOrSet('shared load', slow)))
    expect(cacheManager.getStats()).toMatchObject({ loads: 1, loadErrors: 0, coalesced: 49, savings: { loadsAvoided: 49 } })
    await cacheManager.getOrSet('shared load', slow, { skipL1: true })
    const { savings } = cacheManager.getStats()
    expect(savings.loadsAvoided).toBe(50)
    expect(savings.timeSavedMs).toBeGreaterThanOrEqual(25)
    await cacheManager.getOrSet('failing load', async () => Promise.reject(new Error('no'))).catch(() => {})
    expect(cacheManager.getStats()).toMatchObject({ loads: 2, loadErrors: 1 })
  })

  it('count loaded values that came too late', async () => {
    cacheManager.resetStats()
    await cacheManager.getOrSet('fenced', async () => (await cacheManager.delete('fenced'), 'late'))
    expect(cacheManager.getStats()).toMatchObject({ fenced: 1, loads: 1, sets: 0 })
  })

  it('say what this process holds', async () => {
    await cacheManager.set('held', 'x'.repeat(5_000), { compress: false })
    await cacheManager.get('held')
    const { entries, bytes, evicted } = cacheManager.getStats()
    expect(entries).toBeGreaterThanOrEqual(1)
    expect(bytes).toBeGreaterThanOrEqual(5_000)
    expect(evicted).toBe(0)
  })

  it('are seen by all copies soon, though the one that counts never asks for them', async () => {
    const [one, other] = [open({ keyPrefix: `${keyPrefix}copies:` }).cacheManager, open({ keyPrefix: `${keyPrefix}copies:` }).cacheManager]
    const [space, slow] = [one.namespace('shared'), () => new Promise<number>((resolve) => setTimeout(resolve, 10, 1))]
    for (const cache of [one, space]) {
      await Promise.all(Array.from({ length: 10 }, () => cache.getOrSet('load', slow)))
      await cache.getOrSet('fails', async () => Promise.reject(new Error('no'))).catch(() => {})
      for (let time = 0; time < 5; time++) await cache.getOrSet('load', slow)
    }
    // Hits of the hot tier are seen here alone, so some of these can be no others.
    const told = () => {
      const { loads, loadErrors, coalesced, savings, hits, namespaces } = other.getStats()
      return { loads, loadErrors, coalesced, avoided: savings.loadsAvoided, hits, inner: namespaces['cache:shared']?.hits }
    }
    const all = { loads: 4, loadErrors: 2, coalesced: 18, avoided: 28, hits: 10, inner: 5 }
    await waitFor('the other copy to know', () => told().hits === all.hits && told().loads === all.loads)
    expect(told()).toEqual(all)
    await one.get('load')
    await waitFor('the other copy to know of one more', () => told().hits === all.hits + 1)
  })

  it('of an instance that is closed are not lost to the others', async () => {
    const [one, other] = [open({ keyPrefix: `${keyPrefix}closed:` }), open({ keyPrefix: `${keyPrefix}closed:` })]
    other.cacheManager.getStats()
    await one.cacheManager.getOrSet('load', () => 1)
    await one.close()
    expect(other.cacheManager.getStats()).toMatchObject({ loads: 1, misses: 1, sets: 1 })
  })

  it('are those of each namespace, however their names are spelt together', async () => {
    const spaces = [
      cacheManager.namespace('a').namespace('b'),
      cacheManager.namespace('a:b'),
      cacheManager.namespace('a%3Ab'),
      cacheManager.namespace('b', { prefix: 'cache:a' }),
    ]
    for (const [n, space] of spaces.entries()) {
      expect(space.getStats(), 'before its first use').toMatchObject({ hits: 0, misses: 0, sets: 0 })
      await Promise.all(Array.from({ length: n + 1 }, (_, key) => space.set(`${key}`, 1)))
    }
    expect(spaces.map((space) => space.getStats().sets)).toEqual([1, 2, 3, 4])
    const { namespaces } = cacheManager.getStats()
    const names = ['cache:a:b', 'cache:a%3Ab', 'cache:a%253Ab', 'cache%3Aa:b']
    expect(names.map((name) => namespaces[name]?.sets)).toEqual([1, 2, 3, 4])
    spaces[0]?.resetStats()
    expect(spaces.map((space) => space.getStats().sets)).toEqual([0, 2, 3, 4])
  })

  it('of a namespace have what it holds here, and what was wrong with its calls', async () => {
    const space = open({ keyPrefix: `${keyPrefix}holds:`, maxValueBytes: 1_000 }).cacheManager.namespace('space')
    expect(await space.set('held', 'x'.repeat(900), { l1Only: true })).toBe(true)
    expect(space.getStats()).toMatchObject({ entries: 1, evicted: 0, errors: 0 })
    expect(space.getStats().bytes).toBeGreaterThan(900)
    await expect(space.set('too large', 'x'.repeat(1_001))).rejects.toMatchObject({ code: 'E_INVALID', path: 'value' })
    expect(space.getStats().errors).toBe(1)
  })

  it('count what was loaded and has no room as refused', async () => {
    const cache = open({ keyPrefix: `${keyPrefix}room:`, fallback: { maxMemoryMb: 1 } }).cacheManager
    for (const key of ['one', 'other']) await cache.getOrSet(key, () => 'x'.repeat(2_000_000), { l1Only: true, compress: false })
    expect(cache.getStats()).toMatchObject({ loads: 2, sets: 0, fenced: 0, errors: 2, refused: 2 })
  })

  if (store === 'memory') it('of a namespace beyond the 10,000th say that they are none, and count in the total', async () => {
    const { cacheManager: cache } = open({ keyPrefix: `${keyPrefix}bound:` })
    await cache.set('of the whole', 1)
    const spaces = Array.from({ length: 10_001 }, (_, n) => cache.namespace(`${n}`))
    await Promise.all(spaces.map((space) => space.set('a', 1)))
    const [last, beyond] = spaces.slice(-2)
    expect(last?.getStats()).toMatchObject({ sets: 1 })
    expect(last?.getStats()).not.toHaveProperty('uncounted')
    expect(beyond?.getStats()).toMatchObject({ uncounted: true, sets: 0, hits: 0, entries: 0, backend: 'memory', namespaces: {} })
    beyond?.resetStats()
    expect(cache.getStats().sets).toBe(10_002)
    expect(Object.keys(cache.getStats().namespaces)).toHaveLength(10_000)
  })

  it('of a namespace are reset without those of the others', async () => {
    const [space, beside] = [cacheManager.namespace('reset'), cacheManager.namespace('beside')]
    await Promise.all([space.set('a', 1), beside.set('a', 1), cacheManager.set('a', 1)])
    const before = beside.getStats().sets
    space.resetStats()
    expect([space.getStats().sets, beside.getStats().sets]).toEqual([0, before])
    expect(before).toBeGreaterThan(0)
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

  it('are zero after a reset, all that count', async () => {
    await cacheManager.namespace('zero').set('a', 1)
    cacheManager.resetStats()
    const { backend, namespaces, entries, bytes, evicted, ...rest } = cacheManager.getStats()
    const zero = {
      ...{ hits: 0, misses: 0, sets: 0, deletes: 0, errors: 0, hitRate: 0, stale: 0, loads: 0, loadErrors: 0 },
      ...{ coalesced: 0, fenced: 0, refused: 0 },
      layers: { hot: 0, near: 0, redis: 0, memory: 0 },
      savings: { loadsAvoided: 0, timeSavedMs: 0 },
    }
    expect(rest).toEqual(zero)
    expect(namespaces['cache:zero']).toMatchObject(zero)
    expect(backend).toBe(store === 'memory' ? 'memory' : 'hybrid')
    for (const held of [entries, bytes, evicted]) expect(held).toBeGreaterThanOrEqual(0)
  })
})
