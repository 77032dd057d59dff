// Values that are written together end apart.
import { describe, expect, it } from 'vitest'
import { areRefused, wrongDurations } from './loads'
import { onStore, stores } from './stores'

const keys = Array.from({ length: 100 }, (_, n) => `key:${n}`)

describe.each(stores)('jitter on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast

  async function lifetimes(prefix: string): Promise<number[]> {
    const entries = await Promise.all(keys.map((key) => cacheManager.getEntry(key, { prefix })))
    return entries.map((entry) => (entry?.ttlMs ?? -1) + (entry?.ageMs ?? 0))
  }

  it.each<[string, (prefix: string) => Promise<unknown>]>([
    ['set', (prefix) => Promise.all(keys.map((key) => cacheManager.set(key, 1, { prefix, ttl: 1000, jitter: 1000 })))],
    ['setMany', (prefix) => cacheManager.setMany(keys.map((key) => ({ key, value: 1 })), { prefix, ttl: 1000, jitter: '1000s' })],
    ['getOrSet', (prefix) => Promise.all(keys.map((key) => cacheManager.getOrSet(key, () => 1, { prefix, ttl: 1000, jitter: 1000 })))],
    ['getOrSetMany', (prefix) => cacheManager.getOrSetMany(keys, (all) => all.map(() => 1), { prefix, ttl: 1000, jitter: 1000 })],
  ])('spreads the lifetimes that %s gives over the time after ttl', async (name, write) => {
    await write(`by:${name}`)
    const all = await lifetimes(`by:${name}`)
    // What a read takes may blur them by as much.
    for (const ms of all) {
      expect(ms).toBeGreaterThanOrEqual(1_000_000 - 20_000)
      expect(ms).toBeLessThanOrEqual(2_000_000 + 20_000)
    }
    // A hundred of them leave a gap of a third of it once in 10^17 runs.
    expect(Math.max(...all) - Math.min(...all)).toBeGreaterThan(600_000)
  })

  it('spreads freshness, not grace', async () => {
    const options = { prefix: 'graced', ttl: 1000, jitter: 1000, grace: 10_000 }
    await Promise.all(keys.map((key) => cacheManager.set(key, 1, options)))
    for (const ms of await lifetimes('graced')) {
      expect(ms).toBeGreaterThanOrEqual(11_000_000 - 20_000)
      expect(ms).toBeLessThanOrEqual(12_000_000 + 20_000)
    }
  })

  it('is none unless asked for', async () => {
    await Promise.all(keys.map((key) => cacheManager.set(key, 1, { prefix: 'plain', ttl: 1000 })))
    for (const ms of await lifetimes('plain')) expect(Math.abs(ms - 1_000_000)).toBeLessThan(20_000)
  })

  it('is a time like any other', async () => {
    await areRefused('options.jitter', wrongDurations, (jitter) => cacheManager.set('wrong', 1, { jitter }))
    await areRefused('options.jitter', wrongDurations, (jitter) => cacheManager.getOrSet('wrong', () => 1, { jitter }))
    expect(await cacheManager.exists('wrong')).toBe(false)
  })
})
