// A slow loader: who has something old gets that, and the loader goes on.
import { describe, expect, it, vi } from 'vitest'
import { unhandledDuring } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { areRefused, makeStale, wrongTimeouts } from './loads'
import { gate, onStore, stores } from './stores'

describe.each(stores)('softTimeoutMs on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast

  it.each([0, 20])('serves the old value after %i ms, and the loader goes on and is cached', async (softTimeoutMs) => {
    const key = `slow:${softTimeoutMs}`
    await makeStale(cacheManager, key)
    const answer = gate<string>()
    const loader = vi.fn(() => answer.opened)
    const ask = () => cacheManager.getOrSet(key, loader, { grace: 60, softTimeoutMs })
    expect(await ask()).toBe('old')
    expect(await ask()).toBe('old')
    expect(loader).toHaveBeenCalledTimes(1)
    answer.open('new')
    await waitFor('the new value', async () => (await cacheManager.get(key)) === 'new')
    expect(await ask()).toBe('new')
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('serves the new value when the loader is in time', async () => {
    await makeStale(cacheManager, 'in time')
    expect(await cacheManager.getOrSet('in time', async () => 'new', { grace: 60, softTimeoutMs: 20_000 })).toBe('new')
  })

  it.each([
    ['there is nothing old', 'cold', { grace: 60, softTimeoutMs: 1 }],
    ['there is no grace', 'graceless', { softTimeoutMs: 1 }],
  ])('waits for the loader where %s', async (_, key, options) => {
    if (key === 'graceless') await makeStale(cacheManager, key)
    const [started, answer] = [gate(), gate<string>()]
    let ended = false
    const asked = cacheManager.getOrSet(key, () => (started.open(), answer.opened), options).finally(() => (ended = true))
    await started.opened
    // Far more than a millisecond is over when the other key is stale.
    await makeStale(cacheManager, `beside ${key}`)
    expect(ended).toBe(false)
    answer.open('new')
    expect(await asked).toBe('new')
  })

  it('is each caller\'s own: one is served the old value, another waits for the new one of the same run', async () => {
    await makeStale(cacheManager, 'own')
    const answer = gate<string>()
    const loader = vi.fn(() => answer.opened)
    const patient = cacheManager.getOrSet('own', loader, { grace: 60 })
    const hurried = cacheManager.getOrSet('own', loader, { grace: 60, softTimeoutMs: 0 })
    expect(await hurried).toBe('old')
    answer.open('new')
    expect(await patient).toBe('new')
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('disturbs nobody when the loader fails afterwards', async () => {
    await makeStale(cacheManager, 'fails late')
    const answer = gate<string>()
    const ended = vi.fn()
    const unhandled = await unhandledDuring(async () => {
      const load = () => answer.opened.finally(ended)
      expect(await cacheManager.getOrSet('fails late', load, { grace: 60, softTimeoutMs: 0 })).toBe('old')
      answer.fail(new Error('late'))
      await waitFor('the loader to end', () => ended.mock.calls.length > 0)
    })
    expect(unhandled).toEqual([])
    expect(await cacheManager.get('fails late', { allowStale: true })).toBe('old')
  })

  it('brings nothing back that was deleted after the old value was served', async () => {
    await makeStale(cacheManager, 'deleted')
    const answer = gate<string>()
    const ended = vi.fn()
    const load = () => answer.opened.finally(ended)
    expect(await cacheManager.getOrSet('deleted', load, { grace: 60, softTimeoutMs: 0 })).toBe('old')
    await cacheManager.delete('deleted')
    answer.open('loaded before the delete')
    await waitFor('the loader to end', () => ended.mock.calls.length > 0)
    expect(await cacheManager.getOrSet('deleted', async () => 'new', { grace: 60, softTimeoutMs: 0 })).toBe('new')
    expect(await cacheManager.get('deleted', { allowStale: true })).toBe('new')
  })

  it('is a number of ms', async () => {
    await areRefused('options.softTimeoutMs', wrongTimeouts, (softTimeoutMs) =>
      cacheManager.getOrSet('wrong', () => expect.unreachable('the loader ran'), { softTimeoutMs }),
    )
    expect(await cacheManager.exists('wrong')).toBe(false)
  })
})
