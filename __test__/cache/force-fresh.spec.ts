// forceFresh loads, whatever is cached.
import { describe, expect, it, vi } from 'vitest'
import { areRefused, makeStale, reasonOf, wrongSwitches } from './loads'
import { gate, onStore, stores } from './stores'

const force = { forceFresh: true }

describe.each(stores)('forceFresh on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const { cacheManager } = holdfast

  it('runs the loader although there is a value, and caches what it brings', async () => {
    await cacheManager.set('there', 'old')
    expect(await cacheManager.get('there')).toBe('old')
    expect(await cacheManager.getOrSet('there', async () => 'new', force)).toBe('new')
    expect(await cacheManager.get('there')).toBe('new')
    expect(await cacheManager.getOrSet('there', async () => 'newest', force)).toBe('newest')
    expect(await cacheManager.get('there')).toBe('newest')
  })

  it('caches in place of nothing, too', async () => {
    expect(await cacheManager.getOrSet('cold', async () => 'new', force)).toBe('new')
    expect(await cacheManager.get('cold')).toBe('new')
  })

  it('shares one load among those who ask so at once', async () => {
    await cacheManager.set('fifty', 'old')
    const answer = gate<string>()
    const loader = vi.fn(() => answer.opened)
    const asking = Array.from({ length: 50 }, () => cacheManager.getOrSet('fifty', loader, force))
    answer.open('new')
    expect(new Set(await Promise.all(asking))).toEqual(new Set(['new']))
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('holds up nobody who takes what is cached', async () => {
    await cacheManager.set('beside', 'old')
    const [started, answer] = [gate(), gate<string>()]
    const forced = cacheManager.getOrSet('beside', () => (started.open(), answer.opened), force)
    await started.opened
    const plain = () => cacheManager.getOrSet('beside', () => expect.unreachable('the loader ran'))
    expect([await plain(), await cacheManager.get('beside')]).toEqual(['old', 'old'])
    answer.open('new')
    expect(await forced).toBe('new')
    expect([await plain(), await cacheManager.get('beside')]).toEqual(['new', 'new'])
  })

  if (store === 'redis') it('caches what it brings, although the key is read from Redis meanwhile', async () => {
    const writer = open({ nearCache: 'off' }).cacheManager
    for (const [key, options, read] of [['read:forced', force, {}], ['read:stale', { grace: 60 }, { allowStale: true }]] as const) {
      await (key === 'read:stale' ? makeStale(writer, key) : writer.set(key, 'old'))
      const [started, answer] = [gate(), gate<string>()]
      const loading = cacheManager.getOrSet(key, () => (started.open(), answer.opened), options)
      await started.opened
      expect(await cacheManager.get(key, read)).toBe('old')
      answer.open('new')
      expect(await loading).toBe('new')
      expect(await cacheManager.get(key, { skipL1: true })).toBe('new')
    }
  })

  it('leaves what is cached when the loader fails, and gives its error', async () => {
    await cacheManager.set('fails', 'old')
    expect(await reasonOf(cacheManager.getOrSet('fails', async () => Promise.reject(new Error('no')), force))).toMatchObject({ message: 'no' })
    expect(await cacheManager.get('fails')).toBe('old')
  })

  it('brings nothing back that is deleted meanwhile, and covers nothing that is set', async () => {
    for (const [change, after] of [['delete', null], ['set', 'set meanwhile']] as const) {
      const key = `meanwhile:${change}`
      await cacheManager.set(key, 'old')
      const [started, answer] = [gate(), gate<string>()]
      const forced = cacheManager.getOrSet(key, () => (started.open(), answer.opened), force)
      await started.opened
      await (change === 'delete' ? cacheManager.delete(key) : cacheManager.set(key, after))
      answer.open('loaded before')
      expect(await forced).toBe('loaded before')
      expect(await cacheManager.get(key)).toBe(after)
    }
  })

  it.each(['delete', 'set', 'expire', 'clear', 'deletePattern'] as const)('gives nobody who asks after a %s what was loaded before it', async (name) => {
    const changes = {
      delete: (key: string) => cacheManager.delete(key),
      set: (key: string) => cacheManager.set(key, 'set'),
      expire: (key: string) => cacheManager.expire(key),
      clear: () => cacheManager.clear(),
      deletePattern: (key: string) => cacheManager.deletePattern(`${key}*`),
    }
    const key = `since:${name}`
    const [started, answer] = [gate(), gate<string>()]
    const before = cacheManager.getOrSet(key, () => (started.open(), answer.opened), force)
    await started.opened
    await changes[name](key)
    const after = cacheManager.getOrSet(key, async () => 'new', force)
    answer.open('old')
    expect(await before).toBe('old')
    expect(await after).toBe('new')
    expect(await cacheManager.get(key)).toBe('new')
  })

  it('heeds no pause after failures: who asks so wants the loader', async () => {
    await makeStale(cacheManager, 'rests')
    const failing = async () => Promise.reject(new Error('no'))
    expect(await cacheManager.getOrSet('rests', failing, { grace: 60 })).toBe('old')
    expect(await cacheManager.getOrSet('rests', async () => 'new', { grace: 60, forceFresh: true })).toBe('new')
    expect(await cacheManager.getOrSet('rests', failing, { grace: 60 })).toBe('new')
  })

  it('is true or false', async () => {
    await areRefused('options.forceFresh', wrongSwitches, (forceFresh) =>
      cacheManager.getOrSet('wrong', () => expect.unreachable('the loader ran'), { forceFresh }),
    )
  })
})
