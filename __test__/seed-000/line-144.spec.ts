// Seed 000, line 144: the Redis client.
import { describe, expect, it, vi } from 'vitest'
import { redisClient, isRedisAvailable } from '@/lib/cache/redis-client'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 144, on %s', (store) => {
  const { keyPrefix, outside } = onStore(store)

  it('uses the client when Redis is available, and tells the state of its connection', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    let used = false

    // Check if Redis is available
    if (isRedisAvailable()) {
      const client = redisClient.getClient();
      // Use Redis client
      await client.call('SET', 'greeting', 'hello')
      expect(await client.call('GET', 'greeting')).toBe('hello')
      used = true
    }

    // Get connection state
    const state = redisClient.getConnectionState();
    console.log('Connected:', state.isConnected);

    expect(log).toHaveBeenCalledWith('Connected:', store === 'redis')
    log.mockRestore()
    expect(used).toBe(store === 'redis')
    expect(isRedisAvailable()).toBe(store === 'redis')
    expect(state.isConnecting).toBe(false)
    expect(state.lastError).toBeUndefined()
    expect(typeof state.connectionAttempts).toBe('number')
    if (store === 'redis') expect(state.lastConnectedAt).toBeInstanceOf(Date)
    else expect(state.lastConnectedAt).toBeUndefined()
  })

  if (store === 'redis') it('prefixes the keys of raw commands and adds nothing to their values', async () => {
    await redisClient.getClient().call('SET', 'raw', 'as it is')
    expect(await outside().call('GET', `${keyPrefix}raw`)).toBe('as it is')
  })

  it('gives a copy of the state, not the state', () => {
    const state = redisClient.getConnectionState()
    state.connectionAttempts = 99_999
    expect(redisClient.getConnectionState().connectionAttempts).not.toBe(99_999)
  })
})
