// A limit lets through what it says and nothing more, and what is refused costs nothing.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { allowedOf, counting, expectRefusal, fresh, from, HOUR_MS, left, limiterOf, type Limiter, type Result } from './limiters'

describe.each(stores)('limits on %s', (store) => {
  const { holdfast, open, keyPrefix } = onStore(store)
  const source = store === 'redis' ? 'redis' : 'local'

  // Up to 32 every unit stands for itself; above, they are put together.
  describe.each(counting.flatMap((algorithm) => [1, 5, 32, 33, 100].map((limit) => [algorithm, limit] as const)))('a %s of %i', (algorithm, limit) => {
    /** At most so much is held ahead. */
    const ahead = store === 'redis' && limit > 32 ? Math.floor(limit / 16) : 0

    /** What this process took ahead and let lapse is missing for a moment, where the limit is large. */
    const next = (limiter: Limiter, key: string): Promise<Result> =>
      waitFor('a call to be allowed', async () => {
        const result = await limiter.check(key)
        return result.success ? result : null
      })

    it('allows as much as it says, counts down, and refuses the next', async () => {
      const limiter = limiterOf(holdfast, limit, { algorithm })
      for (const n of range(limit)) {
        const result = limit <= 32 ? await limiter.check('key') : await next(limiter, 'key')
        expect(result).toMatchObject({ success: true, reason: null, source, limit })
        expect(result.remaining).toBeLessThanOrEqual(limit - n - 1)
        expect(result.remaining).toBeGreaterThanOrEqual(limit - n - 1 - ahead)
      }
      const refused = await limiter.check('key')
      expect(refused).toMatchObject({ source, limit, remaining: 0 })
      expectRefusal(refused, HOUR_MS)
    })

    it('allows no more to calls that are made at once', async () => {
      const limiter = limiterOf(holdfast, limit, { algorithm })
      const results = await Promise.all(range(limit + 20).map(() => limiter.check('key')))
      expect(results.filter(({ success }) => success)).toHaveLength(limit)
    })

    it('counts each key for itself', async () => {
      const limiter = limiterOf(holdfast, limit, { algorithm })
      for (const key of ['one', 'other']) {
        for (const _ of range(limit)) await next(limiter, key)
        expect(await allowedOf(limiter, key, 3)).toBe(0)
      }
    })
  })

  it.each(counting)('a %s charges nothing for what it refuses', async (algorithm) => {
    const limiter = limiterOf(holdfast, 10, { algorithm })
    expect(await limiter.check('key', { cost: 8 })).toMatchObject({ success: true, remaining: 2 })
    for (const _ of range(5)) expect(await limiter.check('key', { cost: 3 })).toMatchObject({ success: false, reason: 'limited', remaining: 2 })
    expect(await limiter.check('key')).toMatchObject({ success: true, remaining: 1 })
    expect(await limiter.check('key', { cost: 2 })).toMatchObject({ success: false, remaining: 1 })
    expect(await limiter.check('key')).toMatchObject({ success: true, remaining: 0 })
    expect(await limiter.check('key')).toMatchObject({ success: false, remaining: 0 })
  })

  it.each(counting)('a %s of which everything was taken comes free when it said, however often it refused meanwhile', async (algorithm) => {
    const windowMs = 300
    const limiter = limiterOf(holdfast, 3, { algorithm, windowMs })
    // Refused again and again until the window is over; then all of it is there, not later.
    let allowed = 0
    let refused = 0
    const began = performance.now()
    while (allowed < 12) {
      if ((await limiter.check('key')).success) allowed++
      else refused++
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(refused).toBeGreaterThan(0)
    // Three at once and three in each window: the twelfth at the earliest in the fourth; a bucket's come one by one.
    const earliest = algorithm === 'token-bucket' ? 9 * (windowMs / 3) : 3 * windowMs
    expect(performance.now() - began).toBeGreaterThan(earliest - 20)
  })

  it.each(counting)('a %s takes a cost of 0 as a question: it is allowed where nothing is left, and charged nothing', async (algorithm) => {
    const limiter = limiterOf(holdfast, 2, { algorithm })
    expect(await limiter.check('key', { cost: 0 })).toMatchObject({ success: true, remaining: 2 })
    expect(await limiter.check('key', { cost: 2 })).toMatchObject({ success: true, remaining: 0 })
    expect(await limiter.check('key', { cost: 0 })).toMatchObject({ success: true, reason: null, remaining: 0 })
    expect(await limiter.check('key')).toMatchObject({ success: false })
  })

  it('one name is one count, however many limiters have it, and whichever instance they are of', async () => {
    const options = { name: fresh('shared'), maxRequests: 4, windowMs: HOUR_MS }
    const limiters = [holdfast, holdfast, open()].map(({ createRateLimiter }) => createRateLimiter(options))
    const results = await Promise.all(range(6).map((n) => limiters[n % 3]?.check('key')))
    expect(results.filter((result) => result?.success)).toHaveLength(4)
    expect(limiters[0]?.limiterName).toBe(options.name)
  })

  it('limits that have no name share a count with their like, and with nobody else', async () => {
    const own = open({ keyPrefix: `${keyPrefix}nameless:` })
    const [one, like, other] = [3, 3, 4].map((maxRequests) => own.createRateLimiter({ maxRequests, windowMs: HOUR_MS }))
    await one?.check('key', { cost: 2 })
    expect([await left(like!, 'key'), await left(other!, 'key')]).toEqual([[1], [4]])
  })

  it('of an instance that was closed are told so, whatever is asked', async () => {
    const own = open({ keyPrefix: `${keyPrefix}closed:` })
    const limiter = limiterOf(own, 5)
    await limiter.check('key')
    await own.close()
    const refusal = { name: 'HoldfastError', code: 'E_CLOSED' }
    const calls = [limiter.check('key'), limiter.status('key'), limiter.reserve('key'), limiter.refund('key'), limiter.reset('key'), limiter(from('203.0.113.7')), own.rateLimiters.ai(from('203.0.113.7'))]
    for (const call of calls) await expect(call).rejects.toMatchObject(refusal)
  })

  it('without options there are 100 in 15 minutes', async () => {
    const limiter = holdfast.createRateLimiter({})
    const { limits } = await limiter.check(fresh('key'))
    expect(limits).toMatchObject([{ limit: 100, remaining: 99, resetMs: expect.closeTo(900_000, -3) as number }])
  })
})
