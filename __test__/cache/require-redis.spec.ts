// requireRedis: Redis itself answers, or nobody does.
import { describe, expect, it, vi } from 'vitest'
import { waitFor } from '../support/wait-for'
import { areRefused, reasonOf, wrongSwitches, type Cache } from './loads'
import { onStore, opener } from './stores'

const required = { requireRedis: true }

/** Every call that takes the option. */
const calls = (cache: Cache, loader: () => unknown = () => 1): [string, () => Promise<unknown>][] => [
  ['get', () => cache.get('a', required)],
  ['getEntry', () => cache.getEntry('a', required)],
  ['exists', () => cache.exists('a', required)],
  ['set', () => cache.set('a', 1, required)],
  ['delete', () => cache.delete('a', required)],
  ['expire', () => cache.expire('a', required)],
  ['getOrSet', () => cache.getOrSet('a', loader, required)],
  ['getMany', () => cache.getMany(['a', 'b'], required)],
  ['setMany', () => cache.setMany([{ key: 'a', value: 1 }], required)],
  ['deleteMany', () => cache.deleteMany(['a'], required)],
  ['getOrSetMany', () => cache.getOrSetMany(['a'], () => [loader()], required)],
  ['deleteByTag', () => cache.deleteByTag('t', required)],
  ['expireByTag', () => cache.expireByTag('t', required)],
  ['deletePattern', () => cache.deletePattern('a*', required)],
]

const unavailable = { name: 'HoldfastError', code: 'E_UNAVAILABLE', applied: 'no' }

describe('requireRedis while Redis answers', () => {
  const { holdfast } = onStore('redis')
  const { cacheManager, fallbackManager } = holdfast

  it('changes nothing about any call', async () => {
    const answers = []
    for (const [, call] of calls(cacheManager)) answers.push(await call())
    expect(answers).toEqual([null, null, false, true, true, false, 1, [1, null], [true], [true], [1], true, true, 1])
  })

  it('reads past every copy in this process', async () => {
    await cacheManager.set('copied', 1)
    await waitFor('a copy', async () => (await cacheManager.getEntry('copied'))?.source === 'near')
    for (let time = 0; time < 3; time++) {
      expect(await cacheManager.getEntry('copied', required)).toMatchObject({ value: 1, source: 'redis' })
    }
    cacheManager.resetStats()
    expect(await cacheManager.getOrSet('copied', () => 2, required)).toBe(1)
    expect(await cacheManager.getMany(['copied'], required)).toEqual([1])
    expect(cacheManager.getStats().layers).toMatchObject({ hot: 0, near: 0, memory: 0, redis: 2 })
  })

  it('is refused while memory answers by request, and works again afterwards', async () => {
    await cacheManager.set('forced', 'before')
    await fallbackManager.forceFallbackMode(true)
    await cacheManager.set('forced', 'in memory')
    expect(await cacheManager.get('forced')).toBe('in memory')
    for (const [name, call] of calls(cacheManager, () => expect.unreachable('the loader ran'))) {
      expect(await reasonOf(call()), name).toMatchObject(unavailable)
    }
    await fallbackManager.forceFallbackMode(false)
    await waitFor('Redis to answer', async () => (await cacheManager.get('forced', required).catch(() => null)) === 'in memory')
  })

  it('is true or false', async () => {
    await areRefused('options.requireRedis', wrongSwitches, (requireRedis) => cacheManager.get('a', { requireRedis }))
    await areRefused('options.requireRedis', wrongSwitches, (requireRedis) => cacheManager.deleteByTag('a', { requireRedis }))
  })
})

describe.each([
  ['where there is none', 'redis://127.0.0.1:1'],
  ['in memory for good', 'memory:'],
])('requireRedis %s', (_, url) => {
  it('fails every call with E_UNAVAILABLE, runs no loader and changes nothing', async () => {
    const { open, closeAll } = opener({ url })
    const { cacheManager } = open()
    expect(await cacheManager.set('a', 'in memory', { tags: ['t'] })).toBe(true)
    const loader = vi.fn()
    for (const [name, call] of calls(cacheManager, loader)) {
      const reason = await reasonOf(call())
      expect(reason, name).toMatchObject({ ...unavailable, operation: `cacheManager.${name}` })
    }
    expect(loader).not.toHaveBeenCalled()
    expect(await cacheManager.get('a')).toBe('in memory')
    await closeAll()
  })

  it('tells which keys of many failed', async () => {
    const { open, closeAll } = opener({ url })
    const { cacheManager } = open()
    const onError = vi.fn()
    expect(await cacheManager.getMany(['a', 'b'], { ...required, onError })).toEqual([null, null])
    expect(await cacheManager.setMany([{ key: 'c', value: 1 }], { ...required, onError })).toEqual([false])
    expect(onError.mock.calls.map(([key, error]) => [key, (error as { code: string }).code])).toEqual(['a', 'b', 'c'].map((key) => [key, 'E_UNAVAILABLE']))
    await closeAll()
  })
})
