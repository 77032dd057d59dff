// Point 3 of docs/boundary.md: many replies, one wake.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { opener, type Instance } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import { counters, range, since } from './inside'

describe('replies that arrive while JavaScript is busy', () => {
  let server: RedisServer
  let holdfast: Instance
  let other: Instance
  let closeAll: () => Promise<void>

  beforeAll(async () => {
    server = await RedisServer.start()
    const made = opener({ url: server.url, silenceMs: 60_000, commandTimeoutMs: 60_000 })
    closeAll = made.closeAll
    holdfast = made.open()
    other = made.open()
    await Promise.all(range(10).map((n) => holdfast.cacheManager.set(`key:${n}`, n)))
  })
  afterAll(async () => {
    server.thaw()
    await closeAll()
    await server.dispose()
  })

  it('2,560 of them, of ten submits, settle with one wake', async () => {
    const stats = () => other.cacheManager.getStats()
    const before = counters(other)
    const start = stats()
    // No reply comes before all ten batches are handed over.
    server.freeze()
    const answers = range(2560).map((n) => holdfast.cacheManager.get(`key:${n % 20}`))
    expect(since(before, other)).toEqual({ submits: 10, operations: 2560, wakes: 0, pending: 2560 })
    server.thaw()

    // JavaScript stays busy until all replies have come: they are counted when they do.
    const bound = performance.now() + 20_000
    let arrived = 0
    while (arrived < 2560 && performance.now() < bound) {
      const { hits, misses } = stats()
      arrived = hits + misses - start.hits - start.misses
    }
    expect(arrived).toBe(2560)
    expect(since(before, other)).toMatchObject({ wakes: 1, pending: 2560 })

    expect(await Promise.all(answers)).toEqual(range(2560).map((n) => (n % 20 < 10 ? n % 20 : null)))
    expect(since(before, other).pending).toBe(0)
  })
})
