// Faults of the network while the instance is at work: resets, partitions, delays, bytes that arrive
// one by one. Nothing hangs, nothing that was acknowledged is lost, nothing comes back wrong.

import { describe, expect, it } from 'vitest'

import { ask, counters, range, since, turn } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene, unhandledDuring } from './outage'

describe('a connection that is reset', () => {
  it('before the writes arrive loses none of them', async () => {
    await using scene = await Scene.start({ silenceMs: 60_000 })
    await scene.cache.set('before', 0)
    await scene.proxy.set('blackhole', 'toServer')
    const writes = range(200).map((n) => scene.cache.set(`key:${n}`, { n }))
    await turn()
    scene.proxy.resetConnections()
    await scene.proxy.set('pass')
    expect(await Promise.all(writes)).toEqual(range(200).map(() => true))
    await scene.healed()
    expect(await scene.stored(range(200).map((n) => `key:${n}`))).toEqual(range(200).map((n) => ({ n })))
  })

  it('after the writes arrived and before their replies did answers each of them, truly', async () => {
    await using scene = await Scene.start({ silenceMs: 60_000 })
    await scene.cache.set('before', 0)
    await scene.proxy.set('blackhole', 'toClient')
    const writes = range(200).map((n) => scene.cache.set(`key:${n}`, { n }))
    await waitFor('the writes to arrive', async () => (await scene.stored(['key:199']))[0] !== null)
    scene.proxy.resetConnections()
    await scene.proxy.set('pass')
    expect(await Promise.all(writes)).toEqual(range(200).map(() => true))
    await scene.healed()
    expect(await scene.stored(range(200).map((n) => `key:${n}`))).toEqual(range(200).map((n) => ({ n })))
  })

  it('again and again under load leaves nothing pending and nothing unacknowledged in doubt', async () => {
    await using scene = await Scene.start()
    const { cache } = scene
    const expected = new Map<string, unknown>()
    const unhandled = await unhandledDuring(async () => {
      for (const round of range(8)) {
        const calls = range(100).flatMap((n) => {
          const key = `key:${n}`
          const deletes = (n + round) % 5 === 0
          expected.set(key, deletes ? null : { n, round })
          return [deletes ? cache.delete(key) : cache.set(key, { n, round }), cache.get(key)]
        })
        if (round % 2 === 0) await turn()
        scene.proxy.resetConnections()
        await Promise.all(calls)
      }
    })
    expect(unhandled).toEqual([])
    await scene.healed()
    expect(await scene.stored([...expected.keys()])).toEqual([...expected.values()])
    expect(ask<{ pending: number }>(scene.holdfast, 'counters').pending).toBe(0)
  })

  it('tells a raw command that nobody knows, and never sends it twice', async () => {
    await using scene = await Scene.start({ silenceMs: 60_000 })
    const client = scene.holdfast.redisClient.getClient()
    await client.call('SET', 'counter', 0)
    await scene.proxy.set('blackhole', 'toClient')
    const calls = range(20).map(() => client.call('INCR', 'counter'))
    const counted = (): Promise<unknown> => scene.outside((outside) => outside.call('GET', `${scene.keyPrefix}counter`))
    await waitFor('the commands to arrive', async () => (await counted()) === '20')
    scene.proxy.resetConnections()
    await scene.proxy.set('pass')
    for (const answer of await Promise.allSettled(calls)) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { name: 'HoldfastError', applied: 'unknown' } })
    }
    expect(await client.call('GET', 'counter')).toBe('20')
  })
})

