// What a loader is told, and what it can say about its result.
import { HoldfastError } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { areRefused, makeStale, reasonOf, wrongDurations } from './loads'
import { onStore, stores } from './stores'

describe.each(stores)('the context of a loader on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast

  it('has a signal, and nothing old where nothing was cached', async () => {
    const told = await cacheManager.getOrSet('cold', async ({ signal, stale }) => {
      expect(signal).toBeInstanceOf(AbortSignal)
      return { aborted: signal.aborted, stale }
    })
    expect(told).toEqual({ aborted: false, stale: null })
  })

  it('leaves its result what it is to the compiler, whatever is taken from it', async () => {
    const one = await cacheManager.getOrSet('typed', async ({ signal, stale }) => ({ n: signal.aborted || stale !== null ? 0 : 1 }))
    const many = await cacheManager.getOrSetMany(['typed:1'], (missing, { signal }) => missing.map(() => (signal.aborted ? 0 : 1)))
    const nothing = await cacheManager.getOrSet('typed:2', ({ skip }) => (Date.now() > 0 ? skip() : { n: 1 }))
    const numbers: [number, number | undefined, number | undefined] = [one.n, many[0], nothing?.n]
    expect(numbers).toEqual([1, 1, undefined])
    const reason = await reasonOf(cacheManager.getMany(['typed', 5 as never]))
    const failures: ReadonlyMap<string, Error> | undefined = HoldfastError.isInstance(reason) ? reason.failures : new Map()
    expect(failures).toBeUndefined()
  })

  it('has the old value with its age, where grace keeps one', async () => {
    await makeStale(cacheManager, 'old', { n: 1 })
    const next = await cacheManager.getOrSet<{ n: number }>('old', async ({ stale }) => {
      expect(stale?.ageMs).toBeGreaterThanOrEqual(20)
      expect(stale?.ageMs).toBeLessThan(30_000)
      return { n: (stale?.value.n ?? 0) + 1 }
    }, { grace: 60 })
    expect(next).toEqual({ n: 2 })
    expect(await cacheManager.get('old')).toEqual({ n: 2 })
  })

  it.each([
    ['as a number', 100, 100],
    ['as a text', '5m' as const, 300],
    ['beyond 2^31 ms', '60d' as const, 60 * 86_400],
  ])('lets it set the lifetime of its result %s, in place of the option', async (name, ttl, seconds) => {
    await cacheManager.getOrSet(`ttl:${name}`, async ({ setTtl }) => (setTtl(ttl), 1), { ttl: 7 })
    const entry = await cacheManager.getEntry(`ttl:${name}`)
    expect(entry?.ttlMs).toBeGreaterThan(seconds * 1000 - 20_000)
    expect(entry?.ttlMs).toBeLessThanOrEqual(seconds * 1000)
  })

  it('takes a lifetime of 0 for the one of the call', async () => {
    await cacheManager.getOrSet('ttl:0', async ({ setTtl }) => (setTtl(0), 1), { ttl: 100 })
    const entry = await cacheManager.getEntry('ttl:0')
    expect(entry?.ttlMs).toBeGreaterThan(80_000)
    expect(entry?.ttlMs).toBeLessThanOrEqual(100_000)
  })

  it('lets it set a lifetime beside the option persist, which then counts', async () => {
    await cacheManager.getOrSet('ttl:persist', async ({ setTtl }) => (setTtl(100), 1), { persist: true })
    expect((await cacheManager.getEntry('ttl:persist'))?.ttlMs).toBeLessThanOrEqual(100_000)
  })

  it('lets it name the tags of its result, in place of the option', async () => {
    const load = (key: string, mine: string) =>
      cacheManager.getOrSet(key, async ({ setTags }) => (setTags([mine]), 'tagged'), { tags: ['of the call'] })
    // A server that has never seen these tags can't say that they were not invalidated during the load, since they
    // were named at its end: then the first result is not kept, and the next one is.
    for (const [key, mine] of [['tags:1', 'mine'], ['tags:2', 'yours']] as const) {
      for (let time = 0; time < 2; time++) expect(await load(key, mine)).toBe('tagged')
      expect(await cacheManager.get(key)).toBe('tagged')
    }
    await cacheManager.deleteByTag('of the call')
    expect(await cacheManager.get('tags:1')).toBe('tagged')
    await cacheManager.deleteByTag('mine')
    expect([await cacheManager.get('tags:1'), await cacheManager.get('tags:2')]).toEqual([null, 'tagged'])
  })

  it('does not cache a result whose tag is invalidated while it loads, though the tag is named at the end', async () => {
    const loaded = cacheManager.getOrSet('tags:late', async ({ setTags }) => {
      await cacheManager.deleteByTag('late')
      setTags(['late'])
      return 'loaded before the tag was invalidated'
    })
    expect(await loaded).toBe('loaded before the tag was invalidated')
    expect(await cacheManager.get('tags:late')).toBeNull()
  })

  it('takes tags as they are when it is told, whatever becomes of the array', async () => {
    for (let time = 0; time < 2; time++) {
      const tags = ['of one', 'page']
      await cacheManager.getOrSet('tags:reused', async ({ setTags }) => (setTags(tags), (tags[0] = 'of another'), 1))
    }
    expect(await cacheManager.get('tags:reused')).toBe(1)
    await cacheManager.deleteByTag('of one')
    expect(await cacheManager.get('tags:reused')).toBeNull()
  })

  it('lets it skip the cache, with a value or without', async () => {
    expect(await cacheManager.getOrSet('skip:value', async ({ skip }) => (skip(), 'not cached'))).toBe('not cached')
    expect(await cacheManager.getOrSet<string | undefined>('skip:none', async ({ skip }) => skip())).toBeUndefined()
    expect([await cacheManager.exists('skip:value'), await cacheManager.exists('skip:none')]).toEqual([false, false])
    expect(await cacheManager.getOrSet('skip:value', async () => 'cached')).toBe('cached')
  })

  it('leaves an old value where it is when the loader skips', async () => {
    await makeStale(cacheManager, 'skip:old')
    expect(await cacheManager.getOrSet('skip:old', async ({ skip }) => (skip(), 'not cached'), { grace: 60 })).toBe('not cached')
    expect(await cacheManager.get('skip:old', { allowStale: true })).toBe('old')
  })

  it('lets it fail, with an error of its own or with a text', async () => {
    const mine = new RangeError('mine')
    expect(await reasonOf(cacheManager.getOrSet('fail:error', async ({ fail }) => fail(mine)))).toBe(mine)
    const reason = await reasonOf(cacheManager.getOrSet('fail:text', async ({ fail }) => fail('in words')))
    expect(reason).toBeInstanceOf(Error)
    expect(reason).toMatchObject({ message: 'in words' })
    await makeStale(cacheManager, 'fail:old')
    expect(await cacheManager.getOrSet('fail:old', async ({ fail }) => fail('in words'), { grace: 60 })).toBe('old')
  })

  it('names what is wrong in what the loader says', async () => {
    // Keys of their own: a loader that keeps failing is left alone.
    let keys = 0
    const load = (loader: Parameters<typeof cacheManager.getOrSet>[1]) => cacheManager.getOrSet(`wrong:${keys++}`, loader)
    await areRefused('ttl', wrongDurations, (ttl) => load(({ setTtl }) => setTtl(ttl)))
    await areRefused('tags', ['a', null, 5, {}, Array.from({ length: 65 }, (_, n) => `t${n}`)], (tags) =>
      load(({ setTags }) => setTags(tags)),
    )
    await areRefused('tags[1]', ['', 5, null, 'x'.repeat(257), '\ud800'].map((tag) => ['a', tag]), (tags) =>
      load(({ setTags }) => setTags(tags)),
    )
    await areRefused('reason', ['', 5, null, undefined, {}], (reason) => load(({ fail }) => fail(reason)))
    expect(await cacheManager.deletePattern('wrong:*')).toBe(0)
  })
})
