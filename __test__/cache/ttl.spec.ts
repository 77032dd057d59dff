// Lifetimes are seconds, and what has expired is gone, from the memory too.
import { describe, expect, it } from 'vitest'
import { waitFor } from '../support/wait-for'
import { onStore, stores } from './stores'

const day = 86_400

describe.each(stores)('ttl on %s', (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const { cacheManager, AICacheManager } = holdfast

  it.each([
    ['a second', { ttl: 1 }, 1],
    ['an hour', { ttl: 3600 }, 3600],
    ['thirty days, more than a 32-bit timer holds', { ttl: 30 * day }, 30 * day],
    ['a hundred years', { ttl: 100 * 365 * day }, 100 * 365 * day],
    ['an hour without one', {}, 3600],
    ['an hour for 0', { ttl: 0 }, 3600],
    ['an hour for undefined', { ttl: undefined }, 3600],
  ])('is %s', async (name, options, seconds) => {
    await cacheManager.set(`for:${name}`, 1, options)
    const entry = await cacheManager.getEntry(`for:${name}`)
    expect(entry?.ttlMs).toBeLessThanOrEqual(seconds * 1000)
    expect(entry?.ttlMs).toBeGreaterThan(seconds * 1000 - 20_000)
    expect(entry?.ttlMs).toBeGreaterThan(0)
    if (store !== 'redis') return
    const left = Number(await outside().call('PTTL', `${keyPrefix}cache:for:${name}`))
    expect(Math.abs(left - (entry?.ttlMs ?? 0))).toBeLessThan(20_000)
  })

  it('takes the default of the instance', async () => {
    const short = open({ defaultTtl: 60, keyPrefix: `${keyPrefix}short:` })
    await short.cacheManager.set('default', 1)
    const entry = await short.cacheManager.getEntry('default')
    expect(entry?.ttlMs).toBeLessThanOrEqual(60_000)
    expect(entry?.ttlMs).toBeGreaterThan(40_000)
  })

  it('is a day for what an AI said, unless told otherwise', async () => {
    await AICacheManager.cacheResponse('p', 'r', 'm')
    await AICacheManager.cacheResponse('q', 'r', 'm', 60)
    const usual = await AICacheManager.getCachedEntry('p', 'm')
    const told = await AICacheManager.getCachedEntry('q', 'm')
    expect(usual?.ttlMs).toBeGreaterThan((day - 20) * 1000)
    expect(usual?.ttlMs).toBeLessThanOrEqual(day * 1000)
    expect(told?.ttlMs).toBeLessThanOrEqual(60_000)
  })

  it('starts anew with each set', async () => {
    await cacheManager.set('anew', 1, { ttl: 60 })
    await cacheManager.set('anew', 2, { ttl: 600 })
    expect((await cacheManager.getEntry('anew'))?.ttlMs).toBeGreaterThan(500_000)
  })

  it('ends: the value is a miss, and a load fills it again', async () => {
    await cacheManager.set('short', 'lived', { ttl: 1 })
    expect(await cacheManager.get('short')).toBe('lived')
    await waitFor('the entry to expire', async () => !(await cacheManager.exists('short')))
    expect(await cacheManager.get('short')).toBeNull()
    expect(await cacheManager.getOrSet('short', async () => 'again')).toBe('again')
  })
})

describe('expired entries', () => {
  const { holdfast } = onStore('memory')

  it('free their memory without being read', async () => {
    const { cacheManager } = holdfast
    await Promise.all(Array.from({ length: 100 }, (_, n) => cacheManager.set(`gone:${n}`, 'x'.repeat(100), { ttl: 1 })))
    await cacheManager.set('stays', 1)
    expect((await cacheManager.getInfo()).memory.entries).toBe(101)
    await waitFor('the expired entries to leave', async () => (await cacheManager.getInfo()).memory.entries === 1)
    expect(await cacheManager.get('stays')).toBe(1)
  })
})
