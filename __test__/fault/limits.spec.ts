// Bounds: a value over the limit costs its own call alone, and however long a partition lasts and whatever
// is written meanwhile, memory stays within what it was given.

import { describe, expect, it } from 'vitest'

import { counters, range, since, turn } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene, unhandledDuring } from './outage'

const MEBIBYTE = 1_048_576

describe('a value over maxValueBytes', () => {
  it('of 65 MB is refused with the reason before it crosses far, and others do not notice', async () => {
    await using scene = await Scene.start()
    const { cache, events, proxy } = scene
    await cache.set('small', 'here')
    const sent = proxy.counts.toServer
    const large = 'l'.repeat(65 * MEBIBYTE)
    const order: string[] = []
    const refused = cache.set('large', large).catch((error: unknown) => (order.push('refused'), error))
    const small = range(50).map((n) => (n % 2 === 0 ? cache.set(`key:${n}`, n) : cache.getEntry('small')))
    expect(await refused).toMatchObject({ code: 'E_INVALID', path: 'value', applied: 'no', operation: 'cacheManager.set' })
    for (const [n, answer] of (await Promise.all(small)).entries()) {
      if (n % 2 === 0) expect(answer).toBe(true)
      else expect(answer).toMatchObject({ value: 'here', source: 'redis' })
    }
    expect(await scene.stored(['large', 'key:0'])).toEqual([null, 0])
    expect(await cache.get('large')).toBeNull()
    // Nothing of it went out.
    expect(proxy.counts.toServer - sent).toBeLessThan(MEBIBYTE)
    expect(events).toEqual(['backend-connected'])
  })

  it('is refused in an outage as well, and leaves no intent', async () => {
    await using scene = await Scene.start({ maxValueBytes: 1_000 })
    const { cache, holdfast, proxy } = scene
    await cache.set('key', 'before')
    await proxy.set('refuse')
    await scene.degraded()
    await expect(cache.set('key', 'l'.repeat(1_001))).rejects.toMatchObject({ code: 'E_INVALID', path: 'value' })
    expect(holdfast.fallbackManager.getStats().journalDepth).toBe(0)
    expect(await cache.get('key')).toBe('before')
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['key'])).toEqual(['before'])
  })

  it('that somebody else stored is refused when it is read, and harms no other call', async () => {
    await using scene = await Scene.start({ maxValueBytes: 100_000 })
    const { cache, events } = scene
    const other = scene.open({ maxValueBytes: 10_000_000 })
    await cache.set('small', 'here')
    // Compressed it is far below the limit; unfolded it is not.
    expect(await other.cacheManager.set('folded', 'l'.repeat(5_000_000))).toBe(true)
    const answers = await Promise.allSettled([cache.get('small'), cache.get('folded'), cache.get('small')])
    expect(answers).toMatchObject([
      { status: 'fulfilled', value: 'here' },
      { status: 'rejected', reason: { name: 'HoldfastError', code: 'E_DATA', applied: 'no' } },
      { status: 'fulfilled', value: 'here' },
    ])
    expect(events).toEqual(['backend-connected'])
  })
})

describe('a partition that lasts', () => {
  it('lets memory grow to its bound and no further, whatever is asked', async () => {
    await using scene = await Scene.start({ fallback: { maxMemoryMb: 2 } })
    const { cache, holdfast, proxy } = scene
    await cache.set('before', 1)
    await proxy.set('blackhole')
    await scene.degraded()
    const held = proxy.waiting
    const text = 't'.repeat(900)
    let most = 0
    const counted = counters(holdfast)
    const unhandled = await unhandledDuring(async () => {
      for (const round of range(20)) {
        const kept = await Promise.all(range(500).map((n) => cache.set(`key:${round}:${n}`, text)))
        expect(kept.every((answer) => typeof answer === 'boolean')).toBe(true)
        await Promise.all(range(500).map((n) => cache.get(`key:${round}:${n}`)))
        await Promise.allSettled(range(50).map(() => holdfast.redisClient.getClient().call('INCR', 'counter')))
        most = Math.max(most, holdfast.fallbackManager.getStats().memoryUsage)
        await turn()
      }
    })
    expect(unhandled).toEqual([])
    // Nine of text alone were written.
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(2)
    expect(since(counted, holdfast).pending).toBe(0)
    // Nothing of it goes to the network: what waits there is a dial or two.
    expect(proxy.waiting - held).toBeLessThan(10_000)

    // The newest is there. What lost its room is counted, and never served wrong.
    expect(await cache.get('key:19:499')).toBe(text)
    await proxy.set('pass')
    await scene.healed()
    await waitFor('the last one', async () => (await scene.stored(['key:19:499']))[0] === text)
    const names = range(20).flatMap((round) => range(500).map((n) => `key:${round}:${n}`))
    const there = (await scene.stored(names)).filter((value) => value !== null)
    expect(there.every((value) => value === text)).toBe(true)
    expect(there.length + holdfast.fallbackManager.getStats().dropped).toBeGreaterThanOrEqual(names.length)
  })
})
