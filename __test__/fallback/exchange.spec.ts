// exportFallbackData and importFallbackData: what memory and the journal hold, out and in again.

import { randomUUID } from 'node:crypto'

import { createHoldfast, type FallbackData } from 'holdfast'
import { afterAll, describe, expect, it } from 'vitest'

import { opener } from '../cache/stores'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

const keyPrefix = `exchange:${randomUUID()}:`
const { open, closeAll } = opener({ url: 'redis://127.0.0.1:1', keyPrefix })
afterAll(closeAll)

/** Through a file, as a deploy would. */
const written = (data: FallbackData): FallbackData => JSON.parse(JSON.stringify(data)) as FallbackData

describe('the data of an outage', () => {
  it('moves to another process with its values, lifetimes and deletes, and reaches Redis from there', async () => {
    const first = open()
    await first.fallbackManager.set('text', '{"looks":"like JSON"}', 3600)
    await first.fallbackManager.set('object', { a: [1, null, 'ä'] })
    await first.cacheManager.set('cached', null)
    await first.cacheManager.set('gone', 1)
    await first.cacheManager.delete('gone')
    const data = written(first.fallbackManager.exportFallbackData())
    expect(data).toMatchObject({ format: 'holdfast-fallback', version: 1 })
    expect(data.entries.find(({ key }) => key === 'object')).toMatchObject({
      family: 'fallback',
      value: { a: [1, null, 'ä'] },
      encoding: 'json',
      pending: true,
    })
    await first.cacheManager.clear()
    first.fallbackManager.clearFallbackData()

    const port = await freePort()
    const second = createHoldfast({
      env: {},
      url: `redis://127.0.0.1:${port}`,
      keyPrefix: 'other:',
      fallback: { autoSync: false },
    })
    second.fallbackManager.importFallbackData(data)
    expect(await second.fallbackManager.get('text')).toBe('{"looks":"like JSON"}')
    expect(await second.fallbackManager.get('object')).toEqual({ a: [1, null, 'ä'] })
    expect(await second.cacheManager.getEntry('cached')).toMatchObject({ value: null })
    expect(second.fallbackManager.getStats().journalDepth).toBe(4)
    await using server = await RedisServer.start({ port })
    using outside = await server.client()
    await outside.call('SET', 'other:cache:gone', 'of somebody else')
    await waitFor('Redis to answer', () => second.isRedisAvailable())
    await second.fallbackManager.syncWithRedis()
    expect(second.fallbackManager.getStats().journalDepth).toBe(0)
    expect(await outside.call('GET', 'other:cache:gone')).toBeNull()
    const left = Number(await outside.call('TTL', 'other:fallback:text'))
    expect(left).toBeGreaterThan(3500)
    expect(left).toBeLessThanOrEqual(3600)
    await second.close()
  })

  it('yields to what was written since', async () => {
    const holdfast = open({ keyPrefix: `${keyPrefix}since:` })
    const { fallbackManager } = holdfast
    await fallbackManager.set('key', 'old')
    const data = written(fallbackManager.exportFallbackData())
    await fallbackManager.set('key', 'new')
    await fallbackManager.set('kept', 1)
    await fallbackManager.delete('key-2')
    fallbackManager.importFallbackData(data)
    expect(await fallbackManager.get('key')).toBe('new')
    expect(await fallbackManager.get('kept')).toBe(1)
  })

  it('is memory for good where nothing else is', async () => {
    const first = open({ url: 'memory:' })
    await first.fallbackManager.set('a', 1)
    const data = written(first.fallbackManager.exportFallbackData())
    await first.fallbackManager.set('b', 2)
    first.fallbackManager.importFallbackData(data)
    expect(await first.fallbackManager.mget(['a', 'b'])).toEqual([1, null])
    expect(first.fallbackManager.getStats().journalDepth).toBe(0)
  })

  it('takes plain values by key as well', async () => {
    const { fallbackManager } = open({ keyPrefix: `${keyPrefix}loose:` })
    fallbackManager.importFallbackData({
      a: { value: 'text', timestamp: 1 },
      b: { value: { n: 1 }, expiry: Date.now() + 60_000 },
      over: { value: 1, expiry: 5 },
    })
    expect(await fallbackManager.mget(['a', 'b', 'over'])).toEqual(['text', { n: 1 }, null])
  })

  const good = { family: 'cache', key: 'k', value: 1, encoding: 'json', pending: true }
  const base = { format: 'holdfast-fallback', version: 1, exportedAt: 1, entries: [], removals: [] }
  it.each([
    ['data', null],
    ['data', []],
    ['data.format', { ...base, format: 'other' }],
    ['data.version', { ...base, version: 2 }],
    ['data.entries', { ...base, entries: {} }],
    ['data.entries[0]', { ...base, entries: [1] }],
    ['data.entries[1].key', { ...base, entries: [good, { ...good, key: '' }] }],
    ['data.entries[0].family', { ...base, entries: [{ ...good, family: 1 }] }],
    ['data.entries[0].value', { ...base, entries: [{ ...good, encoding: 'text' }] }],
    ['data.entries[0].value', { ...base, entries: [{ ...good, encoding: 'hex', value: 'abc' }] }],
    ['data.entries[0].encoding', { ...base, entries: [{ ...good, encoding: 'base64' }] }],
    ['data.entries[0].expiry', { ...base, entries: [{ ...good, expiry: 'soon' }] }],
    ['data.entries[0].stamp', { ...base, entries: [{ ...good, stamp: [1] }] }],
    ['data.entries[0].pending', { ...base, entries: [{ ...good, pending: 1 }] }],
    ['data.removals[0].key', { ...base, removals: [{ family: 'cache', key: 5 }] }],
    ['data["a"].value', { a: {} }],
    ['data["a"].expiry', { a: { value: 1, expiry: 'never' } }],
  ])('is refused with the path of what is wrong: %s', async (path, data) => {
    const { fallbackManager } = open({ keyPrefix: `${keyPrefix}bad:` })
    await fallbackManager.set('before', 1)
    expect(() => fallbackManager.importFallbackData(data as never)).toThrow(
      expect.objectContaining({ code: 'E_INVALID', path }),
    )
    expect(await fallbackManager.get('before')).toBe(1)
  })
})
