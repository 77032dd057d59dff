// While Redis does not answer, each limiter does what it was told: decides here, lets through, or says that nobody can tell.
import { describe, expect, it, vi } from 'vitest'
import { range } from '../boundary/inside'
import { Scene, unhandledDuring } from '../fault/outage'
import { allowedOf, expectRefusal, fresh, from, HOUR_MS, left, limiterOf, newAddress, type LimiterOptions } from './limiters'

const outages: [string, (scene: Scene) => Promise<void> | void][] = [
  ['was killed', (scene) => scene.server.kill()],
  ['is frozen', (scene) => scene.server.freeze()],
]

describe.concurrent.each(outages)('while the server %s', (_, begin) => {
  it('local decides here, says so, and refuses what is over its share', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const limiter = limiterOf(scene.holdfast, 5)
    await limiter.check('known')
    await begin(scene)
    // The first calls find out, and are answered like the others.
    const results = await Promise.all(range(8).map(() => limiter.check('new')))
    expect(results.map(({ source }) => source)).toEqual(range(8).map(() => 'local'))
    expect(results.filter(({ success }) => success)).toHaveLength(5)
    const refused = await limiter.check('new')
    expectRefusal(refused, HOUR_MS)
    expect(refused).toMatchObject({ source: 'local', limit: 5, remaining: 0 })
    const response = await scene.holdfast.rateLimiters.strict(from(newAddress()))
    expect([response.status, response.headers.get('X-RateLimit-Backend')]).toEqual([200, 'memory'])
    expect(scene.holdfast.getRateLimitBackend()).toBe('memory')
    expect(await scene.holdfast.getRateLimitStats('new', limiter)).toMatchObject({ count: 5, backend: 'memory' })
  })

  it('open lets everything through, and counts it', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const limiter = limiterOf(scene.holdfast, 3, { onUnavailable: 'open' })
    expect(await allowedOf(limiter, 'key', 5)).toBe(3)
    await begin(scene)
    await scene.degraded()
    for (const _ of range(10)) expect(await limiter.check('key')).toMatchObject({ success: true, reason: null, source: 'local' })
    const address = newAddress()
    for (const _ of range(5)) expect((await limiter(from(address))).status).toBe(200)
  })

  it('closed says that nobody can tell: 503, never 429, whoever asks', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const limiter = limiterOf(scene.holdfast, 2, { onUnavailable: 'closed', message: 'Soon.' })
    const [usedUp, roomy, unknown] = [newAddress(), newAddress(), newAddress()]
    expect(await allowedOf(limiter, usedUp, 4)).toBe(2)
    expect(await limiter.check(roomy)).toMatchObject({ success: true, source: 'redis' })
    await begin(scene)
    await scene.degraded()
    const handler = vi.fn(() => new Response())
    for (const address of [usedUp, roomy, unknown]) {
      const result = await limiter.check(address)
      expect(result).toMatchObject({ success: false, reason: 'unavailable', source: 'local' })
      expect(result).not.toHaveProperty('retryAfter')
      for (const response of [await limiter(from(address)), await limiter.wrap(handler)(from(address)), limiter.respond(result)]) {
        expect([response.status, response.headers.get('Retry-After'), await response.json()]).toEqual([503, null, { error: 'Service Unavailable', message: 'Soon.' }])
      }
      const problem = await limiter(from(address, { accept: 'application/problem+json' }))
      expect([problem.status, problem.headers.get('content-type')]).toEqual([503, 'application/problem+json'])
      expect(await problem.json()).toEqual({ type: expect.stringMatching(/#temporary-reduced-capacity$/) as string, title: 'Service Unavailable', status: 503, detail: 'Soon.' })
      const reservation = await limiter.reserve(address)
      expect(reservation).toMatchObject({ success: false, reason: 'unavailable', id: null })
      expect(await limiter.check(address, { cost: 3 })).toMatchObject({ reason: 'unavailable' })
    }
    expect(handler).not.toHaveBeenCalled()
    // Nothing of it is counted afterwards.
    if (!scene.server.isRunning) await scene.server.start()
    scene.server.thaw()
    await scene.healed()
    expect(await left(limiter, unknown)).toEqual([2])
  })

  it('several limits are closed by one, and opened by none for the others', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const rule = (name: string, limit: number, onUnavailable?: 'open' | 'closed' | 'local') => ({ name, limit, window: '1h' as const, onUnavailable })
    const create = (limits: LimiterOptions['limits']) => scene.holdfast.createRateLimiter({ name: fresh('mixed'), limits })
    const closed = create([rule('a', 9, 'open'), rule('b', 9), rule('c', 9, 'closed')])
    const open = create([rule('a', 1, 'open'), rule('b', 4)])
    await closed.check('key')
    await begin(scene)
    expect(await closed.check('key')).toMatchObject({ success: false, reason: 'unavailable' })
    expect(await allowedOf(open, 'key', 9)).toBe(4)
    expect((await open.check('key')).limits.map(({ retryAfterMs }) => retryAfterMs > 0)).toEqual([true, true])
  })

  it('no call rejects, and none is left without an answer', async () => {
    await using scene = await Scene.start({ instances: 1 })
    const limiter = limiterOf(scene.holdfast, 1_000)
    await limiter.check('before')
    const unhandled = await unhandledDuring(async () => {
      const calls = range(100).flatMap((n) => [limiter.check(`key ${n}`), limiter.status('key'), limiter.refund('key'), limiter.reserve('key'), limiter.reset(`other ${n}`)])
      const begun = begin(scene)
      const more = range(100).flatMap((n) => [limiter.check(`key ${n}`), limiter.commit('key', '00000000000000aa', 1), limiter.release('key', '00000000000000ab')])
      await begun
      const answers = await Promise.allSettled([...calls, ...more])
      expect(answers.filter(({ status }) => status === 'rejected')).toEqual([])
    })
    expect(unhandled).toEqual([])
  })
})

describe.concurrent('without a fallback', () => {
  it.each([['local', true], ['open', true], ['closed', false]] as const)('%s answers %s to everybody, and counts nothing', async (onUnavailable, success) => {
    await using scene = await Scene.start({ instances: 1, fallback: { enabled: false } })
    const limiter = limiterOf(scene.holdfast, 2, { onUnavailable })
    await limiter.check('key')
    await scene.server.kill()
    for (const _ of range(5)) expect(await limiter.check('key')).toMatchObject({ success, reason: success ? null : 'unavailable', source: 'local' })
    expect((await limiter(from(newAddress()))).status).toBe(success ? 200 : 503)
  })
})
