// Several limits decide together: all of them are charged, or none, and each says how it stands.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { onStore, stores } from '../cache/stores'
import { counting, fresh, left, type LimiterOptions } from './limiters'

describe.each(stores)('several limits on %s', (store) => {
  const { holdfast } = onStore(store)
  const create = (limits: LimiterOptions['limits'], options: LimiterOptions = {}) =>
    holdfast.createRateLimiter({ name: fresh('several'), limits, ...options })

  it('are charged together, and their states come in the order in which they were given', async () => {
    const limiter = create([
      { name: 'burst', limit: 10, window: '1h' },
      { name: 'daily', limit: 100, window: '1d' },
    ])
    const result = await limiter.check('key', { cost: 3 })
    expect(result.limits.map(({ name, limit, remaining, retryAfterMs }) => [name, limit, remaining, retryAfterMs])).toEqual([
      ['burst', 10, 7, 0],
      ['daily', 100, 97, 0],
    ])
    expect(result).toMatchObject({ success: true, limit: 10, remaining: 7 })
  })

  it.each(counting.flatMap((one) => counting.map((other) => [one, other] as const)))('a %s with room is not charged where a %s has none', async (roomy, tight) => {
    const limiter = create([
      { name: 'roomy', limit: 50, window: '1h', algorithm: roomy },
      { name: 'tight', limit: 2, window: '2h', algorithm: tight },
    ])
    for (const _ of range(2)) await limiter.check('key')
    for (const _ of range(5)) {
      const refused = await limiter.check('key')
      expect(refused).toMatchObject({ success: false, reason: 'limited', limit: 2, remaining: 0 })
      // Only the one that has no room says when.
      expect(refused.limits.map(({ remaining, retryAfterMs }) => [remaining, retryAfterMs > 0])).toEqual([
        [48, false],
        [0, true],
      ])
    }
    // Nor is the other way round: the order plays no part.
    const swapped = create([
      { name: 'tight', limit: 2, window: '2h', algorithm: tight },
      { name: 'roomy', limit: 50, window: '1h', algorithm: roomy },
    ])
    for (const _ of range(4)) await swapped.check('key')
    expect(await left(swapped, 'key')).toEqual([0, 48])
  })

  it('say of the one that refuses for longest when to come again', async () => {
    const limiter = create([
      { name: 'hour', limit: 1, window: '1h' },
      { name: 'day', limit: 1, window: '1d' },
      { name: 'minute', limit: 5, window: '1m' },
    ])
    await limiter.check('key')
    const refused = await limiter.check('key')
    expect(refused.retryAfter).toBeGreaterThan(3_600)
    expect(refused.retryAfterMs).toBe(Math.max(...refused.limits.map(({ retryAfterMs }) => retryAfterMs)))
    expect(refused.limits.map(({ retryAfterMs }) => retryAfterMs > 0)).toEqual([true, true, false])
  })

  it('are charged what is said by name, and 1 where nothing is said', async () => {
    const limiter = create([
      { name: 'requests', limit: 10, window: '1h' },
      { name: 'tokens', limit: 1_000, window: '1h' },
    ])
    await limiter.check('key', { cost: { tokens: 300 } })
    expect(await left(limiter, 'key')).toEqual([9, 700])
    await limiter.check('key', { cost: { tokens: 100, requests: 2 } })
    expect(await left(limiter, 'key')).toEqual([7, 600])
    await limiter.check('key', { cost: { requests: 0, tokens: 600 } })
    expect(await left(limiter, 'key')).toEqual([7, 0])
    // What costs nothing at the one that is used up goes on.
    expect(await limiter.check('key', { cost: { tokens: 0 } })).toMatchObject({ success: true })
    expect(await limiter.check('key')).toMatchObject({ success: false, reason: 'limited' })
    expect(await left(limiter, 'key')).toEqual([6, 0])
  })

  it('that have a cost of their own are charged that, whatever a call costs elsewhere', async () => {
    const limiter = create([
      { name: 'requests', limit: 10, window: '1h', cost: 1 },
      { name: 'tokens', limit: 1_000, window: '1h' },
      { name: 'free', limit: 1, window: '1h', cost: 0 },
    ])
    await limiter.check('key', { cost: 250 })
    await limiter.check('key', { cost: 250 })
    expect(await left(limiter, 'key')).toEqual([8, 500, 1])
    // Named it is what the call says.
    await limiter.check('key', { cost: { requests: 3 } })
    expect(await left(limiter, 'key')).toEqual([5, 499, 1])
    await limiter.refund('key', 500)
    expect(await left(limiter, 'key')).toEqual([6, 999, 1])
  })

  it('of each kind side by side are decided in one step, also by calls that are made at once', async () => {
    const limiter = create([
      { name: 'sliding', limit: 7, window: '1h' },
      { name: 'bucket', limit: 50, window: '1h', algorithm: 'token-bucket' },
      { name: 'fixed', limit: 60, window: '1h', algorithm: 'fixed-window' },
      { name: 'grained', limit: 70, window: '1h' },
    ])
    const results = await Promise.all(range(30).map(() => limiter.check('key')))
    expect(results.filter(({ success }) => success)).toHaveLength(7)
    expect(await left(limiter, 'key')).toEqual([0, 43, 53, 63])
  })

  it('can be as many as 16', async () => {
    const limiter = create(range(16).map((n) => ({ name: `limit ${n}`, limit: n + 5, window: '1h' as const })))
    await limiter.check('key', { cost: 2 })
    expect(await left(limiter, 'key')).toEqual(range(16).map((n) => n + 3))
    expect(await limiter.check('key', { cost: 4 })).toMatchObject({ success: false, limit: 5, remaining: 3 })
    expect(await left(limiter, 'key')).toEqual(range(16).map((n) => n + 3))
  })

  it('may take another algorithm each than the limiter, and count apart from one that has the same name', async () => {
    const name = fresh('changed')
    const rule = { name: 'rule', limit: 3, window: '1h' } as const
    const before = holdfast.createRateLimiter({ name, limits: [rule] })
    await before.check('key', { cost: 2 })
    // A larger limit goes on with what was counted; another way to count does not.
    const raised = holdfast.createRateLimiter({ name, limits: [{ ...rule, limit: 5 }] })
    expect(await left(raised, 'key')).toEqual([3])
    const changed = holdfast.createRateLimiter({ name, limits: [rule], algorithm: 'token-bucket' })
    expect(await left(changed, 'key')).toEqual([3])
  })
})
