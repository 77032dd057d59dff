// l1Only uses nothing but this process' memory: Redis is neither asked nor told.
import { describe, expect, it, vi } from 'vitest'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { areRefused, makeStale, wrongSwitches } from './loads'
import { gate, onStore, opener, stores } from './stores'

const l1 = { l1Only: true }

describe.each(stores)('l1Only on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast

  it('keeps a value for those who ask so, and for nobody else', async () => {
    expect(await cacheManager.set('kept', { n: 1 }, l1)).toBe(true)
    expect(await cacheManager.get('kept', l1)).toEqual({ n: 1 })
    expect(await cacheManager.exists('kept', l1)).toBe(true)
    expect(await cacheManager.getEntry('kept', l1)).toMatchObject({ value: { n: 1 }, source: 'memory', stale: false })
    expect([await cacheManager.get('kept'), await cacheManager.exists('kept')]).toEqual([null, false])
    expect(await cacheManager.getMany(['kept', 'none'], l1)).toEqual([{ n: 1 }, null])
  })

  it('does not see what the others see', async () => {
    await cacheManager.set('theirs', 1)
    expect(await cacheManager.get('theirs')).toBe(1)
    expect([await cacheManager.get('theirs', l1), await cacheManager.exists('theirs', l1)]).toEqual([null, false])
    expect([await cacheManager.delete('theirs', l1), await cacheManager.expire('theirs', l1)]).toEqual([false, false])
    expect(await cacheManager.get('theirs')).toBe(1)
  })

  it('gives way to what is written or deleted for all', async () => {
    const changes = [
      ['set', () => cacheManager.set('way:set', 'for all')],
      ['delete', () => cacheManager.delete('way:delete')],
      ['expire', () => cacheManager.expire('way:expire')],
      ['getOrSet', () => cacheManager.getOrSet('way:getOrSet', () => 'for all')],
      ['deletePattern', () => cacheManager.deletePattern('way:deleteP*')],
      ['clear', () => cacheManager.clear()],
    ] as const
    for (const [name, change] of changes) {
      await cacheManager.set(`way:${name}`, 'mine', l1)
      expect(await cacheManager.get(`way:${name}`, l1)).toBe('mine')
      await change()
      expect(await cacheManager.get(`way:${name}`, l1), name).toBeNull()
    }
  })

  it('lives and ends as values do', async () => {
    await cacheManager.set('ends', 1, { ...l1, ttl: 0.03 })
    await waitFor('it to end', async () => !(await cacheManager.exists('ends', l1)))
    expect(await cacheManager.get('ends', l1)).toBeNull()
    await cacheManager.set('long', 1, { ...l1, ttl: '60d' })
    expect((await cacheManager.getEntry('long', l1))?.ttlMs).toBeGreaterThan(59 * 86_400_000)
    await cacheManager.set('replaced', 1, l1)
    await cacheManager.set('replaced', 2, l1)
    expect(await cacheManager.get('replaced', l1)).toBe(2)
    expect([await cacheManager.delete('replaced', l1), await cacheManager.get('replaced', l1)]).toEqual([true, null])
  })

  it('loads once for all who ask so, and caches here alone', async () => {
    const answer = gate<string>()
    const loader = vi.fn(() => answer.opened)
    const asking = Array.from({ length: 50 }, () => cacheManager.getOrSet('loaded', loader, l1))
    answer.open('here')
    expect(new Set(await Promise.all(asking))).toEqual(new Set(['here']))
    expect(loader).toHaveBeenCalledTimes(1)
    expect([await cacheManager.get('loaded', l1), await cacheManager.get('loaded')]).toEqual(['here', null])
    expect(await cacheManager.getOrSet('loaded', loader, l1)).toBe('here')
  })

  it('is not cached by a load when it is deleted meanwhile', async () => {
    const [started, answer] = [gate(), gate<string>()]
    const loading = cacheManager.getOrSet('meanwhile', () => (started.open(), answer.opened), l1)
    await started.opened
    await cacheManager.delete('meanwhile', l1)
    answer.open('old')
    expect(await loading).toBe('old')
    expect(await cacheManager.get('meanwhile', l1)).toBeNull()
  })

  it('has grace, too', async () => {
    await makeStale(cacheManager, 'graced', 'old', l1)
    expect(await cacheManager.getOrSet('graced', async () => Promise.reject(new Error('no')), { ...l1, grace: 60 })).toBe('old')
    await cacheManager.set('expired', 'old', { ...l1, grace: 60 })
    expect(await cacheManager.expire('expired', l1)).toBe(true)
    expect([await cacheManager.get('expired', l1), await cacheManager.get('expired', { ...l1, allowStale: true })]).toEqual([null, 'old'])
  })

  it('is invalidated by tags and with its namespace, like everything else', async () => {
    await cacheManager.set('tagged', 1, { ...l1, tags: ['red'] })
    await cacheManager.deleteByTag('red')
    expect(await cacheManager.get('tagged', l1)).toBeNull()
    const space = cacheManager.namespace('space')
    await space.set('1', 1, l1)
    expect(await space.get('1', l1)).toBe(1)
    await space.clear()
    expect(await space.get('1', l1)).toBeNull()
  })

  it('that asks for a pattern removes what is here alone', async () => {
    const prefix = 'patterns'
    await cacheManager.set('a:1', 'for all', { prefix })
    await cacheManager.set('a:2', 'here', { prefix, ...l1 })
    expect(await cacheManager.deletePattern('a:*', { prefix, ...l1 })).toBe(1)
    expect([await cacheManager.get('a:1', { prefix }), await cacheManager.get('a:2', { prefix, ...l1 })]).toEqual(['for all', null])
  })

  it('is no option of what invalidates a tag, which is for all or not at all', async () => {
    await cacheManager.set('tag:all', 'for all', { tags: ['here'] })
    await cacheManager.set('tag:here', 'here', { tags: ['here'], ...l1 })
    await areRefused('options.l1Only', [true], (l1Only) => cacheManager.deleteByTag('here', { l1Only }))
    await areRefused('options.l1Only', [true], (l1Only) => cacheManager.expireByTag('here', { l1Only }))
    expect([await cacheManager.get('tag:all'), await cacheManager.get('tag:here', l1)]).toEqual(['for all', 'here'])
  })

  it('is given in company of neither skipL1 nor requireRedis', async () => {
    for (const other of [{ skipL1: true }, { requireRedis: true }]) {
      await areRefused('options.l1Only', [true], (l1Only) => cacheManager.get('both', { l1Only, ...other }))
      await areRefused('options.l1Only', [true], (l1Only) => cacheManager.set('both', 1, { l1Only, ...other }))
    }
    await areRefused('options.l1Only', wrongSwitches, (l1Only) => cacheManager.get('wrong', { l1Only }))
    await areRefused('options.skipL1', wrongSwitches, (skipL1) => cacheManager.get('wrong', { skipL1 }))
    expect(await cacheManager.exists('both')).toBe(false)
  })
})

