// Alone, a process goes on from what it knows, and lets through its share of what is left.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { allowedOf, counting, expectRefusal, fresh, HOUR_MS, left, limiterOf } from './limiters'

describe.concurrent.each(counting)('alone, a %s', (algorithm) => {
  it.each([
    [1, 10, 10],
    [2, 10, 5],
    [4, 10, 2],
    [3, 100, 33],
    [10, 10, 1],
    [50, 10, 1],
    [7, 1, 1],
  ])('of which there are %i instances lets of a limit of %i through: %i', async (instances, limit, share) => {
    await using scene = await Scene.start({ instances })
    const limiter = limiterOf(scene.holdfast, limit, { algorithm })
    await limiter.check('warm')
    await scene.server.kill()
    await scene.degraded()
    expect(await limiter.status('key')).toMatchObject({ limit: share, remaining: share, source: 'local' })
    expect(await allowedOf(limiter, 'key', limit + 5)).toBe(share)
    expect(await limiter.check('key')).toMatchObject({ success: false, limit: share, remaining: 0, source: 'local' })
  })

  it('goes on from the last count that it knows', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const limiter = limiterOf(scene.holdfast, 10, { algorithm })
    expect(await allowedOf(limiter, 'key', 6)).toBe(6)
    expect(await allowedOf(limiter, 'used up', 12)).toBe(10)
    await scene.server.kill()
    await scene.degraded()
    expect(await left(limiter, 'key')).toEqual([4])
    expect(await allowedOf(limiter, 'key', 9)).toBe(4)
    const refused = await limiter.check('used up')
    expect(refused.source).toBe('local')
    expectRefusal(refused, HOUR_MS)
    expect(await allowedOf(limiter, 'new', 20)).toBe(10)
  })

  it('shares what is left of it, not what was there', async () => {
    await using scene = await Scene.start({ instances: 2 })
    const options = { name: fresh('shared'), maxRequests: 20, windowMs: HOUR_MS, algorithm }
    const limiters = [scene.holdfast, scene.open({ ...asAnother, instances: 2 })].map(({ createRateLimiter }) => createRateLimiter(options))
    await limiters[0]!.check('key', { cost: 8 })
    // The other one knows it as well.
    expect(await left(limiters[1]!, 'key')).toEqual([12])
    await scene.server.kill()
    await scene.degraded()
    const allowed = [await allowedOf(limiters[0]!, 'key', 20), await allowedOf(limiters[1]!, 'key', 20)]
    expect(allowed).toEqual([6, 6])
  })

  it('is free again when its window is over', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const windowMs = 300
    const limiter = limiterOf(scene.holdfast, 3, { algorithm, windowMs })
    await limiter.check('warm')
    await scene.server.kill()
    await scene.degraded()
    const began = performance.now()
    expect(await limiter.check('key', { cost: 3 })).toMatchObject({ success: true, source: 'local' })
    await waitFor('it to be free', async () => (await limiter.check('key', { cost: 3 })).success)
    expect(performance.now() - began).toBeGreaterThan(windowMs - 20)
  })

  it('takes back what is refunded and reset', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const limiter = limiterOf(scene.holdfast, 5, { algorithm })
    await limiter.check('key', { cost: 5 })
    await scene.server.kill()
    await scene.degraded()
    await limiter.refund('key', 2)
    expect(await allowedOf(limiter, 'key', 5)).toBe(2)
    await limiter.reset('key')
    expect(await allowedOf(limiter, 'key', 9)).toBe(5)
  })
})

describe.concurrent('alone', () => {
  it('each of several limits is shared by itself, however small another is', async () => {
    await using scene = await Scene.start({ instances: 4 })
    const limiter = scene.holdfast.createRateLimiter({
      name: fresh('sizes'),
      limits: [
        { name: 'small', limit: 2, window: '1h' },
        { name: 'large', limit: 100, window: '1h' },
        { name: 'slots', limit: 1, algorithm: 'concurrency' },
      ],
    })
    await limiter.status('warm')
    await scene.server.kill()
    await scene.degraded()
    expect((await limiter.status('key')).limits.map(({ limit }) => limit)).toEqual([1, 25, 1])
    expect(await limiter.reserve('key', { estimate: { small: 0, large: 26, slots: 0 } })).toMatchObject({ success: false })
    expect(await limiter.reserve('key', { estimate: { small: 0, large: 25, slots: 0 } })).toMatchObject({ success: true })
  })

  it('a cost above the share has to wait for the others, and one above the limit is too large', async () => {
    await using scene = await Scene.start({ instances: 4 })
    const limiter = limiterOf(scene.holdfast, 100)
    await limiter.check('warm')
    await scene.server.kill()
    await scene.degraded()
    const refused = await limiter.check('key', { cost: 26 })
    expect(refused).toMatchObject({ limit: 25, remaining: 25 })
    expectRefusal(refused, HOUR_MS)
    expect(await limiter.check('key', { cost: 101 })).toMatchObject({ success: false, reason: 'too-large' })
    expect(await limiter.check('key', { cost: 25 })).toMatchObject({ success: true, remaining: 0 })
    await scene.server.start()
    await scene.healed()
    expect(await limiter.check('key', { cost: 26 })).toMatchObject({ success: true, limit: 100, remaining: 49 })
  })

  it('slots are shared: each process has its own', async () => {
    await using scene = await Scene.start({ instances: 3 })
    const limiter = limiterOf(scene.holdfast, 6, { algorithm: 'concurrency' })
    await limiter.status('warm')
    await scene.server.kill()
    await scene.degraded()
    const held = []
    for (const _ of range(6)) held.push(await limiter.reserve('key'))
    expect(held.map(({ success }) => success)).toEqual([true, true, false, false, false, false])
    await held[0]?.release()
    expect(await limiter.reserve('key')).toMatchObject({ success: true })
  })
})

describe('memory for good', () => {
  const { open } = onStore('memory')

  it('has a share as well where there are instances', async () => {
    const limiter = limiterOf(open({ instances: 4 }), 10)
    expect(await allowedOf(limiter, 'key', 20)).toBe(2)
    expect(await limiter.check('key')).toMatchObject({ success: false, limit: 2 })
  })
})
