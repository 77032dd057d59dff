// Point 1 of docs/boundary.md: the calls of one tick cross together.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { onStore, stores, type Instance } from '../cache/stores'
import { counters, range, since, turn, untilHot } from './inside'

describe.each(stores)('the calls of one tick, on %s', (store) => {
  const { holdfast, open } = onStore(store)
  let other: Instance

  beforeAll(async () => {
    other = open()
    await holdfast.cacheManager.set('there', 'yes')
    await holdfast.cacheManager.get('there')
  })
  // What was answered at once before owes the event loop nothing.
  beforeEach(turn)
  afterAll(() => other.close())

  it('100 gets in a tick make one submit and at most one wake', async () => {
    const get = (key: string) => holdfast.cacheManager.get(key, { skipL1: true })
    const before = counters(other)
    const answers = range(100).map((n) => get(n % 2 === 0 ? 'there' : `absent:${n}`))
    // After a read that memory answered at once, the first one of a tick crosses by itself, also at once.
    const direct = store === 'memory' ? 1 : 0
    expect(since(before, other)).toMatchObject({ submits: direct, operations: direct })
    expect(await Promise.all(answers)).toEqual(range(100).map((n) => (n % 2 === 0 ? 'yes' : null)))
    const { submits, wakes, operations, pending } = since(before, other)
    expect({ submits, operations, pending }).toEqual({ submits: 1 + direct, operations: 100, pending: 0 })
    expect(wakes).toBeLessThanOrEqual(store === 'memory' ? 0 : 1)
  })

  it('gets of texts that are at hand make no submit, and those among them that are not share one', async () => {
    await untilHot(holdfast, 'there')
    // Two in company: the next read of a tick crosses by itself only after one that was alone.
    await Promise.all(['beside:1', 'beside:2'].map((key) => holdfast.cacheManager.set(key, 1)))
    await turn()
    const before = counters(other)
    expect(await Promise.all(range(100).map(() => holdfast.cacheManager.get('there')))).toEqual(range(100).map(() => 'yes'))
    expect(since(before, other)).toEqual({ submits: 0, wakes: 0, operations: 0, pending: 0 })
    const answers = range(100).map((n) => holdfast.cacheManager.get(n % 2 === 0 ? 'there' : `missing:${n}`))
    expect(await Promise.all(answers)).toEqual(range(100).map((n) => (n % 2 === 0 ? 'yes' : null)))
    expect(since(before, other)).toMatchObject({ submits: 1, operations: 50, pending: 0 })
  })

  it('calls of all kinds share that submit, in the order in which they were made', async () => {
    const { cacheManager, fallbackManager, redisClient } = holdfast
    const client = redisClient.getClient()
    const before = counters(other)
    const answers = await Promise.all([
      cacheManager.set('kinds', 1),
      cacheManager.get('kinds'),
      cacheManager.delete('kinds'),
      cacheManager.exists('kinds'),
      fallbackManager.set('kinds', 2),
      fallbackManager.get('kinds'),
      client.call('SET', 'kinds', 'three'),
      client.call('GET', 'kinds'),
    ])
    expect(answers).toEqual([true, 1, true, false, true, 2, 'OK', 'three'])
    expect(since(before, other)).toMatchObject({ submits: 1, operations: 8 })
  })

  it('the 256th operation of a tick hands the batch over before the tick ends', async () => {
    const before = counters(other)
    const answers = range(255).map(() => holdfast.cacheManager.exists('there'))
    expect(since(before, other)).toMatchObject({ submits: 0, operations: 0 })
    answers.push(holdfast.cacheManager.exists('there'))
    expect(since(before, other)).toMatchObject({ submits: 1, operations: 256 })
    answers.push(holdfast.cacheManager.exists('absent'))
    expect(since(before, other)).toMatchObject({ submits: 1, operations: 256 })
    expect(await Promise.all(answers)).toEqual([...range(256).map(() => true), false])
    expect(since(before, other)).toMatchObject({ submits: 2, operations: 257, pending: 0 })
  })

  it('64 KB of text hand the batch over before the tick ends', async () => {
    const before = counters(other)
    const first = holdfast.cacheManager.set('first', 'x'.repeat(60 * 1024))
    expect(since(before, other)).toMatchObject({ submits: 0 })
    const second = holdfast.cacheManager.set('second', 'y'.repeat(5 * 1024))
    expect(since(before, other)).toMatchObject({ submits: 1, operations: 2 })
    expect(await Promise.all([first, second])).toEqual([true, true])
    expect(await holdfast.cacheManager.get('second')).toBe('y'.repeat(5 * 1024))
  })

  it('asking for the raw client hands nothing over, so that its calls travel together too', async () => {
    const before = counters(other)
    const answers = range(10).map((n) => holdfast.redisClient.getClient().call('SET', `raw:${n}`, n))
    expect(await Promise.all(answers)).toEqual(range(10).map(() => 'OK'))
    expect(since(before, other)).toMatchObject({ submits: 1, operations: 10 })
  })

  it('64 KB of bytes hand the batch over before the tick ends', async () => {
    const client = holdfast.redisClient.getClient()
    const call = (bytes: Uint8Array) => client.call('SET', 'bytes', bytes)
    const before = counters(other)
    const first = call(Buffer.alloc(40 * 1024, 1))
    expect(since(before, other)).toMatchObject({ submits: 0 })
    const second = call(Buffer.alloc(40 * 1024, 2))
    expect(since(before, other)).toMatchObject({ submits: 1, operations: 2 })
    expect(await Promise.all([first, second])).toEqual(['OK', 'OK'])
  })
})
