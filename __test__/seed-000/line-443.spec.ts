// Seed 000, line 443: trying out the cache and the fallback.
import { describe, expect, it, vi } from 'vitest'
import { cacheManager, fallbackManager, getFallbackStats } from '@/lib/cache'
import { waitFor } from '../support/wait-for'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 443, on %s', (store) => {
  onStore(store)

  it('passes the cache test, and a test in fallback mode', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)

    // Test cache functionality
    const testKey = `test:${Date.now()}`;
    await cacheManager.set(testKey, 'test value', { ttl: 60 });
    const retrieved = await cacheManager.get(testKey);
    console.log('Cache test:', retrieved === 'test value' ? 'PASS' : 'FAIL');

    // Test fallback functionality
    await fallbackManager.forceFallbackMode(true);
    // ... run tests with fallback mode
    expect(getFallbackStats().isUsingFallback).toBe(true)
    expect(await cacheManager.set(`${testKey}:forced`, 'from memory', { ttl: 60 })).toBe(true)
    expect(await cacheManager.get(`${testKey}:forced`)).toBe('from memory')
    await fallbackManager.forceFallbackMode(false);

    expect(log).toHaveBeenCalledWith('Cache test:', 'PASS')
    log.mockRestore()
    expect(await cacheManager.get(testKey)).toBe('test value')
    expect(await cacheManager.get(`${testKey}:forced`)).toBe('from memory')
    await waitFor('the end of the fallback', () => getFallbackStats().isUsingFallback === (store === 'memory'))
    expect(await cacheManager.get(`${testKey}:forced`)).toBe('from memory')
  })
})
