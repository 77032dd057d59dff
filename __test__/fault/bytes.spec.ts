// Replies that break off in the middle, and replies that are none: answers stay right, or the call fails
// cleanly, the connection is dropped and the process lives.

import { describe, expect, it } from 'vitest'

import { ask, range } from '../boundary/inside'
import type { InstanceOptions } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene, unhandledDuring } from './outage'

const value = (n: number): { n: number; text: string } => ({ n, text: `value ${n} `.repeat(40) })
const keys = range(20).map((n) => `key:${n}`)

/** An instance that has written and read them all: read values are kept for an outage. */
async function start(options?: InstanceOptions): Promise<Scene> {
  const scene = await Scene.start(options)
  await Promise.all(keys.map((key, n) => scene.cache.set(key, value(n))))
  expect(await Promise.all(keys.map((key) => scene.cache.get(key)))).toEqual(keys.map((_, n) => value(n)))
  return scene
}

describe('a reply that breaks off', () => {
  // From within the first line of a dial to far into the answers behind it.
  it.each([1, 9, 100, 700, 3_000, 9_000, 12_000, 20_000])('after %i bytes of each connection leaves every answer right', async (bytes) => {
    await using scene = await start()
    const { cache, holdfast, proxy } = scene
    const client = holdfast.redisClient.getClient()
    await client.call('SET', 'counter', 0)

    await proxy.set({ cutAfter: bytes })
    const unhandled = await unhandledDuring(async () => {
      for (const round of range(3)) {
        const raw = Promise.allSettled(range(5).map(() => client.call('INCR', 'counter')))
        const answers = await Promise.all(keys.map((key) => cache.get(key)))
        expect(answers, `round ${round}`).toEqual(keys.map((_, n) => value(n)))
        expect(await Promise.all(keys.map((key, n) => cache.set(`${key}:${round}`, n)))).toEqual(keys.map(() => true))
        await cache.delete(`key:0:${round}`)
        for (const answer of await raw) {
          if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ name: 'HoldfastError', operation: 'client.call' })
        }
      }
    })
    expect(unhandled).toEqual([])

    await proxy.set('pass')
    await scene.healed()
    for (const round of range(3)) {
      expect(await scene.stored(keys.map((key) => `${key}:${round}`))).toEqual(keys.map((_, n) => (n === 0 ? null : n)))
    }
    expect(ask<{ pending: number }>(holdfast, 'counters').pending).toBe(0)
  })

  it('never makes a raw command that was sent run twice, and says of which nobody knows', async () => {
    await using scene = await Scene.start()
    const client = scene.holdfast.redisClient.getClient()
    await client.call('SET', 'counter', 0)
    await scene.proxy.set({ cutAfter: ':1\r\n:2\r\n:3'.length })
    const answers = await Promise.allSettled(range(10).map(() => client.call<number>('INCR', 'counter')))
    await scene.proxy.set('pass')
    const known = answers.filter((answer) => answer.status === 'fulfilled').map(({ value }) => value)
    expect(known).toEqual(range(known.length).map((n) => n + 1))
    for (const answer of answers.slice(known.length)) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { applied: 'unknown', retryable: false } })
    }
    await waitFor('Redis to answer', () => scene.holdfast.isRedisAvailable())
    expect(await client.call('GET', 'counter')).toBe('10')
  })
})

const garbage: [string, string][] = [
  ['text that is no RESP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['bytes of no protocol at all', '\x00\xff\x16\x03\x01\r\n\x80\r\n'],
  ['an array of arrays, two hundred thousand deep', `${'*1\r\n'.repeat(200_000)}:1\r\n`],
  ['a text of 2^63 - 1 bytes', '$9223372036854775807\r\n'],
  ['a text of 100 GB', '$99999999999\r\nabc'],
  ['an array of 2^31 - 1 elements', '*2147483647\r\n'],
  ['a map of 2^62 entries', '%4611686018427387904\r\n'],
  ['a length below zero', '$-5\r\n'],
  ['a length that is no number', '$five\r\nhello\r\n'],
  ['a text without its end', '$5\r\nhelloXX'],
]

describe.each(garbage)('%s in place of a reply', (_, bytes) => {
  it('costs that connection, and nobody a right answer', async () => {
    await using scene = await start()
    const { cache, events, proxy } = scene
    await proxy.set({ garbage: Buffer.from(bytes, 'latin1'), times: 1 })
    const unhandled = await unhandledDuring(async () => {
      const calls = [cache.set('written', 1), cache.get('none'), cache.delete('key:0'), ...keys.slice(1).map((key) => cache.get(key))]
      const answers = await Promise.all(calls)
      // Asked a second time, a delete may find nothing any more.
      expect(answers.splice(2, 1)).toEqual([expect.any(Boolean)])
      expect(answers).toEqual([true, null, ...keys.slice(1).map((__, n) => value(n + 1))])
    })
    expect(unhandled).toEqual([])
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(keys.map((__, n) => (n === 0 ? null : value(n))))
    expect(await scene.stored(['written', 'key:0'])).toEqual([1, null])
    expect(events).toEqual(['backend-connected'])
  })

  it('as all that is ever said leaves memory to answer, and heals', async () => {
    await using scene = await Scene.start({ connectTimeoutMs: 300 })
    const { cache, holdfast, proxy } = scene
    await proxy.set({ garbage: Buffer.from(bytes, 'latin1') })
    expect(await cache.set('first', 1)).toBe(true)
    expect(await cache.getEntry('first')).toMatchObject({ value: 1, source: 'memory' })
    await expect(holdfast.redisClient.getClient().call('PING')).rejects.toMatchObject({ name: 'HoldfastError', applied: 'no' })
    expect(holdfast.redisClient.getConnectionState().lastError).toMatchObject({ name: 'HoldfastError' })
    await waitFor('another dial', () => proxy.counts.connections > 1)
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['first'])).toEqual([1])
  })
})

describe('a length that is never reached', () => {
  it('ends with the deadline, although bytes go on arriving', async () => {
    await using scene = await Scene.start({ commandTimeoutMs: 300, silenceMs: 60_000 })
    const { cache, proxy } = scene
    await cache.set('key', 'value')
    await proxy.set({ garbage: Buffer.from('$99999999999\r\n'), times: 1 })
    let answered = false
    const first = cache.get('key').finally(() => (answered = true))
    // Others keep the connection from ever being silent.
    await waitFor('the answer', async () => {
      void cache.get('key')
      await new Promise((resolve) => setImmediate(resolve))
      return answered
    })
    expect(await first).toBe('value')
    expect(await cache.set('next', 1)).toBe(true)
    await scene.healed()
    expect(await scene.stored(['next'])).toEqual([1])
  })
})
