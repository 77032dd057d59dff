// When Redis is back, what was let through meanwhile is added to what it knows: once, and at its own time.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { allowedOf, counting, fresh, HOUR_MS, left, limiterOf } from './limiters'

type End = (scene: Scene) => Promise<unknown> | void

const outages: [string, begin: End, end: End, persistent: boolean][] = [
  ['was killed and came back with its data', ({ server }) => server.kill(), ({ server }) => server.start(), true],
  ['was killed and came back empty', ({ server }) => server.kill(), ({ server }) => server.start(), false],
  ['was frozen', ({ server }) => server.freeze(), ({ server }) => server.thaw(), false],
  ['could not be reached', ({ proxy }) => proxy.set('refuse'), ({ proxy }) => proxy.set('pass'), false],
  ['was silent', ({ proxy }) => proxy.set('blackhole'), ({ proxy }) => proxy.set('pass'), false],
]

describe.concurrent.each(outages)('after a server that %s', (name, begin, end, persistent) => {
  const isLost = name.endsWith('empty')

  it.each(counting)('what a %s let through counts once', async (algorithm) => {
    await using scene = await Scene.start({ instances: 1 }, { persistent })
    const limiter = limiterOf(scene.holdfast, 50, { algorithm })
    expect(await allowedOf(limiter, 'known', 6)).toBe(6)
    await begin(scene)
    await scene.degraded()
    expect(await allowedOf(limiter, 'known', 4)).toBe(4)
    expect(await allowedOf(limiter, 'new', 5)).toBe(5)
    expect(await limiter.check('refused', { cost: 51 })).toMatchObject({ success: false })
    await end(scene)
    await scene.healed()
    // What was carried out is no conflict.
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, replayed: 2 })
    expect(await limiter.status('known')).toMatchObject({ source: 'redis', remaining: isLost ? 46 : 40 })
    expect([await left(limiter, 'new'), await left(limiter, 'refused')]).toEqual([[45], [50]])
    // And for everybody.
    const other = scene.open(asAnother).createRateLimiter({ name: limiter.limiterName, maxRequests: 50, windowMs: HOUR_MS, algorithm })
    expect([await left(other, 'known'), await left(other, 'new')]).toEqual([[isLost ? 46 : 40], [45]])
  })

  it('what was on its way when it began counts once', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent })
    const limiter = limiterOf(scene.holdfast, 1_000)
    await limiter.check('warm')
    const keys = range(40).map((n) => `key ${n}`)
    const before = keys.map((key) => limiter.check(key, { cost: 3 }))
    const begun = begin(scene)
    const after = keys.map((key) => limiter.check(key, { cost: 5 }))
    await begun
    const results = await Promise.all([...before, ...after])
    expect(results.every(({ success }) => success)).toBe(true)
    await scene.degraded()
    await end(scene)
    await scene.healed()
    const states = await Promise.all(keys.map((key) => limiter.status(key)))
    // What an emptied server had answered before it was killed is its own loss.
    for (const [n, { remaining, source }] of states.entries()) {
      expect(source).toBe('redis')
      const known = isLost && results[n]?.source === 'redis' ? [992, 995] : [992]
      expect(known).toContain(remaining)
    }
  })

  it('what was refunded, reset and refused meanwhile is so afterwards', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent })
    const limiter = limiterOf(scene.holdfast, 20)
    for (const key of ['refunded', 'reset', 'refused']) await limiter.check(key, { cost: 10 })
    await begin(scene)
    await scene.degraded()
    await limiter.check('refunded', { cost: 6 })
    await limiter.refund('refunded', 4)
    await limiter.check('reset', { cost: 6 })
    await limiter.reset('reset')
    await limiter.check('reset', { cost: 2 })
    expect(await limiter.check('refused', { cost: 11 })).toMatchObject({ success: false })
    await end(scene)
    await scene.healed()
    expect(await Promise.all(['refunded', 'reset', 'refused'].map((key) => left(limiter, key)))).toEqual(isLost ? [[18], [18], [20]] : [[8], [18], [10]])
  })
})

