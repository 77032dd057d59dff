// Redis is killed and comes back empty: what was written and deleted meanwhile is right afterwards.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { opener, type Instance } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

describe.each([
  ['empty', false],
  ['with its data', true],
])('after an outage from which Redis comes back %s', (_, keepData) => {
  const keyPrefix = `outage:${randomUUID()}:`
  let server: RedisServer
  let holdfast: Instance
  let closeAll: () => Promise<void>

  beforeAll(async () => {
    server = await RedisServer.start({ persistent: true })
    const made = opener({ url: server.url, keyPrefix })
    closeAll = made.closeAll
    holdfast = made.open()
    const { cacheManager, fallbackManager } = holdfast
    for (let n = 0; n < 200; n += 1) await cacheManager.set(`before:${n}`, n)
    await fallbackManager.mset({ kept: 'kept', replaced: 'old', deleted: 'old' })

    await server.kill()
    await waitFor('the outage to be noticed', async () => (await cacheManager.getEntry('probe'), fallbackManager.getStats().isUsingFallback))
    await Promise.all(Array.from({ length: 200 }, (__, n) => cacheManager.set(`during:${n}`, { n })))
    await Promise.all(Array.from({ length: 50 }, (__, n) => cacheManager.delete(`during:${n * 4}`)))
    await Promise.all(Array.from({ length: 50 }, (__, n) => cacheManager.delete(`before:${n * 4}`)))
    await fallbackManager.set('replaced', 'new')
    await fallbackManager.set('fresh', 42, 600)
    await fallbackManager.delete('deleted')
  })
  afterAll(async () => {
    await closeAll()
    await server.dispose()
  })

  it('answers from memory as long as it lasts', async () => {
    const { cacheManager, fallbackManager, isRedisAvailable } = holdfast
    expect(isRedisAvailable()).toBe(false)
    expect(fallbackManager.getStats()).toMatchObject({ isUsingFallback: true, redisAvailable: false })
    expect(await cacheManager.getEntry('during:1')).toMatchObject({ value: { n: 1 }, source: 'memory' })
    expect(await cacheManager.get('during:4')).toBeNull()
    expect(await cacheManager.get('before:4')).toBeNull()
    expect(await fallbackManager.mget(['replaced', 'fresh', 'deleted'])).toEqual(['new', 42, null])
  })

  it('has every set and every delete of the outage in Redis afterwards', async () => {
    const { cacheManager, fallbackManager } = holdfast
    if (!keepData) server.wipe()
    await server.start()
    await waitFor('the journal to be replayed', () => {
      const { isUsingFallback, syncStatus } = fallbackManager.getStats()
      return !isUsingFallback && syncStatus === 'synced'
    })

    using outside = await server.client()
    const names = Array.from({ length: 200 }, (__, n) => n)
    const there = async (family: string): Promise<boolean[]> => {
      const replies = await outside.pipeline(names.map((n) => ['EXISTS', `${keyPrefix}cache:${family}:${n}`]))
      return replies.map((reply) => reply === 1)
    }
    expect(await there('during')).toEqual(names.map((n) => n % 4 !== 0))
    expect(await there('before')).toEqual(names.map((n) => keepData && n % 4 !== 0))
    for (const n of names) {
      expect(await cacheManager.get(`during:${n}`)).toEqual(n % 4 === 0 ? null : { n })
    }
    expect(await fallbackManager.mget(['replaced', 'fresh', 'deleted', 'kept'])).toEqual(['new', 42, null, keepData ? 'kept' : null])
    expect(await outside.call('EXISTS', `${keyPrefix}fallback:deleted`)).toBe(0)
    expect(await outside.call('TTL', `${keyPrefix}fallback:fresh`)).toBeGreaterThan(500)
    expect(await outside.call('TTL', `${keyPrefix}fallback:fresh`)).toBeLessThanOrEqual(600)
  })

  it('is on Redis again', async () => {
    const { cacheManager, fallbackManager, isRedisAvailable } = holdfast
    expect(isRedisAvailable()).toBe(true)
    expect(fallbackManager.getStats()).toMatchObject({ isUsingFallback: false, redisAvailable: true, syncStatus: 'synced' })
    await cacheManager.set('since', 1)
    expect(await cacheManager.getEntry('since')).toMatchObject({ source: 'redis' })
  })
})

describe('a second outage', () => {
  it('in the middle of everything loses nothing', async () => {
    await using server = await RedisServer.start()
    const { open, closeAll } = opener({ url: server.url, keyPrefix: `flap:${randomUUID()}:` })
    try {
      const { cacheManager, fallbackManager } = open()
      await cacheManager.set('start', 1)
      for (const round of [1, 2, 3]) {
        await server.kill()
        await waitFor('the outage', async () => (await cacheManager.get('start'), fallbackManager.getStats().isUsingFallback))
        await Promise.all(Array.from({ length: 100 }, (_, n) => cacheManager.set(`${round}:${n}`, n)))
        await cacheManager.delete(`${round}:0`)
        await server.start()
        await waitFor('the return', () => !fallbackManager.getStats().isUsingFallback && fallbackManager.getStats().syncStatus === 'synced')
        const values = await Promise.all(Array.from({ length: 100 }, (_, n) => cacheManager.getEntry(`${round}:${n}`)))
        expect(values.map((entry) => entry?.value ?? null)).toEqual([null, ...Array.from({ length: 99 }, (_, n) => n + 1)])
        expect(new Set(values.slice(1).map((entry) => entry?.source))).toEqual(new Set(['redis']))
      }
    } finally {
      await closeAll()
    }
  })
})

describe('a silent server', () => {
  it('is answered for from memory, and what was said meanwhile arrives', async () => {
    await using server = await RedisServer.start()
    const keyPrefix = `silent:${randomUUID()}:`
    const { open, closeAll } = opener({ url: server.url, keyPrefix })
    try {
      const { cacheManager, fallbackManager } = open()
      await cacheManager.set('before', 1)
      server.freeze()
      expect(await cacheManager.set('during', 2)).toBe(true)
      expect(await cacheManager.getEntry('during')).toMatchObject({ value: 2, source: 'memory' })
      expect(fallbackManager.getStats().isUsingFallback).toBe(true)
      await cacheManager.delete('before')
      server.thaw()
      await waitFor('the return', () => !fallbackManager.getStats().isUsingFallback && fallbackManager.getStats().syncStatus === 'synced')
      expect(await cacheManager.getEntry('during')).toMatchObject({ value: 2, source: 'redis' })
      expect(await cacheManager.get('before')).toBeNull()
      using outside = await server.client()
      expect(await outside.call('EXISTS', `${keyPrefix}cache:before`)).toBe(0)
    } finally {
      server.thaw()
      await closeAll()
    }
  })
})
