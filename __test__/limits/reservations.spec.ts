// What is reserved is charged at once and settled once: by what it came to, or by nothing.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore, stores } from '../cache/stores'
import { counting, expectRefusal, fresh, HOUR_MS, left, limiterOf, type LimiterOptions } from './limiters'

describe.each(stores)('a reservation on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const budget = (): LimiterOptions => ({
    name: fresh('budget'),
    limits: [
      { name: 'minute', limit: 1_000, window: '1m' },
      { name: 'day', limit: 10_000, window: '1d', algorithm: 'fixed-window' },
      { name: 'requests', limit: 20, window: '1h', algorithm: 'token-bucket', cost: 1 },
    ],
  })

  describe.each(counting)('of a %s', (algorithm) => {
    it('is charged its estimate, and once it is committed what it came to', async () => {
      const limiter = limiterOf(holdfast, 100, { algorithm })
      const reservation = await limiter.reserve('key', { estimate: 60 })
      expect(reservation).toMatchObject({ success: true, reason: null, limit: 100, remaining: 40, limits: [{ remaining: 40 }] })
      expect(reservation.id).toMatch(/^[0-9a-f]{16}$/)
      expect(await left(limiter, 'key')).toEqual([40])
      expect(await reservation.commit(25)).toBe(true)
      expect(await left(limiter, 'key')).toEqual([75])
    })

    it('that came to more is counted in full, however little is left', async () => {
      const limiter = limiterOf(holdfast, 100, { algorithm })
      const reservation = await limiter.reserve('key', { estimate: 10 })
      await limiter.check('key', { cost: 80 })
      expect(await reservation.commit(50)).toBe(true)
      expect(await left(limiter, 'key')).toEqual([0])
      expectRefusal(await limiter.check('key'), HOUR_MS * 2)
      // 130 of 100 were taken, so that giving 20 back frees nothing yet. A bucket can't be emptier than empty.
      await limiter.refund('key', 20)
      expect(await left(limiter, 'key')).toEqual([algorithm === 'token-bucket' ? 20 : 0])
    })

    it('that is released, or committed with 0, costs nothing', async () => {
      const limiter = limiterOf(holdfast, 100, { algorithm })
      expect(await (await limiter.reserve('key', { estimate: 60 })).release()).toBe(true)
      expect(await left(limiter, 'key')).toEqual([100])
      expect(await (await limiter.reserve('key', { estimate: 60 })).commit(0)).toBe(true)
      expect(await left(limiter, 'key')).toEqual([100])
    })

    it('that does not fit is refused, holds nothing, and has nothing to settle', async () => {
      const limiter = limiterOf(holdfast, 100, { algorithm })
      await limiter.check('key', { cost: 50 })
      const refused = await limiter.reserve('key', { estimate: 60 })
      expectRefusal({ ...refused, limits: refused.limits }, HOUR_MS)
      expect(refused.id).toBeNull()
      expect([await refused.commit(60), await refused.release(), refused.signal.aborted]).toEqual([false, false, false])
      expect(await left(limiter, 'key')).toEqual([50])
    })

    it('whose estimate is larger than the limit is too large', async () => {
      const limiter = limiterOf(holdfast, 100, { algorithm })
      const refused = await limiter.reserve('key', { estimate: 101 })
      expect(refused).toMatchObject({ success: false, reason: 'too-large', id: null, remaining: 100 })
      expect(refused).not.toHaveProperty('retryAfter')
      expect(await left(limiter, 'key')).toEqual([100])
    })
  })

  it('costs 1 where nothing is said', async () => {
    const limiter = limiterOf(holdfast, 5)
    await limiter.reserve('key')
    expect(await left(limiter, 'key')).toEqual([4])
  })

  it('of several limits is charged everywhere or nowhere, and settled everywhere', async () => {
    const limiter = holdfast.createRateLimiter(budget())
    const reservation = await limiter.reserve('key', { estimate: { minute: 600, day: 700 } })
    expect(await left(limiter, 'key')).toEqual([400, 9_300, 19])
    expect(await limiter.reserve('key', { estimate: 500 })).toMatchObject({ success: false, id: null })
    expect(await left(limiter, 'key')).toEqual([400, 9_300, 19])
    expect(await reservation.commit({ minute: 150, day: 1_000 })).toBe(true)
    expect(await left(limiter, 'key')).toEqual([850, 9_000, 19])
    expect(await limiter.reserve('key', { estimate: { minute: 1_001 } })).toMatchObject({ reason: 'too-large' })
  })

  it('is settled once: the same again answers the same, the other answers false, and neither changes anything', async () => {
    const limiter = limiterOf(holdfast, 100)
    const committed = await limiter.reserve('key', { estimate: 10 })
    expect([await committed.commit(4), await committed.commit(9), await committed.release()]).toEqual([true, true, false])
    expect(await left(limiter, 'key')).toEqual([96])
    const released = await limiter.reserve('key', { estimate: 10 })
    expect([await released.release(), await released.commit(9), await released.release()]).toEqual([true, false, true])
    expect(await left(limiter, 'key')).toEqual([96])
    // By its id it is told as it is.
    for (const { id } of [committed, released]) {
      expect(await limiter.commit('key', id ?? '', 50)).toBe(false)
      expect(await limiter.release('key', id ?? '')).toBe(false)
    }
    expect(await left(limiter, 'key')).toEqual([96])
  })

  it('is settled by any instance that knows its id', async () => {
    const options = { name: fresh('elsewhere'), maxRequests: 100, windowMs: HOUR_MS }
    // Memory for good is one store for the whole process.
    const other = open(store === 'redis' ? asAnother : {}).createRateLimiter(options)
    const limiter = holdfast.createRateLimiter(options)
    const [one, two] = [await limiter.reserve('key', { estimate: 30 }), await limiter.reserve('key', { estimate: 30 })]
    expect(await other.commit('key', one.id ?? '', 5)).toBe(true)
    expect(await other.release('key', two.id ?? '')).toBe(true)
    expect(await left(limiter, 'key')).toEqual([95])
    expect([await one.commit(80), await two.release()]).toEqual([false, false])
    expect(await left(other, 'key')).toEqual([95])
  })

  it('that many settle at once counts once', async () => {
    const options = { name: fresh('at once'), maxRequests: 100, windowMs: HOUR_MS }
    const limiters = [holdfast, open(store === 'redis' ? asAnother : {})].map(({ createRateLimiter }) => createRateLimiter(options))
    const reservation = await limiters[0]!.reserve('key', { estimate: 20 })
    const settled = await Promise.all(range(20).map((n) => limiters[n % 2]!.commit('key', reservation.id ?? '', 3)))
    expect(settled.filter(Boolean)).toHaveLength(1)
    expect(await left(limiters[1]!, 'key')).toEqual([97])
  })

  it('of a key that was reset meanwhile counts what it came to', async () => {
    const limiter = limiterOf(holdfast, 100)
    const [committed, released] = [await limiter.reserve('key', { estimate: 20 }), await limiter.reserve('key', { estimate: 20 })]
    await limiter.reset('key')
    expect(await left(limiter, 'key')).toEqual([100])
    expect(await committed.commit(30)).toBe(true)
    expect(await released.release()).toBe(false)
    expect(await left(limiter, 'key')).toEqual([70])
  })

  it('is released at the end of its scope, unless it was committed', async () => {
    const limiter = limiterOf(holdfast, 100)
    {
      await using held = await limiter.reserve('key', { estimate: 40 })
      expect(held.success).toBe(true)
      expect(await left(limiter, 'key')).toEqual([60])
    }
    expect(await left(limiter, 'key')).toEqual([100])
    {
      await using held = await limiter.reserve('key', { estimate: 40 })
      await held.commit(10)
    }
    expect(await left(limiter, 'key')).toEqual([90])
    const thrown = async (): Promise<void> => {
      await using held = await limiter.reserve('key', { estimate: 40 })
      throw new Error(`with ${held.remaining} left`)
    }
    await expect(thrown()).rejects.toThrow('with 50 left')
    expect(await left(limiter, 'key')).toEqual([90])
    {
      await using refused = await limiter.reserve('key', { estimate: 95 })
      expect(refused.success).toBe(false)
    }
    expect(await left(limiter, 'key')).toEqual([90])
  })
})