describe.concurrent('after an outage', () => {
  it('what does not lie in its window any more is not added, what does is', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent: true })
    const limiter = scene.holdfast.createRateLimiter({
      name: fresh('windows'),
      limits: [
        { name: 'short', limit: 5, window: 0.3 },
        { name: 'fixed', limit: 5, window: 0.3, algorithm: 'fixed-window' },
        { name: 'bucket', limit: 5, window: 0.3, algorithm: 'token-bucket' },
        { name: 'long', limit: 5, window: '1h' },
      ],
    })
    await limiter.check('key')
    await scene.server.kill()
    await scene.degraded()
    await limiter.check('key', { cost: 3 })
    await waitFor('the short windows to end', async () => (await limiter.status('key')).limits[0]?.remaining === 5)
    await scene.server.start()
    await scene.healed()
    expect(await left(limiter, 'key')).toEqual([5, 5, 5, 1])
  })

  it('what two processes let through is added up', async () => {
    await using scene = await Scene.start({ instances: 2 }, { persistent: true })
    const options = { name: fresh('two'), maxRequests: 20, windowMs: HOUR_MS }
    const [one, other] = [scene.holdfast, scene.open({ ...asAnother, instances: 2 })]
    const limiters = [one, other].map(({ createRateLimiter }) => createRateLimiter(options))
    await Promise.all(limiters.map((limiter) => limiter.status('key')))
    await scene.server.kill()
    await scene.degraded()
    expect(await Promise.all(limiters.map((limiter) => allowedOf(limiter, 'key', 7)))).toEqual([7, 7])
    await scene.server.start()
    await scene.healed()
    await waitFor('the other one to be back', () => other.isRedisAvailable() && other.fallbackManager.getStats().journalDepth === 0)
    for (const limiter of limiters) expect(await left(limiter, 'key')).toEqual([6])
  })

  it('the first new call of a key already sees what was let through', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent: true })
    const limiter = limiterOf(scene.holdfast, 10)
    const keys = range(500).map((n) => `key ${n}`)
    await limiter.check('warm')
    await scene.server.kill()
    await scene.degraded()
    for (const key of keys) await limiter.check(key, { cost: 10 })
    await scene.server.start()
    // Asked without a pause, from here on to the end of the replay: never is one let through.
    const sources = new Set<string>()
    await waitFor('Redis to decide', async () => {
      const results = await Promise.all(keys.map((key) => limiter.check(key)))
      expect(results.filter(({ success }) => success)).toEqual([])
      for (const { source } of results) sources.add(source)
      return scene.holdfast.isRedisAvailable() && scene.holdfast.fallbackManager.getStats().journalDepth === 0
    })
    expect(await Promise.all(keys.map((key) => left(limiter, key)))).toEqual(keys.map(() => [0]))
    expect(sources).toContain('local')
  })

  it('a server that is killed in the middle of the replay has counted everything once in the end', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent: true })
    const { holdfast, server } = scene
    const limiter = limiterOf(holdfast, 100)
    const keys = range(3_000).map((n) => `key ${n}`)
    await Promise.all(keys.map((key) => limiter.check(key)))
    await server.kill()
    await scene.degraded()
    await Promise.all(keys.map((key) => limiter.check(key, { cost: 3 })))
    for (const _ of range(2)) {
      const begun = new Promise<void>((resolve) => holdfast.on('resync-start', () => resolve()))
      await server.start()
      await begun
      await server.kill()
    }
    await server.start()
    await scene.healed()
    const states = await Promise.all(keys.map((key) => limiter.status(key)))
    expect(states.filter(({ remaining }) => remaining !== 96)).toEqual([])
    expect(holdfast.fallbackManager.getStats().dropped).toBe(0)
  })
})