describe('a partition', () => {
  it('is answered for from memory, at once from then on, and heals', async () => {
    await using scene = await Scene.start()
    const { cache, holdfast } = scene
    await cache.set('known', 'before')
    await scene.proxy.set('blackhole')
    // The first call finds out; that it is answered at all is what counts here.
    expect(await cache.set('during', 1)).toBe(true)
    expect(holdfast.fallbackManager.getStats().isUsingFallback).toBe(true)

    // At once: in the native call itself, so that nothing is ever pending.
    const before = counters(holdfast)
    for (const n of range(100)) {
      const call = cache.set(`during:${n}`, n)
      expect(since(before, holdfast).pending).toBe(0)
      expect(await call).toBe(true)
    }
    expect(await cache.get('known')).toBe('before')
    expect(await cache.delete('known')).toBe(true)

    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['known', 'during', 'during:0', 'during:99'])).toEqual([null, 1, 0, 99])
    expect(await cache.getEntry('during')).toMatchObject({ value: 1, source: 'redis' })
  })

  it('that ends late delivers old bytes, and they change nothing', async () => {
    await using scene = await Scene.start()
    const { cache } = scene
    await Promise.all([cache.set('written', 'first'), cache.set('deleted', 'first')])
    await scene.proxy.set('blackhole', 'toServer')
    // These lie in the network when the outage is noticed.
    const old = [cache.set('written', 'old bytes'), cache.set('deleted', 'old bytes')]
    expect(await Promise.all(old)).toEqual([true, true])
    await scene.degraded()
    await Promise.all([cache.set('written', 'newest'), cache.delete('deleted')])
    await scene.proxy.set('pass')
    await scene.healed()
    await waitFor('the old connections to be gone', () => scene.proxy.counts.open === 2)
    expect(await scene.stored(['written', 'deleted'])).toEqual(['newest', null])
    expect([await cache.get('written'), await cache.get('deleted')]).toEqual(['newest', null])
  })

  it('in one direction only is found out as well', async () => {
    for (const direction of ['toServer', 'toClient'] as const) {
      await using scene = await Scene.start()
      await scene.cache.set('before', 1)
      await scene.proxy.set('blackhole', direction)
      expect(await scene.cache.set('during', direction)).toBe(true)
      expect(scene.holdfast.fallbackManager.getStats().isUsingFallback).toBe(true)
      await scene.proxy.set('pass')
      await scene.healed()
      expect(await scene.stored(['before', 'during'])).toEqual([1, direction])
    }
  })

  it('before the first contact leaves the first call to memory', async () => {
    await using scene = await Scene.start()
    await scene.proxy.set('blackhole')
    expect(await scene.cache.set('first', 1)).toBe(true)
    expect(await scene.cache.getEntry('first')).toMatchObject({ value: 1, source: 'memory' })
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['first'])).toEqual([1])
  })
})

describe('an instance that is closed in the middle of a partition', () => {
  // The dial under way has ten minutes: whoever waited for it would wait past the end of this test.
  it.each([
    ['with a journal', true],
    ['with nothing owed', false],
  ])('%s does not wait for the network', async (_, owes) => {
    await using scene = await Scene.start({ connectTimeoutMs: 600_000 })
    await scene.cache.set('before', 1)
    await scene.proxy.set('blackhole')
    await scene.degraded()
    if (owes) expect(await scene.cache.set('during', 1)).toBe(true)
    await scene.holdfast.close()
    expect(scene.proxy.mode).toBe('blackhole')
    await expect(scene.cache.get('before')).rejects.toMatchObject({ code: 'E_CLOSED', applied: 'no' })
  })

  it('still replays what it owes when the network is back', async () => {
    await using scene = await Scene.start()
    await scene.cache.set('before', 1)
    await scene.proxy.set('refuse')
    await scene.degraded()
    await Promise.all([scene.cache.set('during', 1), scene.cache.delete('before')])
    await scene.holdfast.close()
    await scene.proxy.set('pass')
    await waitFor('the replay', async () => (await scene.stored(['during']))[0] === 1)
    expect(await scene.stored(['before', 'during'])).toEqual([null, 1])
  })
})

