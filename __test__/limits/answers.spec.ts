// What a limiter answers: why it refuses, when it is worth another try, and how a key stands.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { allowedOf, counting, expectRefusal, fresh, HOUR_MS, left, limiterOf } from './limiters'

describe.each(stores)('answers on %s', (store) => {
  const { holdfast } = onStore(store)

  describe.each(counting)('of a %s', (algorithm) => {
    it('a cost that can never fit is too large, costs nothing, and has no time to come again', async () => {
      const limiter = limiterOf(holdfast, 10, { algorithm })
      await limiter.check('key', { cost: 4 })
      for (const cost of [11, 1_000_000, 1_000_000_000_000]) {
        const refused = await limiter.check('key', { cost })
        expect(refused).toMatchObject({ success: false, reason: 'too-large', limit: 10, remaining: 6 })
        expect(refused).not.toHaveProperty('retryAfter')
        expect(refused).not.toHaveProperty('retryAfterMs')
        expect(refused.limits[0]?.retryAfterMs).toBe(Number.POSITIVE_INFINITY)
      }
      // What fits as a whole is not too large, however little is left.
      expect(await limiter.check('key', { cost: 10 })).toMatchObject({ success: false, reason: 'limited', remaining: 6 })
      expect(await limiter.check('key', { cost: 6 })).toMatchObject({ success: true, remaining: 0 })
      expect(await limiter.check('key', { cost: 11 })).toMatchObject({ success: false, reason: 'too-large' })
    })

    it('a refusal says in whole seconds, rounded up, and at least 1, when to come again', async () => {
      for (const [windowMs, most] of [[50, 1], [999, 1], [60_400, 61]] as const) {
        const limiter = limiterOf(holdfast, 1, { algorithm, windowMs })
        const refused = await waitFor('a refusal', async () => {
          const result = await limiter.check(`key ${windowMs}`)
          return result.success ? null : result
        })
        expectRefusal(refused, windowMs)
        expect(refused.retryAfter).toBeLessThanOrEqual(most)
        expect(Number.isInteger(refused.retryAfter)).toBe(true)
      }
    })

    it('once its time is over it allows again, and not before', async () => {
      const windowMs = 200
      const limiter = limiterOf(holdfast, 2, { algorithm, windowMs })
      const began = performance.now()
      await limiter.check('key', { cost: 2 })
      const refused = await limiter.check('key', { cost: 2 })
      // On a busy machine the window may be over by now.
      if (performance.now() - began < windowMs - 20) expectRefusal(refused, windowMs)
      await waitFor('it to be allowed again', async () => (await limiter.check('key', { cost: 2 })).success)
      expect(performance.now() - began).toBeGreaterThan(windowMs - 20)
    })

    it('the time that a refusal names is long enough', async () => {
      const limiter = limiterOf(holdfast, 4, { algorithm, windowMs: 300 })
      await limiter.check('key', { cost: 3 })
      for (const _ of range(5)) {
        const { success, retryAfterMs = 0 } = await limiter.check('key', { cost: 3 })
        if (success) continue
        const end = performance.now() + retryAfterMs
        await waitFor('that time to be over', () => performance.now() > end)
        expect(await limiter.check('key', { cost: 3 })).toMatchObject({ success: true })
      }
    })

    it('the state of a key is asked for at no cost, and of a new key all is free', async () => {
      const limiter = limiterOf(holdfast, 10, { algorithm, name: fresh('status') })
      expect(await limiter.status('key')).toMatchObject({ success: true, limit: 10, remaining: 10 })
      expect((await limiter.status('key')).limits).toEqual([
        { name: expect.stringMatching(/^status-/) as string, limit: 10, remaining: 10, resetMs: 0, nextMs: 0, retryAfterMs: 0 },
      ])
      await limiter.check('key', { cost: 4 })
      const before = Date.now()
      for (const _ of range(5)) expect(await left(limiter, 'key')).toEqual([6])
      const { limits: [state], resetTime } = await limiter.status('key')
      const whole = algorithm === 'token-bucket' ? HOUR_MS * 0.4 : HOUR_MS
      expect(state?.resetMs).toBeGreaterThan(whole - 60_000)
      expect(state?.resetMs).toBeLessThanOrEqual(whole)
      expect(state?.nextMs).toBeGreaterThan(0)
      expect(state?.nextMs).toBeLessThanOrEqual(state?.resetMs ?? 0)
      expect(resetTime).toBeGreaterThan(before + whole - 60_000)
      // Used up it says so, and it is still no refusal.
      await limiter.check('key', { cost: 6 })
      expect(await limiter.status('key')).toMatchObject({ success: true, reason: null, remaining: 0 })
    })

    it('what is refunded may be taken again, and no more than was taken', async () => {
      const limiter = limiterOf(holdfast, 5, { algorithm })
      await limiter.check('key', { cost: 5 })
      await limiter.refund('key')
      expect(await left(limiter, 'key')).toEqual([1])
      await limiter.refund('key', 2)
      expect(await allowedOf(limiter, 'key', 5)).toBe(3)
      await limiter.refund('key', 1_000)
      expect(await left(limiter, 'key')).toEqual([5])
      await limiter.refund('key', 3)
      expect(await allowedOf(limiter, 'key', 9)).toBe(5)
      // Nor does it give anything to who has taken nothing.
      await limiter.refund('new', 3)
      expect(await allowedOf(limiter, 'new', 9)).toBe(5)
    })

    it('a reset forgets everything of its key, and nothing of others', async () => {
      const limiter = limiterOf(holdfast, 5, { algorithm })
      await Promise.all(['key', 'other'].map((key) => limiter.check(key, { cost: 5 })))
      expect(await limiter.check('key')).toMatchObject({ success: false })
      await limiter.reset('key')
      expect(await limiter.status('key')).toMatchObject({ remaining: 5, limits: [{ resetMs: 0, nextMs: 0 }] })
      expect(await allowedOf(limiter, 'key', 9)).toBe(5)
      expect(await limiter.check('other')).toMatchObject({ success: false })
    })
  })

  it('several limits of which one is too small say too large, even where another would only have to wait', async () => {
    const limiter = holdfast.createRateLimiter({
      name: fresh('too large'),
      limits: [
        { name: 'small', limit: 5, window: '1h' },
        { name: 'large', limit: 20, window: '1h' },
      ],
    })
    await limiter.check('key', { cost: { small: 0, large: 18 } })
    const refused = await limiter.check('key', { cost: 6 })
    expect(refused).toMatchObject({ success: false, reason: 'too-large', limit: 5, remaining: 5 })
    expect(refused).not.toHaveProperty('retryAfter')
    expect(await left(limiter, 'key')).toEqual([5, 2])
  })

  it('a sliding window gives each unit back one window after it was taken, not all at once', async () => {
    const windowMs = 300
    const limiter = limiterOf(holdfast, 2, { windowMs })
    await limiter.check('key')
    const between = performance.now()
    await waitFor('some time to pass', () => performance.now() > between + 120)
    const second = performance.now()
    await limiter.check('key')
    await waitFor('the first to come free', async () => (await left(limiter, 'key'))[0] === 1)
    await waitFor('the second to come free', async () => (await left(limiter, 'key'))[0] === 2)
    expect(performance.now() - second).toBeGreaterThan(windowMs - 20)
  })

  it('a token bucket gives back one unit after the other', async () => {
    const limiter = limiterOf(holdfast, 3, { windowMs: 600, algorithm: 'token-bucket' })
    const began = performance.now()
    await limiter.check('key', { cost: 3 })
    for (const [n, earliest] of [[1, 200], [2, 400], [3, 600]] as const) {
      await waitFor(`${n} to be free`, async () => (await left(limiter, 'key'))[0]! >= n)
      expect(performance.now() - began).toBeGreaterThan(earliest - 20)
    }
  })
})
