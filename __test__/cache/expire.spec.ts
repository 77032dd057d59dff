// expire makes a key stale: a miss for everybody, but for those who take what is old.
import { describe, expect, it } from 'vitest'
import { untilHot } from '../boundary/inside'
import { areRefused, makeStale } from './loads'
import { gate, onStore, stores } from './stores'

describe.each(stores)('expire on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast

  it('makes a miss of what was there, at once', async () => {
    await cacheManager.set('a', 1)
    expect(await cacheManager.get('a')).toBe(1)
    expect(await cacheManager.expire('a')).toBe(true)
    expect(await cacheManager.get('a')).toBeNull()
    expect(await cacheManager.getEntry('a')).toBeNull()
    expect(await cacheManager.exists('a')).toBe(false)
    expect(await cacheManager.getOrSet('a', () => 2)).toBe(2)
    expect(await cacheManager.get('a')).toBe(2)
  })

  it('works on a text that is at hand', async () => {
    await cacheManager.set('hot', 1)
    await untilHot(holdfast, 'hot')
    const expired = cacheManager.expire('hot')
    expect(await cacheManager.get('hot')).toBeNull()
    expect(await expired).toBe(true)
  })

  it('leaves the value to those who take what is old, for as long as it would have lived', async () => {
    await cacheManager.set('old', 'value', { ttl: 100, grace: 100 })
    await cacheManager.expire('old')
    const entry = await cacheManager.getEntry('old', { allowStale: true })
    expect(entry).toMatchObject({ value: 'value', stale: true })
    expect(entry?.ttlMs).toBeGreaterThan(180_000)
    const failing = async () => Promise.reject(new Error('no'))
    expect(await cacheManager.getOrSet('old', failing, { grace: 60 })).toBe('value')
  })

  it('answers whether there was something', async () => {
    expect(await cacheManager.expire('never')).toBe(false)
    await cacheManager.set('null', null)
    expect(await cacheManager.expire('null')).toBe(true)
    await makeStale(cacheManager, 'stale already')
    expect(await cacheManager.expire('stale already')).toBe(true)
    await cacheManager.delete('null')
    expect(await cacheManager.expire('null')).toBe(false)
  })

  it('keeps its place among calls that nobody waited for', async () => {
    const answers = await Promise.all([
      cacheManager.set('order', 1),
      cacheManager.expire('order'),
      cacheManager.get('order'),
      cacheManager.set('order', 2),
      cacheManager.get('order'),
    ])
    expect(answers).toEqual([true, true, null, true, 2])
  })

  it('during a load keeps what was loaded before from being cached', async () => {
    const [started, answer] = [gate(), gate<string>()]
    const loading = cacheManager.getOrSet('during', () => (started.open(), answer.opened))
    await started.opened
    await cacheManager.expire('during')
    const next = cacheManager.getOrSet('during', async () => 'new')
    answer.open('old')
    expect(await loading).toBe('old')
    expect(await next).toBe('new')
    expect(await cacheManager.get('during')).toBe('new')
  })

  it('reaches one prefix alone', async () => {
    await Promise.all([cacheManager.set('p', 1), cacheManager.set('p', 2, { prefix: 'views' })])
    await cacheManager.expire('p', { prefix: 'views' })
    expect([await cacheManager.get('p'), await cacheManager.get('p', { prefix: 'views' })]).toEqual([1, null])
  })

  it('takes what any call with a key takes', async () => {
    await areRefused('key', ['', 5, null, undefined, {}, '\ud800', 'x'.repeat(65_537)], (key) => cacheManager.expire(key))
    await areRefused('options.allowStale', ['yes', 1, null], (allowStale) => cacheManager.get('a', { allowStale }))
  })
})
