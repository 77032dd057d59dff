// Clocks that jump: the one of this process, and the server's. Lifetimes and pauses go by a clock that
// doesn't, and the order of writes stays the order in which they were made.

import { afterEach, describe, expect, it, vi } from 'vitest'

import { range } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

const HOUR = 3_600

describe('the clock of this process', () => {
  afterEach(() => void vi.useRealTimers())

  it.each([
    ['a year ahead', 365 * 24 * HOUR],
    ['ten years back', -10 * 365 * 24 * HOUR],
  ])('%s ends no lifetime early and none late, in Redis and in memory', async (_, seconds) => {
    await using scene = await Scene.start()
    const { cache, proxy } = scene
    await cache.set('long', 'before', { ttl: HOUR })
    expect(await cache.get('long')).toBe('before')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + seconds * 1000 })

    const lasts = async (key: string, source: string): Promise<void> => {
      const entry = await cache.getEntry(key)
      expect(entry).toMatchObject({ value: 'before', source })
      expect(entry?.ttlMs).toBeGreaterThan((HOUR - 60) * 1000)
      expect(entry?.ttlMs).toBeLessThanOrEqual(HOUR * 1000)
    }
    await lasts('long', 'redis')
    await cache.set('since', 'before', { ttl: HOUR })
    await lasts('since', 'redis')
    expect(await scene.outside((outside) => outside.call('TTL', scene.name('since')))).toBeGreaterThan(HOUR - 60)

    await proxy.set('refuse')
    await scene.degraded()
    await lasts('long', 'memory')
    await Promise.all([cache.set('short', 'before', { ttl: 1 }), cache.set('during', 'before', { ttl: HOUR })])
    await lasts('during', 'memory')
    await waitFor('the short one to expire', async () => (await cache.get('short')) === null)
    await proxy.set('pass')
    await scene.healed()
    await lasts('during', 'redis')
    expect(await scene.stored(['short'])).toEqual([null])
  })
})

/** What the server says of its time is so many seconds off. */
function ahead(seconds: number): { rewrite: (bytes: Buffer) => Buffer } {
  const shift = (_: string, begin: string, number: string): string => `${begin}${Number(number) + seconds}`
  return { rewrite: (bytes) => Buffer.from(bytes.toString('latin1').replace(/(^\*2\r\n\$10\r\n)(\d{10})/, shift), 'latin1') }
}

/** By how many seconds the stamp of a stored value is off this machine's clock. */
async function stampAhead(scene: Scene, key: string): Promise<number> {
  using outside = await scene.server.client()
  outside.encoding = 'latin1'
  const stored = Buffer.from(String(await outside.call('GET', scene.name(key))), 'latin1')
  return Number(stored.readBigUInt64BE(4) / 1_000_000n) - Date.now() / 1000
}

describe("the server's clock", () => {
  // By such a clock an hour passed. Nobody deleted in it what the journal sets, as long as tombstones last.
  const options = { tombstoneTtl: '1d' }

  it.each([
    ['back', HOUR, 0],
    ['ahead', 0, HOUR],
    ['back below where it began', 0, -HOUR],
  ])('that jumped %s in an outage leaves the last write of each key', async (_, before, after) => {
    await using scene = await Scene.start(options)
    const { cache, holdfast, proxy } = scene
    const keys = range(50).map((n) => `key:${n}`)
    await proxy.set(ahead(before))
    await Promise.all(keys.map((key) => cache.set(key, 'before')))
    expect(Math.abs((await stampAhead(scene, 'key:0')) - before)).toBeLessThan(60)
    await cache.delete('key:0')
    await proxy.set('refuse')
    await scene.degraded()
    const during = keys.map((key, n) => (n % 2 === 0 ? cache.set(key, 'during') : cache.delete(key)))
    await Promise.all(during)
    await proxy.set(ahead(after))
    await scene.healed()
    const expected = keys.map((__, n) => (n % 2 === 0 ? 'during' : null))
    expect(await scene.stored(keys)).toEqual(expected)
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(expected)

    // And a second outage, on the clock as it is now.
    await Promise.all([cache.set('key:0', 'between'), cache.set('key:1', 'between'), cache.delete('key:2')])
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all([cache.set('key:1', 'second'), cache.set('key:2', 'second'), cache.delete('key:0')])
    await proxy.set(ahead(after))
    await scene.healed()
    expect(await scene.stored(['key:0', 'key:1', 'key:2'])).toEqual([null, 'second', 'second'])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0 })
  })

  it('that jumped while it was connected leaves the last write too, sent twice or journalled', async () => {
    await using scene = await Scene.start(options)
    const { cache, proxy } = scene
    await proxy.set(ahead(HOUR))
    await Promise.all([cache.set('again', 'before'), cache.set('journalled', 'before'), cache.set('deleted', 'before')])
    await proxy.set(ahead(-HOUR))
    // A new connection learns the time anew.
    proxy.resetConnections()
    await Promise.all([cache.set('again', 'since'), cache.set('journalled', 'since'), cache.delete('deleted')])
    proxy.resetConnections()
    const sent = Promise.all([cache.set('again', 'last'), cache.get('journalled')])
    proxy.resetConnections()
    expect((await sent)[0]).toBe(true)
    await proxy.set('refuse')
    await scene.degraded()
    await cache.set('journalled', 'last')
    await proxy.set(ahead(-HOUR))
    await scene.healed()
    expect(await scene.stored(['again', 'journalled', 'deleted'])).toEqual(['last', 'last', null])
  })

  it('that jumped makes no lifetime longer or shorter', async () => {
    await using scene = await Scene.start(options)
    const { cache, proxy } = scene
    await cache.set('before', 1, { ttl: HOUR })
    await proxy.set(ahead(-HOUR / 2))
    proxy.resetConnections()
    await cache.set('since', 1, { ttl: HOUR })
    await proxy.set('refuse')
    await scene.degraded()
    await cache.set('during', 1, { ttl: HOUR })
    await proxy.set(ahead(HOUR / 2))
    await scene.healed()
    using outside = await scene.server.client()
    const left = await outside.pipeline(['before', 'since', 'during'].map((key) => ['TTL', scene.name(key)]))
    for (const seconds of left) {
      expect(seconds).toBeGreaterThan(HOUR - 60)
      expect(seconds).toBeLessThanOrEqual(HOUR)
    }
  })
})
