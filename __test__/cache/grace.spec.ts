// Grace keeps a value beyond its time, for when its loader fails.
import { describe, expect, it, vi } from 'vitest'
import { waitFor } from '../support/wait-for'
import { areRefused, makeStale, reasonOf, wrongDurations } from './loads'
import { gate, onStore, stores } from './stores'

const failing = () => vi.fn(async (): Promise<string> => Promise.reject(new Error('the database is gone')))

describe.each(stores)('grace on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast

  it('serves the old value when the loader fails', async () => {
    await makeStale(cacheManager, 'fails', { n: 1 })
    const loader = failing()
    expect(await cacheManager.getOrSet<unknown>('fails', loader, { grace: 60 })).toEqual({ n: 1 })
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it.each([null, 0, '', false])('serves an old %j as well', async (value) => {
    await makeStale(cacheManager, `falsy:${value}`, value)
    expect(await cacheManager.getOrSet<unknown>(`falsy:${value}`, failing(), { grace: 60 })).toBe(value)
  })

  it('serves at once where another load goes on, though somebody waits for that who takes nothing old, and no later', async () => {
    for (const options of [{}, { skipL1: true }]) {
      await makeStale(cacheManager, 'beside')
      const answer = gate<string>()
      const forced = cacheManager.getOrSet('beside', () => answer.opened, { ...options, forceFresh: true })
      const waiting = cacheManager.getOrSet('beside', () => 'never', options)
      await waitFor('both', async () => (await cacheManager.getOrSet('beside', () => 'never', { ...options, grace: 60 })) === 'old')
      answer.open('new')
      expect(await forced).toBe('new')
      expect(await cacheManager.getOrSet('beside', () => 'never', { ...options, grace: 60 })).toBe('new')
      expect(await waiting).toBe('new')
    }
  })

  it('leaves the loader alone for graceBackoff, and tries it again afterwards', async () => {
    await makeStale(cacheManager, 'rests')
    const loader = failing()
    const ask = () => cacheManager.getOrSet('rests', loader, { grace: 60, graceBackoff: 0.2 })
    expect([await ask(), await ask(), await ask()]).toEqual(['old', 'old', 'old'])
    expect(loader).toHaveBeenCalledTimes(1)
    await waitFor('the loader to be tried again', async () => {
      expect(await ask()).toBe('old')
      return loader.mock.calls.length > 1
    })
    expect(loader).toHaveBeenCalledTimes(2)
  })

  it('leaves it alone for half a minute, unless told otherwise', async () => {
    await makeStale(cacheManager, 'usually')
    const loader = failing()
    for (let time = 0; time < 20; time++) await cacheManager.getOrSet('usually', loader, { grace: 60 })
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it.each([
    ['set', async () => cacheManager.set('wakes:set', 'new')],
    ['delete', async () => cacheManager.delete('wakes:delete')],
    ['expire', async () => cacheManager.expire('wakes:expire')],
    ['clear', async () => cacheManager.clear()],
    ['deletePattern', async () => cacheManager.deletePattern('wakes:*')],
  ])('does not leave it alone after a %s of the key', async (name, change) => {
    const key = `wakes:${name}`
    await makeStale(cacheManager, key)
    expect(await cacheManager.getOrSet(key, failing(), { grace: 60 })).toBe('old')
    await change()
    const loader = vi.fn(async () => 'new')
    expect(await cacheManager.getOrSet(key, loader, { grace: 60 })).toBe('new')
    expect(loader).toHaveBeenCalledTimes(name === 'set' ? 0 : 1)
  })

  it('gives fifty who ask at once the old value by one run of the loader', async () => {
    await makeStale(cacheManager, 'fifty')
    const loader = failing()
    const asking = Array.from({ length: 50 }, () => cacheManager.getOrSet('fifty', loader, { grace: 60 }))
    expect(new Set(await Promise.all(asking))).toEqual(new Set(['old']))
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('is asked for by each call: without it the error of the loader reaches the caller', async () => {
    await makeStale(cacheManager, 'asked')
    expect(await reasonOf(cacheManager.getOrSet('asked', failing()))).toMatchObject({ message: 'the database is gone' })
    expect(await cacheManager.getOrSet('asked', failing(), { grace: 60 })).toBe('old')
  })

  it('is asked for by each call: who does not ask is not served what is old, though somebody else was', async () => {
    await makeStale(cacheManager, 'not asked')
    expect(await cacheManager.getOrSet('not asked', failing(), { grace: 60 })).toBe('old')
    expect(await reasonOf(cacheManager.getOrSet('not asked', failing()))).toMatchObject({ message: 'the database is gone' })
    expect(await cacheManager.getOrSet('not asked', async () => 'new')).toBe('new')
  })

  it('serves who asks for it, however often the loader has failed for others', async () => {
    await makeStale(cacheManager, 'often')
    for (let time = 0; time < 10; time++) await reasonOf(cacheManager.getOrSet('often', failing()))
    expect(await cacheManager.getOrSet('often', failing(), { grace: 60 })).toBe('old')
  })

  it('serves callers who ask for it and fails the others, though they share a load', async () => {
    await makeStale(cacheManager, 'mixed')
    const answer = gate<string>()
    const load = vi.fn(() => answer.opened)
    const with_ = cacheManager.getOrSet('mixed', load, { grace: 60 })
    const without = reasonOf(cacheManager.getOrSet('mixed', load))
    await waitFor('the load to begin', () => load.mock.calls.length > 0)
    answer.fail(new Error('no'))
    expect(await with_).toBe('old')
    expect(await without).toMatchObject({ message: 'no' })
  })

  it('serves at once while another loads, and nothing old to who asks for none beside', async () => {
    await makeStale(cacheManager, 'elsewhere')
    const [started, answer] = [gate(), gate<string>()]
    const elsewhere = cacheManager.getOrSet('elsewhere', () => (started.open(), answer.opened), { forceFresh: true })
    await started.opened
    const none = () => expect.unreachable('another loader ran')
    const graced = cacheManager.getOrSet<string>('elsewhere', none, { grace: 60 })
    const patient = [cacheManager.getOrSet<string>('elsewhere', none), cacheManager.getOrSet<string>('elsewhere', none)]
    expect(await graced).toBe('old')
    answer.open('new')
    expect(await Promise.all([elsewhere, ...patient])).toEqual(['new', 'new', 'new'])
  })

  it('has nothing to serve where nothing was cached', async () => {
    expect(await reasonOf(cacheManager.getOrSet('never', failing(), { grace: 60 }))).toMatchObject({ message: 'the database is gone' })
  })

  it('gives way to a loader that answers, whose value is fresh', async () => {
    await makeStale(cacheManager, 'answers')
    expect(await cacheManager.getOrSet('answers', async () => 'new', { grace: 60 })).toBe('new')
    expect(await cacheManager.getEntry('answers')).toMatchObject({ value: 'new', stale: false })
  })

  it('keeps what the loader brought for its lifetime and the grace together, fresh for the first', async () => {
    await cacheManager.getOrSet('kept', async () => 1, { ttl: 100, grace: 1000 })
    const entry = await cacheManager.getEntry('kept')
    expect(entry).toMatchObject({ value: 1, stale: false })
    expect(entry?.ttlMs).toBeGreaterThan(1_080_000)
    expect(entry?.ttlMs).toBeLessThanOrEqual(1_100_000)
  })

  it('makes an old value a miss for every read that does not ask for it', async () => {
    await makeStale(cacheManager, 'reads')
    expect(await cacheManager.get('reads')).toBeNull()
    expect(await cacheManager.getEntry('reads')).toBeNull()
    expect(await cacheManager.exists('reads')).toBe(false)
    expect(await cacheManager.getMany(['reads'])).toEqual([null])
    expect(await cacheManager.get('reads', { allowStale: true })).toBe('old')
    expect(await cacheManager.getMany(['reads'], { allowStale: true })).toEqual(['old'])
    const entry = await cacheManager.getEntry('reads', { allowStale: true })
    expect(entry).toMatchObject({ value: 'old', stale: true })
    expect(entry?.ageMs).toBeGreaterThanOrEqual(20)
    expect(entry?.ttlMs).toBeGreaterThan(40_000)
    expect(entry?.ttlMs).toBeLessThanOrEqual(60_000)
  })

  it('ends: then the value is gone for everybody', async () => {
    await makeStale(cacheManager, 'over', 'old', { grace: 0.03 })
    await waitFor('the grace to be over', async () => (await cacheManager.get('over', { allowStale: true })) === null)
    expect(await reasonOf(cacheManager.getOrSet('over', failing(), { grace: 60 }))).toMatchObject({ message: 'the database is gone' })
  })

  it('serves nothing that was deleted', async () => {
    await makeStale(cacheManager, 'deleted')
    expect(await cacheManager.delete('deleted')).toBe(true)
    expect(await cacheManager.get('deleted', { allowStale: true })).toBeNull()
    expect(await reasonOf(cacheManager.getOrSet('deleted', failing(), { grace: 60 }))).toMatchObject({ message: 'the database is gone' })
  })

  it('serves nothing that is deleted while the loader runs to somebody who asks afterwards', async () => {
    await makeStale(cacheManager, 'meanwhile')
    const [started, answer] = [gate(), gate<string>()]
    const first = cacheManager.getOrSet('meanwhile', () => (started.open(), answer.opened), { grace: 60 })
    await started.opened
    await cacheManager.delete('meanwhile')
    const second = reasonOf(cacheManager.getOrSet('meanwhile', failing(), { grace: 60 }))
    answer.fail(new Error('late'))
    expect(await first).toBe('old')
    expect(await second).toMatchObject({ message: 'the database is gone' })
    expect(await cacheManager.get('meanwhile', { allowStale: true })).toBeNull()
  })

  it('means nothing where the value never expires', async () => {
    await cacheManager.set('for good', 1, { persist: true, grace: 60 })
    expect(await cacheManager.getEntry('for good')).toMatchObject({ value: 1, ttlMs: null, stale: false })
  })

  it('is counted', async () => {
    cacheManager.resetStats()
    await makeStale(cacheManager, 'counted')
    await cacheManager.getOrSet('counted', failing(), { grace: 60 })
    expect(cacheManager.getStats()).toMatchObject({ stale: 1, loads: 1, loadErrors: 1 })
    await cacheManager.get('counted', { allowStale: true })
    expect(cacheManager.getStats().stale).toBe(2)
  })

  it('is a time like any other', async () => {
    await areRefused('options.grace', wrongDurations, (grace) => cacheManager.set('wrong', 1, { grace }))
    await areRefused('options.grace', wrongDurations, (grace) => cacheManager.getOrSet('wrong', () => 1, { grace }))
    await areRefused('options.graceBackoff', wrongDurations, (graceBackoff) =>
      cacheManager.getOrSet('wrong', () => 1, { grace: 60, graceBackoff }),
    )
    expect(await cacheManager.exists('wrong')).toBe(false)
    expect(await cacheManager.set('right', 1, { grace: '5m' })).toBe(true)
    expect((await cacheManager.getEntry('right'))?.ttlMs).toBeGreaterThan(3_850_000)
  })

  it('beside the longest lifetime is kept, or refused by its name, by every call alike', async () => {
    const century = { ttl: '36500d', grace: '365d' } as const
    const written = await cacheManager.set('century', 1, century).catch((error: unknown) => error)
    const loader = vi.fn(async () => 1)
    const loaded = await cacheManager.getOrSet('century:loaded', loader, century).catch((error: unknown) => error)
    if (written === true) {
      expect([await cacheManager.get('century'), loaded, await cacheManager.get('century:loaded')]).toEqual([1, 1, 1])
    } else {
      for (const error of [written, loaded]) expect(error).toMatchObject({ code: 'E_INVALID', path: 'options.grace' })
      expect(loader).not.toHaveBeenCalled()
    }
  })

  it('that is beyond 2^31 ms is kept to the end', async () => {
    const days = 60 * 86_400
    await cacheManager.set('long', 1, { ttl: days, grace: days })
    const entry = await cacheManager.getEntry('long')
    expect(entry).toMatchObject({ value: 1, stale: false })
    expect(entry?.ttlMs).toBeGreaterThan(2 * days * 1000 - 20_000)
    expect(await cacheManager.get('long')).toBe(1)
  })
})
