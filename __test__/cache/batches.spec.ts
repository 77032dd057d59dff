// Calls about many keys: one trip for all, and what fails for one key fails for it alone.
import { describe, expect, it, vi } from 'vitest'
import { counters, since, turn, untilHot } from '../boundary/inside'
import { areRefused, makeStale, reasonOf } from './loads'
import { asAnother, gate, onStore, stores } from './stores'

interface Failures {
  code: string
  operation: string
  failures: ReadonlyMap<string, { code: string; path?: string }>
}

describe.each(stores)('calls about many keys on %s', (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const { cacheManager } = holdfast
  const other = open(asAnother)
  const keys = (name: string, count = 5) => Array.from({ length: count }, (_, n) => `${name}:${n}`)

  it('answer in the order of the keys, null for a miss, a key that is named twice twice', async () => {
    await cacheManager.setMany([{ key: 'b', value: 'B' }, { key: 'a', value: 'A' }, { key: 'null', value: null }])
    expect(await cacheManager.getMany(['a', 'none', 'b', 'a', 'null'])).toEqual(['A', null, 'B', 'A', null])
    expect(await cacheManager.getMany(['a', 'none', 'b', 'a', 'null'])).toEqual(['A', null, 'B', 'A', null])
    expect(await cacheManager.deleteMany(['a', 'none', 'b', 'null'])).toEqual([true, false, true, true])
    expect(await cacheManager.getMany(['a', 'b', 'null'])).toEqual([null, null, null])
  })

  it('of no key answer nothing', async () => {
    expect(await cacheManager.getMany([])).toEqual([])
    expect(await cacheManager.setMany([])).toEqual([])
    expect(await cacheManager.deleteMany([])).toEqual([])
    expect(await cacheManager.getOrSetMany([], () => expect.unreachable('the loader ran'))).toEqual([])
  })

  it('cross in one submit', async () => {
    const all = keys('submit', 100)
    const calls: [string, () => Promise<unknown>][] = [
      ['setMany', () => cacheManager.setMany(all.map((key) => ({ key, value: key })))],
      ['getMany', () => cacheManager.getMany(all, { skipL1: true })],
      ['deleteMany', () => cacheManager.deleteMany(all)],
    ]
    for (const [name, call] of calls) {
      await turn()
      // In company, so that no read crosses by itself.
      await Promise.all([cacheManager.exists('a'), cacheManager.exists('b')])
      const before = counters(other)
      await call()
      expect(since(before, other), name).toMatchObject({ submits: 1, operations: 100, pending: 0 })
    }
  })

  it('take thousands', async () => {
    const all = keys('thousands', 3_000)
    expect(new Set(await cacheManager.setMany(all.map((key) => ({ key, value: key }))))).toEqual(new Set([true]))
    expect(await cacheManager.getMany(all)).toEqual(all)
    expect(await cacheManager.getMany(all)).toEqual(all)
    expect(new Set(await cacheManager.deleteMany(all))).toEqual(new Set([true]))
  })

  it('take options for all, which those of an item outrank', async () => {
    await cacheManager.setMany(
      [{ key: 'options:a', value: 1 }, { key: 'options:b', value: 2, options: { ttl: 500 } }],
      { ttl: 100, prefix: 'many' },
    )
    const left = async (key: string) => (await cacheManager.getEntry(key, { prefix: 'many' }))?.ttlMs ?? 0
    expect(await left('options:a')).toBeLessThanOrEqual(100_000)
    expect(await left('options:b')).toBeGreaterThan(400_000)
    expect(await cacheManager.getMany(['options:a', 'options:b'])).toEqual([null, null])
  })

  it('see what the calls before them wrote, without waiting', async () => {
    void cacheManager.set('unwaited', 1)
    expect(await cacheManager.getMany(['unwaited'])).toEqual([1])
    void cacheManager.setMany([{ key: 'unwaited', value: 2 }])
    expect(await cacheManager.getMany(['unwaited'])).toEqual([2])
    void cacheManager.deleteMany(['unwaited'])
    expect(await cacheManager.getMany(['unwaited'])).toEqual([null])
  })

  describe('getOrSetMany', () => {
    it('loads what is missing by one call, in the order of the keys', async () => {
      const [a, b, c, d] = keys('load', 4) as [string, string, string, string]
      await cacheManager.set(b, 'there')
      const loader = vi.fn((missing: readonly string[]) => missing.map((key) => `loaded ${key}`))
      expect(await cacheManager.getOrSetMany([a, b, c, d, a], loader)).toEqual([
        `loaded ${a}`,
        'there',
        `loaded ${c}`,
        `loaded ${d}`,
        `loaded ${a}`,
      ])
      expect(loader.mock.calls.map(([missing]) => missing)).toEqual([[a, c, d]])
      expect(await cacheManager.getMany([a, b, c, d])).toEqual([`loaded ${a}`, 'there', `loaded ${c}`, `loaded ${d}`])
      expect(await cacheManager.getOrSetMany([a, b, c, d], () => expect.unreachable('the loader ran'))).toHaveLength(4)
    })

    it('loads by one call however many are missing', async () => {
      const all = keys('very many', 3_000)
      const loader = vi.fn((missing: readonly string[]) => missing)
      expect(await cacheManager.getOrSetMany(all, loader)).toEqual(all)
      expect(loader.mock.calls.map(([missing]) => missing.length)).toEqual([3_000])
    })

    it.each<[string, (missing: readonly string[]) => never]>([
      ['an array', (missing) => missing.map((key) => `of ${key}`) as never],
      ['a Map', (missing) => new Map(missing.map((key) => [key, `of ${key}`])) as never],
      ['an object', (missing) => Object.fromEntries(missing.map((key) => [key, `of ${key}`])) as never],
      ['a promise', (missing) => Promise.resolve(missing.map((key) => `of ${key}`)) as never],
    ])('takes %s of a loader', async (name, loader) => {
      const all = keys(`shape:${name}`, 3)
      expect(await cacheManager.getOrSetMany(all, loader)).toEqual(all.map((key) => `of ${key}`))
      expect(await cacheManager.getMany(all)).toEqual(all.map((key) => `of ${key}`))
    })

    it('caches null, and nothing where the loader has no value', async () => {
      const [a, b, c] = keys('gaps', 3) as [string, string, string]
      expect(await cacheManager.getOrSetMany(['__proto__', a, b, c], () => ({ [a]: null, [c]: 3 }) as never)).toEqual([undefined, null, undefined, 3])
      expect(await Promise.all([a, b, c, '__proto__'].map((key) => cacheManager.exists(key)))).toEqual([true, false, true, false])
    })

    it('runs once for fifty who ask for the same keys at once, and alone', async () => {
      const all = keys('fifty')
      const answer = gate()
      const loader = vi.fn(async (missing: readonly string[]) => (await answer.opened, missing.map((key) => key)))
      const asking = Array.from({ length: 50 }, () => cacheManager.getOrSetMany(all, loader))
      const one = cacheManager.getOrSet(all[0] as string, () => expect.unreachable('another loader ran'))
      answer.open()
      for (const answered of await Promise.all(asking)) expect(answered).toEqual(all)
      expect(await one).toBe(all[0])
      expect(loader).toHaveBeenCalledTimes(1)
    })

    it('fails with what its loader throws, unchanged, and caches nothing', async () => {
      const all = keys('fails', 3)
      const mine = new Error('the database is gone')
      const loader = vi.fn(async () => Promise.reject(mine))
      expect(await reasonOf(cacheManager.getOrSetMany(all, loader))).toBe(mine)
      expect(loader).toHaveBeenCalledTimes(1)
      expect(await cacheManager.getMany(all)).toEqual([null, null, null])
      const onError = vi.fn()
      expect(await cacheManager.getOrSetMany(all, loader, { onError })).toEqual([undefined, undefined, undefined])
      expect(onError.mock.calls).toEqual(all.map((key) => [key, mine]))
    })

    it('serves old values where grace keeps them and the loader fails', async () => {
      const [a, b] = keys('graced', 2) as [string, string]
      await makeStale(cacheManager, a)
      await cacheManager.set(b, 'fresh')
      expect(await cacheManager.getOrSetMany([a, b], async () => Promise.reject(new Error('no')), { grace: 60 })).toEqual(['old', 'fresh'])
    })

    it('gives frozen objects where they are shared, loaded or found', async () => {
      for (let time = 0; time < 4; time++) {
        const [answer] = await cacheManager.getOrSetMany(['shared'], () => [{ deep: { n: 1 } }], { shared: true })
        expect([answer, Object.isFrozen(answer), Object.isFrozen(answer?.deep)]).toEqual([{ deep: { n: 1 } }, true, true])
      }
    })

    it('loads anew beside what is due, also where its text is at hand, and counts what it spares', async () => {
      await cacheManager.set('due', 'old', { ttl: 60 })
      await untilHot(holdfast, 'due')
      cacheManager.resetStats()
      const loader = vi.fn((missing: readonly string[]) => missing.map(() => 'new'))
      expect(await cacheManager.getOrSetMany(['due'], loader, { ttl: 60, eagerRefresh: 0.000001 })).toEqual(['old'])
      await vi.waitFor(async () => expect(await cacheManager.get('due')).toBe('new'))
      expect(loader.mock.calls.map(([missing]) => missing)).toEqual([['due']])
      expect(cacheManager.getStats().savings.loadsAvoided).toBe(1)
    })

    it('loads all of them where it is forced to', async () => {
      const all = keys('forced', 3)
      await cacheManager.setMany(all.map((key) => ({ key, value: 'old' })))
      expect(await cacheManager.getOrSetMany(all, (missing) => missing.map(() => 'new'), { forceFresh: true })).toEqual(['new', 'new', 'new'])
      expect(await cacheManager.getMany(all)).toEqual(['new', 'new', 'new'])
    })

    it('gives its loader a context', async () => {
      const all = keys('context', 2)
      await cacheManager.getOrSetMany(all, (missing, { signal, setTtl }) => {
        expect(signal.aborted).toBe(false)
        setTtl(100)
        return missing
      })
      expect(await cacheManager.getMany(all)).toEqual(all)
    })

    it('lets what the loader says of its result count for each of the keys', async () => {
      const [a, b] = keys('says', 2) as [string, string]
      await cacheManager.getOrSetMany([a, b], (missing, { setTtl }) => (setTtl(100), missing))
      for (const key of [a, b]) expect((await cacheManager.getEntry(key))?.ttlMs, key).toBeLessThanOrEqual(100_000)
      await cacheManager.getOrSetMany(keys('skips', 2), (missing, { skip }) => (skip(), missing))
      expect(await cacheManager.getMany(keys('skips', 2))).toEqual([null, null])
    })

    it('aborts the signal of a loader that hangs, for all keys', async () => {
      const signals: AbortSignal[] = []
      const loader = vi.fn((_: readonly string[], { signal }: { signal: AbortSignal }) => (signals.push(signal), new Promise<never>(() => {})))
      const reason = (await reasonOf(cacheManager.getOrSetMany(keys('hangs', 3), loader, { hardTimeoutMs: 30 }))) as Failures
      expect(reason).toMatchObject({ code: 'E_TIMEOUT', operation: 'cacheManager.getOrSetMany' })
      expect([...reason.failures.values()].map(({ code }) => code)).toEqual(['E_TIMEOUT', 'E_TIMEOUT', 'E_TIMEOUT'])
      await vi.waitFor(() => expect(signals.map(({ aborted }) => aborted)).toEqual([true]))
      expect(await cacheManager.getOrSetMany(keys('hangs', 3), (missing) => missing)).toEqual(keys('hangs', 3))
    })

    it('names what is wrong with what a loader answers', async () => {
      for (const answer of [5, 'text', null, undefined]) {
        const reason = await reasonOf(cacheManager.getOrSetMany(keys(`wrong:${answer}`, 1), () => answer as never))
        expect(reason).toMatchObject({ code: 'E_INVALID', message: expect.stringContaining('; allowed: ') })
        expect([...(reason as Failures).failures.values()]).toMatchObject([{ path: 'loader' }])
      }
      for (const count of [0, 1, 3]) {
        const all = keys(`of the wrong length:${count}`, 2)
        const reason = await reasonOf(cacheManager.getOrSetMany(all, () => Array.from({ length: count }, () => 'of whom?')))
        expect(reason).toMatchObject({ code: 'E_INVALID', message: expect.stringContaining(`${count} values for 2 keys; allowed: `) })
        expect([...(reason as Failures).failures.values()]).toMatchObject([{ path: 'loader' }, { path: 'loader' }])
        expect(await cacheManager.getMany(all)).toEqual([null, null])
      }
      const reason = await reasonOf(cacheManager.getOrSetMany(keys('bigint', 2), () => [1, 1n]))
      expect([...(reason as Failures).failures.values()]).toMatchObject([{ code: 'E_INVALID', path: 'value' }])
      expect(await cacheManager.getMany(keys('bigint', 2))).toEqual([1, null])
    })
  })

  describe('tell onError of what failed when all keys are through', () => {
    const custom = { serializer: { serialize: JSON.stringify, deserialize: (text: string | Uint8Array) => JSON.parse(String(text)) as unknown } }
    const all = ['told:bad', 'told:good', 'told:bad']
    const fill = async () => {
      await cacheManager.set('told:bad', 1, custom)
      await cacheManager.set('told:good', 'good')
    }

    it('which may call the cache', async () => {
      await fill()
      const inner: Promise<unknown>[] = []
      const onError = (key: string) => void inner.push(cacheManager.delete(key), cacheManager.set('told:seen', true))
      expect(await cacheManager.getMany(all, { onError })).toEqual([null, 'good', null])
      expect(await Promise.all(inner)).toEqual([true, true, false, true])
      expect([await cacheManager.exists('told:bad'), await cacheManager.get('told:seen')]).toEqual([false, true])
    })

    it.each<[string, () => unknown]>([
      ['throws', () => { throw new Error('the logger failed') }],
      ['rejects', async () => Promise.reject(new Error('the logger failed'))],
    ])('which may fail: that it %s becomes a warning, and everybody has his answer', async (_, fail) => {
      await fill()
      const warnings: string[] = []
      const onWarning = ({ name, message }: Error) => void (name === 'HoldfastWarning' && warnings.push(message))
      process.on('warning', onWarning)
      const onError = vi.fn(fail as () => void)
      const calls = [cacheManager.getMany(all, { onError }), cacheManager.get('told:good'), cacheManager.set('told:other', 1)]
      expect(await Promise.all(calls)).toEqual([[null, 'good', null], 'good', true])
      expect(await cacheManager.setMany([{ key: 'told:wrong', value: 1n }, { key: 'told:right', value: 1 }], { onError })).toEqual([false, true])
      await vi.waitFor(() => expect(warnings).toHaveLength(3))
      process.off('warning', onWarning)
      expect(warnings[0]).toContain('onError of cacheManager.getMany failed: Error: the logger failed')
      expect(onError).toHaveBeenCalledTimes(3)
    })
  })

  it('tell of a value that can not be written, and write the others', async () => {
    const items = [{ key: 'write:a', value: 1 }, { key: 'write:b', value: 1n }, { key: 'write:c', value: undefined }, { key: 'write:d', value: 4 }]
    const reason = (await reasonOf(cacheManager.setMany(items))) as Failures
    expect(reason).toMatchObject({ name: 'HoldfastError', code: 'E_INVALID', operation: 'cacheManager.setMany' })
    expect([...reason.failures].map(([key, { code }]) => [key, code])).toEqual([['write:b', 'E_INVALID'], ['write:c', 'E_INVALID']])
    expect(await cacheManager.getMany(items.map(({ key }) => key))).toEqual([1, null, null, 4])
    const onError = vi.fn()
    expect(await cacheManager.setMany(items, { onError })).toEqual([true, false, false, true])
    expect(onError.mock.calls.map(([key, error]) => [key, (error as Failures).code])).toEqual([['write:b', 'E_INVALID'], ['write:c', 'E_INVALID']])
  })

  it('refuse as a whole what is no list of keys or items, and change nothing', async () => {
    const notKeys = ['text', 5, null, undefined, { 0: 'a' }]
    const load = (all: never, options?: never) => cacheManager.getOrSetMany(all, () => expect.unreachable('the loader ran'), options)
    for (const call of [(all: never) => cacheManager.getMany(all), (all: never) => cacheManager.deleteMany(all), load]) {
      await areRefused('keys', notKeys, call)
      await areRefused('keys[1]', ['', 5, null, '\ud800', 'x'.repeat(65_537)].map((key) => ['whole:a', key]), call)
    }
    await areRefused('items', notKeys, (items) => cacheManager.setMany(items))
    await areRefused('items[1]', [5, 'text', null].map((item) => [{ key: 'whole:a', value: 1 }, item]), (items) => cacheManager.setMany(items))
    await areRefused('items[1].key', ['', 5, null].map((key) => [{ key: 'whole:a', value: 1 }, { key, value: 1 }]), (items) => cacheManager.setMany(items))
    const hole = [, 'whole:a'] as string[] // eslint-disable-line no-sparse-arrays
    for (const call of [(all: never, options?: never) => cacheManager.getMany(all, options), (all: never, options?: never) => cacheManager.deleteMany(all, options), load]) {
      await areRefused('keys[0]', [hole, new Array(2)], call)
      await areRefused('options', [5, null, 'text', []], (options) => (call as (all: unknown, options: unknown) => unknown)(['whole:a'], options))
    }
    await areRefused('items[0]', [[, { key: 'whole:a', value: 1 }]], (items) => cacheManager.setMany(items)) // eslint-disable-line no-sparse-arrays
    const notOptions = [60, null, 'text', []]
    await areRefused('options', notOptions, (options) => cacheManager.setMany([{ key: 'whole:a', value: 1 }], options))
    await areRefused('items[0].options', notOptions, (options) => cacheManager.setMany([{ key: 'whole:a', value: 1, options }]))
    await areRefused('loader', ['text', 5, null, undefined], (loader) => cacheManager.getOrSetMany(['whole:a'], loader))
    expect(await cacheManager.exists('whole:a')).toBe(false)
  })

  it('take a function for onError and nothing else', async () => {
    for (const call of [
      (onError: never) => cacheManager.getMany(['onError'], { onError }),
      (onError: never) => cacheManager.setMany([{ key: 'onError', value: 1 }], { onError }),
      (onError: never) => cacheManager.deleteMany(['onError'], { onError }),
      (onError: never) => cacheManager.getOrSetMany(['onError'], () => [1], { onError }),
    ]) {
      await areRefused('options.onError', ['text', 5, null, {}], call)
    }
    expect(await cacheManager.exists('onError')).toBe(false)
  })

  if (store === 'redis') it('fail for one key alone where something else stands under its name', async () => {
    const all = ['foreign:a', 'foreign:list', 'foreign:c', 'foreign:text']
    await cacheManager.setMany([{ key: 'foreign:a', value: 1 }, { key: 'foreign:c', value: 3 }])
    await outside().pipeline([
      ['RPUSH', `${keyPrefix}cache:foreign:list`, 'foreign'],
      ['SET', `${keyPrefix}cache:foreign:text`, 'plain words'],
    ])
    // A loader has a value in place of a text that can't be read; a list is somebody else's.
    const failing = { read: [['foreign:list', 'E_DATA'], ['foreign:text', 'E_DATA']], load: [['foreign:list', 'E_DATA']] }
    for (const [name, call, answered] of [
      ['read', (onError?: (key: string, error: Error) => void) => cacheManager.getMany(all, { onError }), [1, null, 3, null]],
      ['load', (onError?: (key: string, error: Error) => void) => cacheManager.getOrSetMany<unknown>(all, (missing) => missing, { onError }), [1, undefined, 3, 'foreign:text']],
    ] as const) {
      const reason = (await reasonOf(call())) as Failures & Error
      expect(reason).toMatchObject({ name: 'HoldfastError', code: 'E_DATA' })
      expect([...reason.failures].map(([key, { code }]) => [key, code])).toEqual(failing[name])
      const onError = vi.fn()
      expect(await call(onError)).toEqual(answered)
      expect(onError.mock.calls.map(([key, error]) => [key, (error as Failures).code])).toEqual(failing[name])
    }
    expect(await outside().call('GET', `${keyPrefix}cache:foreign:text`)).toBe('plain words')
    expect(await outside().call('LRANGE', `${keyPrefix}cache:foreign:list`, 0, -1)).toEqual(['foreign'])
    expect(await cacheManager.deleteMany(all)).toEqual([true, true, true, true])
  })
})
