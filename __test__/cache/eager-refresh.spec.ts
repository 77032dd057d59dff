// A value that is asked for late in its life is loaded anew beside, before it ends.
import { describe, expect, it, vi } from 'vitest'
import { unhandledDuring } from '../fault/outage'
import { untilHot } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { areRefused, type Cache } from './loads'
import { gate, onStore, stores } from './stores'

/** A thousandth of a minute: 60 ms. */
const soon = { ttl: 60, eagerRefresh: 0.001 }

async function untilDue(cache: Cache, key: string): Promise<void> {
  await waitFor(`${key} to be due`, async () => ((await cache.getEntry(key))?.ageMs ?? 0) > 80)
}

describe.each(stores)('eagerRefresh on %s', (store) => {
  const { holdfast, open, keyPrefix } = onStore(store)
  const { cacheManager } = holdfast

  it('serves what is there at once, and loads anew beside', async () => {
    await cacheManager.set('due', 'old', soon)
    await untilDue(cacheManager, 'due')
    const answer = gate<string>()
    const loader = vi.fn(() => answer.opened)
    const ask = () => cacheManager.getOrSet('due', loader, soon)
    expect([await ask(), await ask()]).toEqual(['old', 'old'])
    await waitFor('the loader to run', () => loader.mock.calls.length > 0)
    answer.open('new')
    await waitFor('the new value', async () => (await cacheManager.get('due')) === 'new')
    expect(loader).toHaveBeenCalledTimes(1)
    expect((await cacheManager.getEntry('due'))?.ageMs).toBeLessThan(30_000)
  })

  it('does nothing before that part of its lifetime', async () => {
    await cacheManager.set('young', 'there', { ttl: 60 })
    const loader = vi.fn(async () => 'new')
    for (let time = 0; time < 20; time++) {
      expect(await cacheManager.getOrSet('young', loader, { ttl: 60, eagerRefresh: 0.99 })).toBe('there')
    }
    expect(loader).not.toHaveBeenCalled()
  })

  it('runs one loader however many ask', async () => {
    await cacheManager.set('fifty', 'old', soon)
    await untilDue(cacheManager, 'fifty')
    const answer = gate<string>()
    const loader = vi.fn(() => answer.opened)
    for (let round = 0; round < 3; round++) {
      const asking = Array.from({ length: 50 }, () => cacheManager.getOrSet('fifty', loader, soon))
      expect(new Set(await Promise.all(asking))).toEqual(new Set(['old']))
    }
    await waitFor('the loader to run', () => loader.mock.calls.length > 0)
    answer.open('new')
    await waitFor('the new value', async () => (await cacheManager.get('fifty')) === 'new')
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('works for a value whose text is at hand as well', async () => {
    await cacheManager.set('hot', 'old', soon)
    await untilHot(holdfast, 'hot')
    await waitFor('the refresh', async () => (await cacheManager.getOrSet('hot', async () => 'new', soon)) === 'new')
    expect(await cacheManager.get('hot')).toBe('new')
  })

  it('leaves the value that is there when the loader fails, and disturbs nobody', async () => {
    await cacheManager.set('fails', 'old', soon)
    await untilDue(cacheManager, 'fails')
    const loader = vi.fn(async (): Promise<string> => Promise.reject(new Error('no')))
    const unhandled = await unhandledDuring(async () => {
      expect(await cacheManager.getOrSet('fails', loader, soon)).toBe('old')
      await waitFor('the loader to fail', () => loader.mock.settledResults[0]?.type === 'rejected')
      expect(await cacheManager.getOrSet('fails', loader, soon)).toBe('old')
    })
    expect(unhandled).toEqual([])
    expect(await cacheManager.getEntry('fails')).toMatchObject({ value: 'old', stale: false })
  })

  it('brings nothing back that is deleted meanwhile', async () => {
    await cacheManager.set('deleted', 'old', soon)
    await untilDue(cacheManager, 'deleted')
    const [started, answer, ended] = [gate(), gate<string>(), vi.fn()]
    expect(await cacheManager.getOrSet('deleted', () => (started.open(), answer.opened.finally(ended)), soon)).toBe('old')
    await started.opened
    await cacheManager.delete('deleted')
    answer.open('loaded before the delete')
    await waitFor('the loader to end', () => ended.mock.calls.length > 0)
    expect(await cacheManager.getOrSet('deleted', async () => 'new')).toBe('new')
    expect(await cacheManager.get('deleted')).toBe('new')
  })

  it('means nothing for a value that never expires', async () => {
    await cacheManager.set('for good', 'there', { persist: true })
    await untilDue(cacheManager, 'for good')
    const loader = vi.fn(async () => 'new')
    expect(await cacheManager.getOrSet('for good', loader, { persist: true, eagerRefresh: 0.001 })).toBe('there')
    expect(loader).not.toHaveBeenCalled()
  })

  it.each([
    ['a lifetime', { ttl: 86_400 }],
    ['a freshness', { ttl: 86_400, grace: 86_400 }],
    ['a life without an end', { persist: true }],
  ])('goes by %s, and not by how long a copy may answer', async (name, options) => {
    const near = open({ nearMaxAge: 60, keyPrefix: `${keyPrefix}near:` })
    await near.cacheManager.set(name, 'there', options)
    await untilHot(near, name)
    await untilDue(near.cacheManager, name)
    await untilHot(near, name)
    const loader = vi.fn(async () => 'new')
    near.cacheManager.resetStats()
    for (let time = 0; time < 5; time++) {
      expect(await near.cacheManager.getOrSet(name, loader, { ...options, eagerRefresh: 0.001 })).toBe('there')
      await near.cacheManager.get(name, { skipL1: true })
    }
    expect(near.cacheManager.getStats().layers.hot).toBeGreaterThan(0)
    expect(loader).not.toHaveBeenCalled()
  })

  it('is a number above 0 and below 1', async () => {
    await areRefused('options.eagerRefresh', [0, 1, -0.5, 1.5, Number.NaN, '0.5', null, true, {}], (eagerRefresh) =>
      cacheManager.getOrSet('wrong', () => expect.unreachable('the loader ran'), { eagerRefresh }),
    )
  })
})
