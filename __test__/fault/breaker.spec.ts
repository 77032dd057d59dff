// A server that is dialled with success, and whose connections break again and again under the calls: from
// the breaker's threshold on it counts as away, and not before.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import type { InstanceOptions } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

/** A call whose connection breaks before it reaches the server; the next dial is let through. */
async function broken({ cache, proxy }: Scene, n: number): Promise<boolean> {
  await proxy.set('blackhole', 'toServer')
  const kept = cache.set(`key:${n}`, n)
  await waitFor('the call to leave', () => proxy.waiting > 0)
  proxy.abandon()
  await proxy.set('pass')
  return await kept
}

async function start(options: InstanceOptions): Promise<{ scene: Scene; reasons: (string | null)[] }> {
  // The connection that tells of changes has no part in this, and what it sends would be taken for a call.
  const scene = await Scene.start({ silenceMs: 60_000, nearCache: 'off', ...options })
  const reasons: (string | null)[] = []
  scene.holdfast.on('backend-degraded', ({ reason }) => reasons.push(reason))
  await scene.cache.set('before', 1)
  return { scene, reasons }
}

describe('the breaker', () => {
  it('does nothing below its number of failures, and lets memory answer from there on', async () => {
    const { scene, reasons } = await start({ breaker: { failures: 5, percent: 1, windowMs: 600_000 } })
    await using _ = scene
    const { cache, events, holdfast } = scene
    for (const n of range(4)) {
      expect(await broken(scene, n)).toBe(true)
      expect(await cache.getEntry(`key:${n}`)).toMatchObject({ value: n, source: 'redis' })
    }
    expect(events).toEqual(['backend-connected'])
    expect(await broken(scene, 4)).toBe(true)
    await waitFor('the breaker', () => holdfast.fallbackManager.getStats().isUsingFallback)
    expect(reasons).toEqual([expect.stringMatching(/calls failed/)])
    expect(await cache.set('during', 1)).toBe(true)
    await scene.healed()
    expect(await scene.stored([...range(5).map((n) => `key:${n}`), 'during'])).toEqual([...range(5), 1])
    await waitFor('the news', () => events.includes('backend-recovered'))
    expect(events).toEqual(['backend-connected', 'backend-disconnected', 'backend-degraded', 'backend-connected', 'backend-recovered'])
  })

  it('does nothing while most calls are answered', async () => {
    const { scene, reasons } = await start({ breaker: { failures: 5, percent: 50, windowMs: 600_000 } })
    await using _ = scene
    const { cache, events } = scene
    await Promise.all(range(1_000).map((n) => cache.set(`well:${n}`, n)))
    for (const n of range(20)) expect(await broken(scene, n)).toBe(true)
    expect(await cache.getEntry('before')).toMatchObject({ value: 1, source: 'redis' })
    expect(await scene.stored(range(20).map((n) => `key:${n}`))).toEqual(range(20))
    expect(reasons).toEqual([])
    expect(events).toEqual(['backend-connected'])
  })

  it('that is switched off does nothing at all', async () => {
    const { scene, reasons } = await start({ breaker: false })
    await using _ = scene
    for (const n of range(20)) expect(await broken(scene, n)).toBe(true)
    expect(await scene.stored(range(20).map((n) => `key:${n}`))).toEqual(range(20))
    expect(reasons).toEqual([])
  })

  it('counts no refusal of a single command', async () => {
    const { scene, reasons } = await start({ breaker: { failures: 1, percent: 1, windowMs: 600_000 } })
    await using _ = scene
    const client = scene.holdfast.redisClient.getClient()
    await client.call('SET', 'text', 'not a number')
    const refused = await Promise.allSettled(range(50).map(() => client.call('INCR', 'text')))
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set(['rejected']))
    expect(await scene.cache.getEntry('before')).toMatchObject({ value: 1, source: 'redis' })
    expect(reasons).toEqual([])
  })
})
