// getOrSet: one load for all who ask, and no load undoes what happened meanwhile.
import { describe, expect, it, vi } from 'vitest'
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

  it('does not run the loader on a hit', async () => {
    await cacheManager.set('hit', 'here')
    const loader = vi.fn(async () => 'loaded')
    expect(await cacheManager.getOrSet('hit', loader)).toBe('here')
    expect(loader).not.toHaveBeenCalled()
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
