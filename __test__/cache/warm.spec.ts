// warm fills the cache ahead of time: so many at once, what is there stays, and what fails is told.
import { describe, expect, it, vi } from 'vitest'
import { areRefused, makeStale, reasonOf } from './loads'
import { gate, onStore, opener, stores } from './stores'

describe.each(stores)('warm on %s', (store) => {
  const { holdfast, keyPrefix } = onStore(store)
  const { cacheManager } = holdfast
  const entries = (name: string, count: number) => Array.from({ length: count }, (_, n) => ({ key: `${name}:${n}`, value: n }))
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

  it('writes values and loads others, each once', async () => {
    const load = vi.fn(async () => 'loaded')
    const result = await cacheManager.warm([{ key: 'a', value: { n: 1 } }, { key: 'b', load }, { key: 'c', value: null }])
    expect(result).toEqual({ done: 3, total: 3, warmed: 3, skipped: 0, failed: 0, aborted: false, failures: [] })
    expect([await cacheManager.get('a'), await cacheManager.get('b'), await cacheManager.exists('c')]).toEqual([{ n: 1 }, 'loaded', true])
    expect(load).toHaveBeenCalledTimes(1)
  })

  it('is safe to repeat: what is there and fresh stays as it is', async () => {
    await cacheManager.set('there', 'of the app')
    const load = vi.fn(async () => 'loaded')
    const all = [{ key: 'there', value: 'of the warm-up' }, { key: 'loads', load }, { key: 'null', value: null }]
    expect(await cacheManager.warm(all)).toMatchObject({ warmed: 2, skipped: 1 })
    expect(await cacheManager.warm(all)).toMatchObject({ warmed: 0, skipped: 3, done: 3 })
    expect([await cacheManager.get('there'), load.mock.calls.length]).toEqual(['of the app', 1])
    expect(await cacheManager.warm(all, { forceFresh: true })).toMatchObject({ warmed: 3, skipped: 0 })
    expect(await cacheManager.get('there')).toBe('of the warm-up')
  })

  it.each<[string, (all: { key: string; value: number }[]) => Iterable<{ key: string; value: number }> | AsyncIterable<{ key: string; value: number }>]>([
    ['a Set', (all) => new Set(all)],
    ['a generator', function* (all) { yield* all }],
    ['an async generator', async function* (all) { for (const one of all) { await turn(); yield one } }],
    ['an async iterator that must not be asked twice at once', (all) => oneByOne(all)],
  ])('takes %s, of which nobody knows how long it is', async (name, make) => {
    const all = entries(`from ${name}`, 30)
    const progress = vi.fn()
    expect(await cacheManager.warm(make(all), { onProgress: progress })).toMatchObject({ done: 30, total: 30, warmed: 30 })
    expect(progress.mock.calls.every(([{ total }]) => total === null)).toBe(true)
    expect(await cacheManager.getMany(all.map(({ key }) => key))).toEqual(all.map(({ value }) => value))
  })

  it.each([1, 3, 8])('runs %i at once and never more', async (concurrency) => {
    let running = 0
    let most = 0
    const load = async (): Promise<number> => {
      most = Math.max(most, ++running)
      await turn()
      running--
      return 1
    }
    const all = Array.from({ length: 40 }, (_, n) => ({ key: `at once:${concurrency}:${n}`, load }))
    expect(await cacheManager.warm(all, { concurrency })).toMatchObject({ warmed: 40 })
    expect(most).toBe(concurrency)
  })

  it('runs eight at once unless told otherwise', async () => {
    const answer = gate()
    const load = vi.fn(() => answer.opened.then(() => 1))
    const all = Array.from({ length: 40 }, (_, n) => ({ key: `eight:${n}`, load }))
    const warming = cacheManager.warm(all)
    await vi.waitFor(() => expect(load).toHaveBeenCalledTimes(8))
    for (let time = 0; time < 20; time++) await turn()
    expect(load).toHaveBeenCalledTimes(8)
    answer.open()
    expect(await warming).toMatchObject({ warmed: 40 })
  })

  it('tells of each entry that is done', async () => {
    await cacheManager.set('progress:1', 'there')
    const onProgress = vi.fn()
    const failing = { key: 'progress:fails', load: async () => Promise.reject(new Error('no')) }
    await cacheManager.warm([...entries('progress', 3), failing], { concurrency: 1, onProgress })
    expect(onProgress.mock.calls.map(([progress]) => progress as unknown)).toEqual([
      { done: 1, total: 4, warmed: 1, skipped: 0, failed: 0 },
      { done: 2, total: 4, warmed: 1, skipped: 1, failed: 0 },
      { done: 3, total: 4, warmed: 2, skipped: 1, failed: 0 },
      { done: 4, total: 4, warmed: 2, skipped: 1, failed: 1 },
    ])
  })

  it('goes on after what fails, and tells why', async () => {
    const mine = new Error('the database is gone')
    const all = [...entries('goes on', 2), { key: 'goes on:fails', load: () => Promise.reject(mine) }, { key: 'goes on:bigint', value: 1n }, ...entries('after', 2)]
    const result = await cacheManager.warm(all)
    expect(result).toMatchObject({ done: 6, warmed: 4, failed: 2, aborted: false })
    expect(result.failures.map(({ key }) => key)).toEqual(['goes on:fails', 'goes on:bigint'])
    expect(result.failures[0]?.error).toBe(mine)
    expect(result.failures[1]?.error).toMatchObject({ code: 'E_INVALID', path: 'value' })
    expect(await cacheManager.getMany(['after:0', 'after:1'])).toEqual([0, 1])
  })

  it('names entries that are none, and goes on with the others', async () => {
    const wrong = [5, null, 'text', {}, { key: '' }, { key: 'neither' }, { key: 'both', load: 'text' }]
    const result = await cacheManager.warm([...wrong, { key: 'right', value: 1 }] as never, { concurrency: 1 })
    expect(result).toMatchObject({ done: 8, warmed: 1, failed: 7 })
    expect(result.failures.map(({ error }) => [(error as { code?: string }).code, (error as { path?: string }).path])).toEqual([
      ['E_INVALID', 'entries[0]'],
      ['E_INVALID', 'entries[1]'],
      ['E_INVALID', 'entries[2]'],
      ['E_INVALID', 'entries[3].key'],
      ['E_INVALID', 'entries[4].key'],
      ['E_INVALID', 'entries[5].value'],
      ['E_INVALID', 'entries[6].load'],
    ])
    expect(await cacheManager.get('right')).toBe(1)
  })

  it('takes options for all, which those of an entry outrank', async () => {
    await cacheManager.warm([{ key: 'a', value: 1 }, { key: 'b', value: 2, options: { ttl: 500 } }], { ttl: 100, prefix: 'warmed', tags: ['warmed'] })
    const left = async (key: string) => (await cacheManager.getEntry(key, { prefix: 'warmed' }))?.ttlMs ?? 0
    expect(await left('a')).toBeLessThanOrEqual(100_000)
    expect(await left('b')).toBeGreaterThan(400_000)
    await cacheManager.deleteByTag('warmed')
    expect(await cacheManager.getMany(['a', 'b'], { prefix: 'warmed' })).toEqual([null, null])
  })

  it('ends with its signal: what runs is finished, nothing new begins, and the source is told', async () => {
    const controller = new AbortController()
    const returned = vi.fn()
    async function* source() {
      try {
        for (let n = 0; ; n++) yield { key: `endless:${n}`, value: n }
      } finally {
        returned()
      }
    }
    const onProgress = ({ done }: { done: number }) => {
      if (done === 5) controller.abort()
    }
    const result = await cacheManager.warm(source(), { signal: controller.signal, concurrency: 2, onProgress })
    expect(result).toMatchObject({ aborted: true, total: null, failed: 0 })
    expect(result.done).toBeGreaterThanOrEqual(5)
    expect(result.done).toBeLessThan(10)
    expect(returned).toHaveBeenCalledTimes(1)
    const none = await cacheManager.warm(entries('none', 3), { signal: AbortSignal.abort() })
    expect(none).toMatchObject({ done: 0, aborted: true })
  })

  it('counts as warmed what is kept, and as failed what did not load although an old value served', async () => {
    await makeStale(cacheManager, 'outcome:old')
    const mine = new Error('the database is gone')
    const all = [
      { key: 'outcome:old', load: async () => Promise.reject(mine) },
      { key: 'outcome:undefined', load: () => undefined },
      { key: 'outcome:skipped', load: ({ skip }: { skip(): undefined }) => (skip(), 1) },
      { key: 'outcome:kept', load: () => 1 },
    ]
    const result = await cacheManager.warm(all, { grace: 60 })
    expect(result).toMatchObject({ done: 4, warmed: 1, skipped: 2, failed: 1 })
    expect(result.failures).toEqual([{ key: 'outcome:old', error: mine }])
    expect(await cacheManager.getMany(all.map(({ key }) => key))).toEqual([null, null, null, 1])
  })

  it('goes on when onProgress fails: that becomes a warning', async () => {
    const warned = vi.fn()
    process.on('warning', warned)
    const onProgress = vi.fn(() => {
      throw new Error('the screen is gone')
    })
    expect(await cacheManager.warm(entries('unwatched', 3), { onProgress })).toMatchObject({ done: 3, warmed: 3 })
    await vi.waitFor(() => expect(warned).toHaveBeenCalledTimes(3))
    process.off('warning', warned)
    expect(onProgress).toHaveBeenCalledTimes(3)
  })

  describe('ended by its signal', () => {
    const closing = () => {
      const closed = vi.fn()
      const hung = async function* () {
        try {
          yield { key: `${store}:given`, value: 1 }
          await new Promise<never>(() => {})
        } finally {
          closed()
        }
      }
      return { closed, hung }
    }

    it('waits neither for a source that hangs', async () => {
      const controller = new AbortController()
      const warming = cacheManager.warm(closing().hung(), { signal: controller.signal, onProgress: () => controller.abort() })
      expect(await warming).toEqual({ done: 1, total: null, warmed: 1, skipped: 0, failed: 0, aborted: true, failures: [] })
    })

    it('nor for a loader that hangs, whose result is cached when it comes', async () => {
      const controller = new AbortController()
      const answer = gate<string>()
      const load = () => (controller.abort(), answer.opened)
      const result = await cacheManager.warm([{ key: 'hangs', load }, ...entries('never', 3)], { signal: controller.signal, concurrency: 1 })
      expect(result).toMatchObject({ done: 0, total: 4, aborted: true })
      answer.open('in the end')
      await vi.waitFor(async () => expect(await cacheManager.get('hangs')).toBe('in the end'))
      expect(await cacheManager.exists('never:0')).toBe(false)
    })
  })

  it('closes its source and stops where the cache is closed', async () => {
    const { open, closeAll } = opener({ url: 'memory:', keyPrefix: `${keyPrefix}closes:` })
    const { cacheManager: closing } = open()
    const closed = vi.fn()
    let given = 0
    function* source() {
      try {
        for (;;) yield { key: `endless:${given++}`, value: 1 }
      } finally {
        closed()
      }
    }
    const onProgress = ({ done }: { done: number }) => {
      if (done === 3) void closeAll()
    }
    expect(await reasonOf(closing.warm(source(), { concurrency: 2, onProgress }))).toMatchObject({ code: 'E_CLOSED' })
    expect(closed).toHaveBeenCalledTimes(1)
    const atEnd = given
    for (let time = 0; time < 20; time++) await turn()
    expect(given).toBe(atEnd)
    expect(await reasonOf(closing.warm([]))).toMatchObject({ code: 'E_CLOSED' })
  })

  it('passes on what the source throws', async () => {
    function* broken() {
      yield { key: 'broken:0', value: 0 }
      throw new Error('the file is damaged')
    }
    expect(await reasonOf(cacheManager.warm(broken()))).toMatchObject({ message: 'the file is damaged' })
    await vi.waitFor(async () => expect(await cacheManager.get('broken:0')).toBe(0))
  })

  it('ends with E_CLOSED where the cache is closed', async () => {
    const { open, closeAll } = opener({ url: 'memory:', keyPrefix: `${keyPrefix}closed:` })
    const { cacheManager: closing } = open()
    const onProgress = ({ done }: { done: number }) => {
      if (done === 3) void closeAll()
    }
    expect(await reasonOf(closing.warm(entries('closed', 1_000), { concurrency: 1, onProgress }))).toMatchObject({ code: 'E_CLOSED' })
  })

  it('refuses what is no source, and options that are none', async () => {
    await areRefused('entries', [5, 'text', null, undefined, {}], (source) => cacheManager.warm(source))
    await areRefused('options.concurrency', [0, -1, 1.5, 1001, Number.NaN, '8', null], (concurrency) => cacheManager.warm([], { concurrency }))
    await areRefused('options.onProgress', ['text', 5, null, {}], (onProgress) => cacheManager.warm([], { onProgress }))
    await areRefused('options.signal', ['text', 5, {}], (signal) => cacheManager.warm([], { signal }))
    await areRefused('options', [5, 'text', null, []], (options) => cacheManager.warm([], options))
    await areRefused('options.ttl', [-1, 'soon'], (ttl) => cacheManager.warm([{ key: 'new', value: 1 }], { ttl }))
    await areRefused('options.prefix', ['h', 5, ''], (prefix) => cacheManager.warm([{ key: 'new', value: 1 }], { prefix }))
    expect(await cacheManager.exists('new')).toBe(false)
  })
})

/** Throws where it is asked for a second item before it gave the first. */
function oneByOne<T>(all: readonly T[]): AsyncIterable<T> {
  let next = 0
  let busy = false
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        if (busy) throw new Error('asked twice at once')
        busy = true
        await new Promise<void>((resolve) => setImmediate(resolve))
        busy = false
        return next < all.length ? { done: false, value: all[next++] as T } : { done: true, value: undefined }
      },
    }),
  }
}
