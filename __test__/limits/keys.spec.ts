// What limits keep in Redis: under names that are theirs alone, and never for good.
import { createHash, randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { onStore, stores } from '../cache/stores'
import { counting, fresh, HOUR_MS, limiterOf, namesOf, type Limiter } from './limiters'

describe('keys of limits on redis', () => {
  const { open, outside } = onStore('redis')
  const scene = () => {
    const keyPrefix = `keys:${randomUUID()}:`
    return { holdfast: open({ keyPrefix }), names: () => namesOf(outside(), keyPrefix) }
  }

  /** How long each key has still to live: what has no end is -1. Keys that end in between are left out. */
  async function lives(names: readonly string[]): Promise<number[]> {
    const replies = await outside().pipeline(names.map((name) => ['PTTL', name]))
    return replies.map(Number).filter((life) => life !== -2)
  }

  /** Those are not asked by check. */
  const isOfSlots = (error: unknown): void => expect(error).toMatchObject({ code: 'E_INVALID', message: expect.stringContaining('slots') as string })

  const acts: [string, (limiter: Limiter) => Promise<unknown>][] = [
    ['check', (limiter) => limiter.check('key').catch(isOfSlots)],
    ['a refused check', (limiter) => limiter.check('key', { cost: 40 }).catch(isOfSlots)],
    ['status', (limiter) => limiter.status('key')],
    ['reserve', (limiter) => limiter.reserve('key', { estimate: 2, leaseMs: 1_000 })],
    ['release', async (limiter) => (await limiter.reserve('key')).release()],
    ['commit', async (limiter) => (await limiter.reserve('key')).commit(3)],
    ['commit of what nobody holds', (limiter) => limiter.commit('key', '00000000000000ff', 1)],
    ['refund', (limiter) => limiter.refund('key')],
    ['reset', (limiter) => limiter.reset('key')],
  ]

  it.each([...counting, 'concurrency' as const].flatMap((algorithm) => [1, 7, 60, 999].map((windowMs) => [algorithm, windowMs] as const)))(
    'of a %s of %i ms have an end after every call',
    async (algorithm, windowMs) => {
      const { holdfast, names } = scene()
      const limiter = limiterOf(holdfast, 40, { algorithm, windowMs })
      let seen = 0
      for (const round of range(3)) {
        for (const [name, act] of acts) {
          await act(limiter)
          const found = await lives(await names())
          seen += found.length
          for (const life of found) expect(life, `${name}, round ${round}`).toBeGreaterThanOrEqual(0)
          // Not much longer than they count.
          for (const life of found) expect(life, `${name}, round ${round}`).toBeLessThan(31_000 + windowMs)
        }
      }
      expect(seen).toBeGreaterThan(acts.length)
    },
  )

  it('live at least as long as they count, and not much longer', async () => {
    const { holdfast, names } = scene()
    const limiter = limiterOf(holdfast, 10, { windowMs: HOUR_MS })
    for (const _ of range(3)) {
      await limiter.check('key')
      const [life] = await lives(await names())
      expect(life).toBeGreaterThan(HOUR_MS - 60_000)
      expect(life).toBeLessThanOrEqual(HOUR_MS * 1.25)
    }
  })

  it('are one for each key of a limiter, however many limits it has', async () => {
    const { holdfast, names } = scene()
    const limiter = holdfast.createRateLimiter({
      name: 'several',
      limits: counting.map((algorithm) => ({ name: algorithm, limit: 10, window: '1h', algorithm })),
    })
    await limiter.check('one')
    await limiter.check('other')
    expect(await names()).toHaveLength(2)
    expect((await names()).every((name) => /rate_limit:\{\d\}:several:(one|other)$/.test(name))).toBe(true)
  })

  it('hold braces in pairs only where they are meant, so that a key never leaves its slot', async () => {
    const { holdfast, names } = scene()
    const limiter = limiterOf(holdfast, 10, { name: 'braces' })
    for (const key of ['{', '}', '{}', '{a}', 'a}b{c', '{9}', '%7B']) await limiter.check(key)
    for (const name of await names()) expect(name.slice(name.indexOf('rate_limit')).match(/[{}]/g)).toEqual(['{', '}'])
    expect(await names()).toHaveLength(7)
  })

  it('that are long are kept as their hash', async () => {
    const { holdfast, names } = scene()
    const limiter = limiterOf(holdfast, 10, { name: 'long' })
    const long = 'l'.repeat(129)
    await limiter.check(long)
    await limiter.check('s'.repeat(128))
    const found = await names()
    expect(found).toHaveLength(2)
    const hash = createHash('sha256').update(long).digest('hex')
    expect(found.filter((name) => name.endsWith(hash))).toHaveLength(1)
    expect(found.filter((name) => name.endsWith(`:${'s'.repeat(128)}`))).toHaveLength(1)
    // As long as the largest that is taken.
    const largest = 'ä'.repeat(32_768)
    await limiter.check(largest)
    for (const name of await names()) expect(name.length).toBeLessThan(400)
  })
})

describe.each(stores)('keys of limits on %s', (store) => {
  const { holdfast } = onStore(store)
  const special = ['a', 'a:b', 'b', ':', '::', 'a:', ':b', '{a}', '{', '}', '{}', '%7B', '%', '%25', '%3A', 'a%3Ab', '*', '?', ' ', '\n', '\0', 'ä', 'a\u0308', '🜁', '__proto__', 'constructor']

  it('never meet, whatever stands in them', async () => {
    const limiter = limiterOf(holdfast, 1)
    for (const key of special) expect(await limiter.check(key), JSON.stringify(key)).toMatchObject({ success: true })
    for (const key of special) expect(await limiter.check(key), JSON.stringify(key)).toMatchObject({ success: false })
  })

  it('of one limiter never meet those of another, whatever stands in their names', async () => {
    const printable = special.filter((name) => /^[\x20-\x7e]+$/.test(name))
    const prefix = fresh('limiter')
    const taken = new Map<string, string>()
    for (const name of printable) {
      const limiter = limiterOf(holdfast, 1, { name: `${prefix}${name}` })
      for (const key of ['x', 'b:x', 'a:b', ':x', '{a}', '%3Ax']) {
        const { success } = await limiter.check(key)
        expect(success, `${name} and ${key} met ${taken.get(key) ?? 'somebody'}`).toBe(true)
        taken.set(key, name)
      }
    }
  })

  it('that are long never meet: one that differs at its end, and one that is the hash of another', async () => {
    const limiter = limiterOf(holdfast, 1)
    const long = range(64).map((n) => `${'l'.repeat(200)}${n}`)
    const hashes = long.map((key) => createHash('sha256').update(key).digest('hex'))
    for (const key of [...long, ...hashes]) expect(await limiter.check(key), key.slice(-8)).toMatchObject({ success: true })
  })
})
