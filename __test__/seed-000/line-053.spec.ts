// Seed 000, line 53: initialising the whole system.
import { describe, expect, it, vi } from 'vitest'
import { initializeRedisSystem } from '@/lib/cache'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 53, on %s', (store) => {
  onStore(store, { initialize: false })

  it('initialises with health monitoring and fallback options', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)

    // Initialize all Redis components
    const result = await initializeRedisSystem({
      enableHealthMonitoring: true,
      healthCheckInterval: 30000, // 30 seconds
      enableFallback: true,
      fallbackOptions: {
        enableAutoSync: true,
        maxMemorySize: 100, // 100MB
      }
    });

    console.log('Redis system:', result.success ? 'initialized' : 'failed');

    expect(log).toHaveBeenCalledWith('Redis system:', 'initialized')
    log.mockRestore()
    expect(result.success).toBe(true)
    expect(result.components).toMatchObject({ redis: store === 'redis', cache: true, fallback: true })
    expect(Object.keys(result.components).sort()).toEqual(['cache', 'fallback', 'pubsub', 'redis', 'sessions'])
    expect(result.message).not.toBe('')
  })

  it('is a no-op when called again with the same options', async () => {
    const options = { enableHealthMonitoring: true, healthCheckInterval: 30000, enableFallback: true, fallbackOptions: { enableAutoSync: true, maxMemorySize: 100 } }
    const [first, second] = [await initializeRedisSystem(options), await initializeRedisSystem(options)]
    expect(second).toEqual(first)
  })
})
