// getOrSet: one load for all who ask, and no load undoes what happened meanwhile.
import { describe, expect, it, vi } from 'vitest'
import { makeStale } from './loads'
import { gate, onStore, stores } from './stores'

describe.each(stores)('getOrSet on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast

  it('runs one loader for fifty who ask at once', async () => {
    const answer = gate<{ n: number }>()
    const loader = vi.fn(() => answer.opened)
    const asking = Array.from({ length: 50 }, () => cacheManager.getOrSet('fifty', loader))
    answer.open({ n: 1 })
    expect(await Promise.all(asking)).toEqual(Array.from({ length: 50 }, () => ({ n: 1 })))
    expect(loader).toHaveBeenCalledTimes(1)
    expect(await cacheManager.get('fifty')).toEqual({ n: 1 })
  })

  it('lets those join who come while the loader runs', async () => {
    const started = gate()
    const answer = gate<string>()
    const loader = vi.fn(() => (started.open(), answer.opened))
    const first = cacheManager.getOrSet('join', loader)
    await started.opened
    const second = cacheManager.getOrSet('join', loader)
    answer.open('one')
    expect(await Promise.all([first, second])).toEqual(['one', 'one'])
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('loads different keys, and the same key under different prefixes, apart', async () => {
    const loader = vi.fn(async () => 'x')
    await Promise.all([
      cacheManager.getOrSet('apart:1', loader),
      cacheManager.getOrSet('apart:2', loader),
      cacheManager.getOrSet('apart:1', loader, { prefix: 'views' }),
    ])
    expect(loader).toHaveBeenCalledTimes(3)
  })

  it.each(['!', '~'])('keeps loads by force and beside apart from prefixes that begin with %s', async (mark) => {
    const answer = gate<string>()
    await cacheManager.set('marked', 'due', { ttl: 60 })
    const beside = cacheManager.getOrSet('marked', () => answer.opened, { eagerRefresh: 0.000001 })
    const forced = cacheManager.getOrSet('marked', () => answer.opened, { forceFresh: true })
    const other = cacheManager.getOrSet('marked', async () => 'of another prefix', { prefix: `${mark}cache` })
    answer.open('loaded')
    expect(await Promise.all([beside, forced, other])).toEqual(['due', 'loaded', 'of another prefix'])
  })

  it('does not run the loader on a hit', async () => {
    await cacheManager.set('hit', 'here')
    const loader = vi.fn(async () => 'loaded')
    expect(await cacheManager.getOrSet('hit', loader)).toBe('here')
    expect(loader).not.toHaveBeenCalled()
  })

  describe('gives each who asks at once a value of his own', () => {
    const none = () => expect.unreachable('the loader ran')
    const five = <T>(ask: () => Promise<T>) => Promise.all(Array.from({ length: 5 }, ask))
    class Point {
      constructor(readonly at: number[]) {}
    }
    const points = {
      serialize: (value: unknown) => JSON.stringify((value as Point).at),
      deserialize: (text: string | Uint8Array) => new Point(JSON.parse(String(text)) as number[]),
    }
    const deep = () => Array.from({ length: 3_000 }).reduce<unknown>((inner) => [inner], [])
    const depthOf = (value: unknown) => {
      let depth = 0
      for (let at = value as unknown[]; at.length > 0; at = at[0] as unknown[]) depth++
      return depth
    }

    it.each([
      ['json', undefined, { list: [1], nothing: null }],
      ['structured', 'structured' as const, { at: new Date(0), map: new Map([['a', { n: 1n }]]), bytes: Buffer.from([1, 2]) }],
      ['a serializer of its own', points, new Point([1, 2])],
    ])('where it is cached, by %s', async (name, serializer, value) => {
      await cacheManager.set(`own:${name}`, value, { serializer })
      const answers = await five(() => cacheManager.getOrSet<typeof value>(`own:${name}`, none, { serializer }))
      for (const answer of answers) {
        expect(answer).toEqual(value)
        expect(answer.constructor).toBe(value.constructor)
      }
      expect(new Set(answers).size).toBe(5)
    })

    it('where it is nested deeper than objects are cloned', async () => {
      await cacheManager.set('own:deep', deep())
      const answers = await five(() => cacheManager.getOrSet('own:deep', none))
      expect(new Set(answers).size).toBe(5)
      expect(answers.map(depthOf)).toEqual([3_000, 3_000, 3_000, 3_000, 3_000])
    })

    it('where it is old, and whatever its loader does with it', async () => {
      await makeStale(cacheManager, 'own:old', { n: 1 })
      const answers = await five(() =>
        cacheManager.getOrSet<{ n: number }>('own:old', ({ stale }) => {
          stale!.value.n = 2
          throw new Error('after it was changed')
        }, { grace: 60 }),
      )
      expect(answers).toEqual(Array.from({ length: 5 }, () => ({ n: 1 })))
      expect(new Set(answers).size).toBe(5)
    })

    it('and counts them as the hits that they are', async () => {
      await cacheManager.set('own:counted', { n: 1 })
      cacheManager.resetStats()
      await five(() => cacheManager.getOrSet('own:counted', none))
      expect(cacheManager.getStats()).toMatchObject({ hits: 5, misses: 0, loads: 0, coalesced: 0, savings: { loadsAvoided: 5 } })
    })
  })

  it('takes a loader that answers at once', async () => {
    expect(await cacheManager.getOrSet('at once', () => 5)).toBe(5)
    expect(await cacheManager.get('at once')).toBe(5)
  })

  it.each([null, 0, '', false])('caches a loaded %j', async (value) => {
    const loader = vi.fn(async () => value)
    expect(await cacheManager.getOrSet(`falsy:${value}`, loader)).toBe(value)
    expect(await cacheManager.getOrSet(`falsy:${value}`, loader)).toBe(value)
    expect(loader).toHaveBeenCalledTimes(1)
    expect(await cacheManager.exists(`falsy:${value}`)).toBe(true)
  })

  it('caches no undefined', async () => {
    const loader = vi.fn(async () => undefined)
    expect(await cacheManager.getOrSet('undefined', loader)).toBeUndefined()
    expect(await cacheManager.exists('undefined')).toBe(false)
    expect(await cacheManager.getOrSet('undefined', loader)).toBeUndefined()
    expect(loader).toHaveBeenCalledTimes(2)
  })

  it('runs a failing loader once and gives the same error to all', async () => {
    const failure = new TypeError('the database is gone')
    const loader = vi.fn(async () => {
      throw failure
    })
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => cacheManager.getOrSet('fails', loader)))
    expect(loader).toHaveBeenCalledTimes(1)
    for (const outcome of outcomes) {
      expect(outcome.status).toBe('rejected')
      if (outcome.status === 'rejected') expect(outcome.reason).toBe(failure)
    }
    expect(await cacheManager.exists('fails')).toBe(false)
  })

  it.each([['an error', new RangeError('at once')], ['no error at all', 'just a text'], ['undefined', undefined]])(
    'hands on %s that a loader throws at once',
    async (_, thrown) => {
      const asked = cacheManager.getOrSet(`throws:${String(thrown)}`, () => {
        throw thrown
      })
      expect(await asked.then(() => 'resolved', (reason: unknown) => [reason])).toEqual([thrown])
      expect(await asked.catch((reason: unknown) => reason === thrown)).toBe(true)
    },
  )

  it('loads again for those who come after a failure has been told', async () => {
    const failing = cacheManager.getOrSet('again', async () => {
      throw new Error('first')
    })
    await expect(failing).rejects.toThrow('first')
    expect(await cacheManager.getOrSet('again', async () => 'second')).toBe('second')
    expect(await cacheManager.get('again')).toBe('second')
  })

  it('leaves a loader that keeps failing alone for a moment, and gives its error meanwhile', async () => {
    const loader = vi.fn(async (): Promise<string> => Promise.reject(new Error(`time ${loader.mock.calls.length}`)))
    const ask = () => cacheManager.getOrSet('keeps failing', loader).catch((reason: Error) => reason.message)
    // Some failures in a row are no stampede.
    for (let time = 1; time <= 5; time++) expect(await ask()).toBe(`time ${time}`)
    const asked: string[] = []
    for (let time = 0; time < 200; time++) asked.push(await ask())
    expect(loader.mock.calls.length).toBeLessThan(50)
    expect(asked).toContain('time 6')
    // Whoever writes the key, or deletes it, wants it loaded again.
    await cacheManager.delete('keeps failing')
    expect(await cacheManager.getOrSet('keeps failing', async () => 'at last')).toBe('at last')
  })

  it('does not let the failures of one key hold up another', async () => {
    const failing = async () => Promise.reject(new Error('no'))
    for (let time = 0; time < 20; time++) await cacheManager.getOrSet('fails alone', failing).catch(() => {})
    expect(await cacheManager.getOrSet('fails not', async () => 'loaded')).toBe('loaded')
    expect(await cacheManager.getOrSet('fails alone', async () => 'other prefix', { prefix: 'views' })).toBe('other prefix')
  })

  it('does not bring back what was deleted while it loaded', async () => {
    const started = gate()
    const answer = gate<string>()
    const loading = cacheManager.getOrSet('deleted', () => (started.open(), answer.opened))
    await started.opened
    await cacheManager.delete('deleted')
    answer.open('old')
    expect(await loading).toBe('old')
    expect(await cacheManager.get('deleted')).toBeNull()
    expect(await cacheManager.exists('deleted')).toBe(false)
  })

  it('gives nobody who asks after the delete what was loaded before it', async () => {
    const started = gate()
    const answer = gate<string>()
    const loading = cacheManager.getOrSet('since', () => (started.open(), answer.opened))
    await started.opened
    await cacheManager.delete('since')
    const asked = cacheManager.getOrSet('since', async () => 'new')
    answer.open('old')
    expect(await loading).toBe('old')
    expect(await asked).toBe('new')
    expect(await cacheManager.get('since')).toBe('new')
  })

  it('does not overwrite what was set while it loaded', async () => {
    const started = gate()
    const answer = gate<string>()
    const loading = cacheManager.getOrSet('set', () => (started.open(), answer.opened))
    await started.opened
    await cacheManager.set('set', 'newer')
    answer.open('older')
    await loading
    expect(await cacheManager.get('set')).toBe('newer')
  })

  it('does not bring back what was cleared while it loaded', async () => {
    const started = gate()
    const answer = gate<string>()
    const loading = cacheManager.getOrSet('cleared', () => (started.open(), answer.opened), { prefix: 'swept' })
    await started.opened
    await cacheManager.clear('swept')
    answer.open('old')
    await loading
    expect(await cacheManager.get('cleared', { prefix: 'swept' })).toBeNull()
  })

  it('keeps the loaded value for as long as it was told', async () => {
    await cacheManager.getOrSet('ttl', async () => 1, { ttl: 120 })
    const entry = await cacheManager.getEntry('ttl')
    expect(entry?.ttlMs).toBeGreaterThan(110_000)
    expect(entry?.ttlMs).toBeLessThanOrEqual(120_000)
  })
})
