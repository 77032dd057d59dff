// A busy key is decided on this side of the boundary, by what is lent to it. Nobody can tell, but by the clock.
import { afterAll, describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { opener } from '../cache/stores'
import { HOUR_MS, limiterOf, type Algorithm } from './limiters'

const { open, closeAll } = opener({ url: 'memory:' })
afterAll(closeAll)

/** The same numbers each time. */
function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe.each<Algorithm>(['sliding-window', 'fixed-window'])('a busy key with a %s', (algorithm) => {
  it('counts each call once, and leaves all of the limit', async () => {
    const limiter = limiterOf(open(), 10_000, { algorithm })
    for (const n of range(10_000)) expect(await limiter.check('key')).toMatchObject({ success: true, remaining: 9_999 - n })
    expect(await limiter.check('key')).toMatchObject({ success: false, reason: 'limited', remaining: 0 })
    expect(await limiter.status('key')).toMatchObject({ remaining: 0 })
  })

  it.each([1, 2, 3, 4])('stands as it would without, whatever else is asked of it (%i)', async (seed) => {
    const limit = 50_000
    const holdfast = open()
    const limiter = limiterOf(holdfast, limit, { algorithm, name: `mixed-${algorithm}-${seed}` })
    const twin = limiterOf(holdfast, limit, { algorithm, name: `mixed-${algorithm}-${seed}` })
    const draw = dice(seed)
    let left = limit
    for (const _ of range(400)) {
      const one = draw(2) === 0 ? limiter : twin
      switch (draw(8)) {
        case 0:
          expect(await one.status('key')).toMatchObject({ remaining: left })
          break
        case 1: {
          const cost = 1 + draw(500)
          const success = cost <= left
          left -= success ? cost : 0
          expect(await one.check('key', { cost })).toMatchObject({ success, remaining: left })
          break
        }
        case 2: {
          const reservation = await one.reserve('key', { estimate: 7 })
          if (!reservation.success) break
          const actual = draw(14)
          await reservation.commit(actual)
          left -= actual
          break
        }
        case 3:
          if (left === limit) break
          await one.refund('key', 1)
          left += 1
          break
        case 4:
          if (draw(10) > 0) break
          await one.reset('key')
          left = limit
          break
        case 5: {
          // Without an await in between: the last word counts as it was said.
          const checks = range(20).map(() => one.check('key'))
          void one.reset('key')
          const next = one.check('key')
          await Promise.all(checks)
          expect(await next).toMatchObject({ success: true, remaining: limit - 1 })
          left = limit - 1
          break
        }
        default:
          for (const _ of range(draw(60))) {
            if (left === 0) break
            left -= 1
            expect(await one.check('key')).toMatchObject({ success: true, remaining: left })
          }
      }
    }
    expect(await limiter.status('key')).toMatchObject({ remaining: left })
  })

  it('says when more and when all is free', async () => {
    const limiter = limiterOf(open(), 100_000, { algorithm })
    const results = []
    for (const _ of range(500)) results.push(await limiter.check('key'))
    for (const { resetTime, limits, ...rest } of results) {
      expect(rest).toEqual({ success: true, reason: null, source: 'local', limit: 100_000, remaining: limits[0]?.remaining })
      const [{ resetMs = 0, nextMs = 0, ...state } = {}] = limits
      expect(state).toMatchObject({ limit: 100_000, retryAfterMs: 0 })
      expect(nextMs).toBeGreaterThan(HOUR_MS - 60_000)
      expect(resetMs).toBeGreaterThanOrEqual(nextMs)
      // What is taken ahead counts as taken a second later.
      expect(resetMs).toBeLessThanOrEqual(HOUR_MS + 1_001)
      expect(Math.abs(resetTime - Date.now() - HOUR_MS)).toBeLessThan(60_000)
    }
  })
})

it('several limits are counted each by itself', async () => {
  const limits = [{ name: 'minute', limit: 3_000, window: '1m' }, { name: 'hour', limit: 100_000, window: '1h' }] as const
  const limiter = open().createRateLimiter({ name: 'each', limits: [...limits] })
  for (const n of range(3_000)) {
    const { remaining, limit, limits } = await limiter.check('key')
    expect([limit, remaining]).toEqual([3_000, 2_999 - n])
    expect(limits.map(({ name, remaining }) => [name, remaining])).toEqual([['minute', 2_999 - n], ['hour', 99_999 - n]])
  }
  expect(await limiter.check('key')).toMatchObject({ success: false, limit: 3_000, remaining: 0 })
  expect((await limiter.status('key')).limits[1]).toMatchObject({ remaining: 97_000 })
})

it('more keys than seats are counted right', async () => {
  const limiter = limiterOf(open(), 1_000, {})
  const keys = range(20_000).map((n) => `key:${n}`)
  for (const round of range(6))
    for (const key of keys) expect((await limiter.check(key)).remaining).toBe(999 - round)
})

it('an instance that is closed lends no more', async () => {
  const holdfast = open()
  const limiter = limiterOf(holdfast, 100_000, {})
  for (const _ of range(100)) await limiter.check('key')
  await holdfast.close()
  await expect(limiter.check('key')).rejects.toMatchObject({ code: 'E_CLOSED' })
})