describe('l1Only beside a server', () => {
  it('tells it nothing, and asks it nothing', async () => {
    await using server = await RedisServer.start()
    using outside = await server.client()
    const { open, closeAll } = opener({ url: server.url, nearCache: 'off' })
    const { cacheManager } = open()
    await cacheManager.set('connected', 1)
    const commands = async () => String(await outside.call('INFO', 'commandstats')).match(/cmdstat_(?!info)[^:]+:calls=\d+/g)
    const before = await commands()
    const key = 'secret of this process'
    await cacheManager.set(key, 1, { ...l1, tags: ['secret'] })
    await Promise.all([cacheManager.get(key, l1), cacheManager.exists(key, l1), cacheManager.getOrSet(`${key} too`, () => 2, l1)])
    await Promise.all([cacheManager.expire(key, l1), cacheManager.delete(key, l1), cacheManager.setMany([{ key, value: 3 }], l1)])
    expect(await commands()).toEqual(before)
    expect(await outside.call('KEYS', '*secret*')).toEqual([])
    await closeAll()
  })
})

describe('l1Only without a server', () => {
  it('dials nothing, and works', async () => {
    const { open, closeAll } = opener({ url: 'redis://127.0.0.1:1' })
    const { cacheManager, redisClient } = open()
    expect(await cacheManager.set('a', 1, l1)).toBe(true)
    expect(await cacheManager.get('a', l1)).toBe(1)
    expect(await cacheManager.getOrSet('b', () => 2, l1)).toBe(2)
    expect(redisClient.getConnectionState().connectionAttempts).toBe(0)
    await closeAll()
  })
})