describe('a slow network', () => {
  it('with a delay in every piece gives right answers and degrades nobody', async () => {
    await using scene = await Scene.start()
    const { cache, events, holdfast } = scene
    await cache.set('before', 1)
    await scene.proxy.set({ delay: 60 })
    const calls = range(100).map(async (n) => {
      await cache.set(`key:${n}`, { n })
      return await cache.getEntry(`key:${n}`)
    })
    for (const [n, entry] of (await Promise.all(calls)).entries()) {
      expect(entry).toMatchObject({ value: { n }, source: 'redis' })
    }
    expect(await holdfast.redisClient.pipeline([{ command: 'PING' }, { command: 'ECHO', args: ['ü'] }])).toEqual([
      'PONG',
      'ü',
    ])
    expect(events).toEqual(['backend-connected'])
  })

  it.each([1, 7])('that hands bytes on in pieces of %i gives right values', async (slice) => {
    await using scene = await Scene.start()
    const { cache, events, holdfast } = scene
    // From the first byte: the dial comes in pieces too.
    await scene.proxy.set({ slice })
    const values = [null, true, 0, -1.5, '', 'plain', 'ä🜁 日本', { deep: [{ list: [1, null, 'x'] }] }, 'z'.repeat(900)]
    expect(await Promise.all(values.map((value, n) => cache.set(`key:${n}`, value)))).toEqual(values.map(() => true))
    expect(await Promise.all(values.map((_, n) => cache.get(`key:${n}`)))).toEqual(values)
    const client = holdfast.redisClient.getClient()
    const bytes = Uint8Array.from(range(256))
    await client.call('SET', 'bytes', bytes)
    expect([...(await client.call<Uint8Array>('GET', 'bytes'))]).toEqual([...bytes])
    await client.call('RPUSH', 'list', ...range(50))
    expect(await client.call('LRANGE', 'list', 0, -1)).toEqual(range(50).map(String))
    expect(await client.call('NOSUCHCOMMAND').catch((error: unknown) => error)).toMatchObject({ name: 'HoldfastError' })
    expect(await cache.delete('key:5')).toBe(true)
    expect(await cache.get('key:5')).toBeNull()
    expect(events).toEqual(['backend-connected'])
    expect(await scene.stored(['key:6', 'key:5'])).toEqual(['ä🜁 日本', null])
  })
})

describe('an idle connection that the server closes', () => {
  it('degrades nobody, however often it happens', async () => {
    await using scene = await Scene.start()
    const { cache, events } = scene
    await cache.set('there', 1)
    using outside = await scene.server.client()
    for (const round of range(5)) {
      expect(await outside.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')).toBeGreaterThan(0)
      const entry = await cache.getEntry('there', { skipL1: true })
      expect(entry, `round ${round}`).toMatchObject({ value: 1, source: 'redis' })
      expect(await cache.set(`round:${round}`, round)).toBe(true)
    }
    // Killed, and nothing asked of it: it comes back by itself.
    await outside.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await waitFor('new connections, for commands and for changes', async () => {
      return (await outside.otherConnections()) === 1 && (await outside.links()) === 1
    })
    expect(await scene.stored(range(5).map((n) => `round:${n}`))).toEqual(range(5))
    expect(events.filter((name) => name !== 'backend-connected')).toEqual([])
  })

  it('under load answers every call from Redis', async () => {
    await using scene = await Scene.start()
    const { cache, events } = scene
    await cache.set('there', 1)
    using outside = await scene.server.client()
    for (const _ of range(5)) {
      const calls = range(200).map((n) => (n % 2 === 0 ? cache.set(`key:${n}`, n) : cache.get('there')))
      const killed = outside.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      expect(await Promise.all(calls)).toEqual(range(200).map((n) => (n % 2 === 0 ? true : 1)))
      await killed
    }
    expect(await scene.stored(range(100).map((n) => `key:${2 * n}`))).toEqual(range(100).map((n) => 2 * n))
    expect(events.filter((name) => name !== 'backend-connected')).toEqual([])
  })
})
