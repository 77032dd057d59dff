// Seed 000, line 425: the debug commands, as far as their managers are here: the system's status and
// the fallback's numbers.
import { describe, expect, it, vi } from 'vitest'
import { getSystemStatus, getFallbackStats } from '@/lib/cache'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 425, on %s', (store) => {
  onStore(store)

  it('prints the status of the system and the use of the fallback', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)

    // Check system status
    const status = await getSystemStatus();
    console.log('System status:', status);

    // Check fallback stats
    const fallbackStats = getFallbackStats();
    console.log('Fallback usage:', fallbackStats);

    expect(log.mock.calls).toEqual([['System status:', status], ['Fallback usage:', fallbackStats]])
    log.mockRestore()
    expect(status.redis.available).toBe(store === 'redis')
    expect(status.cache.stats).toMatchObject({ hits: expect.any(Number), misses: expect.any(Number), backend: status.cache.backend })
    // Memory for good is a choice, not an outage. A server that took long to answer counts as degraded, and a busy
    // machine makes it take long: then it is asked again.
    await vi.waitFor(async () => expect((await getSystemStatus()).overall).toBe('healthy'), { timeout: 20_000 })
    expect(status.fallback.active).toBe(store === 'memory')
    expect(status.fallback.stats).toEqual(fallbackStats)
    expect(fallbackStats).toMatchObject({
      isUsingFallback: store === 'memory',
      redisAvailable: store === 'redis',
      totalKeys: 0,
      syncStatus: 'never',
    })
    expect(fallbackStats.memoryUsage).toBeGreaterThanOrEqual(0)
  })

  it('says which managers are not here', async () => {
    const status = await getSystemStatus()
    expect(status.absent).toEqual(['healthMonitoring'])
    expect(status.pubsub).toEqual({ channels: 0, stats: [] })
  })
})
