// FallbackCache: functions that remember, and getOrSet with the fallback's own keys.
import { describe, expect, it, vi } from 'vitest'
import { gate, onStore, stores } from '../cache/stores'

describe.each(stores)('FallbackCache on %s', (store) => {
  const { holdfast, keyPrefix, outside } = onStore(store)
  const { FallbackCache, fallbackManager } = holdfast

  it('runs a function once for the same arguments, at once or one after the other', async () => {
    const work = vi.fn(async (a: number, b: { c: string }) => ({ sum: `${a}${b.c}` }))
    const memoized = FallbackCache.memoize(work, { ttl: 60 })
    const all = await Promise.all([memoized(1, { c: 'x' }), memoized(1, { c: 'x' }), memoized(2, { c: 'x' })])
    expect(all).toEqual([{ sum: '1x' }, { sum: '1x' }, { sum: '2x' }])
    expect(await memoized(1, { c: 'x' })).toEqual({ sum: '1x' })
    expect(work).toHaveBeenCalledTimes(2)
  })

  it('goes by the caller\'s keys when there are some', async () => {
    const work = vi.fn((text: string) => text.length)
    const memoized = FallbackCache.memoize(work, { keyGenerator: (text) => `by-case:${text.toLowerCase()}` })
    expect(await memoized('Text')).toBe(4)
    expect(await memoized('TEXT')).toBe(4)
    expect(work).toHaveBeenCalledTimes(1)
    if (store === 'redis') expect(await outside().call('EXISTS', `${keyPrefix}memoized:by-case:text`)).toBe(1)
  })

  it.each([null, 0, '', false])('remembers %j', async (value) => {
    const work = vi.fn(() => value)
    const memoized = FallbackCache.memoize(work, { keyGenerator: () => `falsy:${value}` })
    expect(await memoized()).toBe(value)
    expect(await memoized()).toBe(value)
    expect(work).toHaveBeenCalledTimes(1)
  })

  it('hands on what the function throws, and remembers no failure', async () => {
    const failure = new RangeError('no')
    const work = vi.fn<(n: number) => string>().mockImplementationOnce(() => {
      throw failure
    }).mockImplementation(() => 'yes')
    const memoized = FallbackCache.memoize(work, { keyGenerator: (n) => `throws:${n}` })
    expect(await memoized(1).catch((error: unknown) => error)).toBe(failure)
    expect(await memoized(1)).toBe('yes')
  })

  it('hands on what a key generator throws', async () => {
    const failure = new Error('no key')
    const memoized = FallbackCache.memoize(() => 1, { keyGenerator: () => { throw failure } })
    expect(await Promise.resolve().then(() => memoized()).catch((error: unknown) => error)).toBe(failure)
  })

  it('getOrSet loads once for fifty', async () => {
    const answer = gate<string>()
    const loader = vi.fn(() => answer.opened)
    const asking = Array.from({ length: 50 }, () => FallbackCache.getOrSet('fifty', loader, 60))
    answer.open('one')
    expect(new Set(await Promise.all(asking))).toEqual(new Set(['one']))
    expect(loader).toHaveBeenCalledTimes(1)
    expect(await FallbackCache.getOrSet('fifty', loader, 60)).toBe('one')
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('getOrSet works while the fallback is forced', async () => {
    await fallbackManager.forceFallbackMode(true)
    expect(await FallbackCache.getOrSet('forced', async () => [1])).toEqual([1])
    expect(await FallbackCache.getOrSet('forced', async () => [2])).toEqual([1])
    await fallbackManager.forceFallbackMode(false)
    expect(await FallbackCache.getOrSet('forced', async () => [3])).toEqual([1])
  })
})
