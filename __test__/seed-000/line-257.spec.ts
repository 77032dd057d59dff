// Seed 000, line 257: the fallback manager.
import { describe, expect, it } from 'vitest'
import { fallbackManager, FallbackCache } from '@/lib/cache/fallback-manager'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 257, on %s', (store) => {
  onStore(store)
  let runs = 0
  const expensiveFunction = (arg: string): { upper: string } => {
    runs += 1
    return { upper: arg.toUpperCase() }
  }

  it('keeps a value and memoizes a function', async () => {
    // Automatic fallback operations
    await fallbackManager.set('key', 'value', 3600);
    const value = await fallbackManager.get('key');

    // Memoization with fallback
    const memoizedFn = FallbackCache.memoize(expensiveFunction, {
      keyGenerator: (arg) => `fn:${arg}`,
      ttl: 3600
    });

    expect(value).toBe('value')
    const result: { upper: string } = await memoizedFn('a')
    expect(result).toEqual({ upper: 'A' })
    expect(await memoizedFn('a')).toEqual({ upper: 'A' })
    expect(runs).toBe(1)
    expect(await memoizedFn('b')).toEqual({ upper: 'B' })
    expect(runs).toBe(2)
  })
})
