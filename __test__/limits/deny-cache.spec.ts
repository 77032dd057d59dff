// A client who is refused costs Redis nothing until something can come free for it.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { onOwnServer } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { allowedOf, counting, expectRefusal, fresh, HOUR_MS, left, limiterOf, scriptsOf, type Limiter } from './limiters'

const { outside, open } = onOwnServer()

/** An instance of its own, so that nothing else is sent, and how many scripts a piece of work sends. */
function scene() {
  const holdfast = open({ keyPrefix: `deny:${randomUUID()}:` })
  const sent = async (work: () => Promise<unknown>): Promise<number> => {
    const before = await scriptsOf(outside())
    await work()
    return (await scriptsOf(outside())) - before
  }
  return { holdfast, sent }
}

async function useUp(limiter: Limiter, key: string, cost: number): Promise<void> {
  expect(await limiter.check(key, { cost })).toMatchObject({ success: true, source: 'redis' })
  expect(await limiter.check(key)).toMatchObject({ success: false })
}

describe.each(counting)('a client whom a %s refuses', (algorithm) => {
  it('costs Redis no command, and is told the same', async () => {
    const { holdfast, sent } = scene()
    const limiter = limiterOf(holdfast, 5, { algorithm })
    // Counting sees what is sent.
    expect(await sent(() => useUp(limiter, 'key', 5))).toBeGreaterThan(0)
    const refusals = await sent(async () => {
      for (const _ of range(200)) {
        const refused = await limiter.check('key')
        expect(refused).toMatchObject({ source: 'deny-cache', limit: 5, remaining: 0 })
        expectRefusal(refused, HOUR_MS)
      }
      await Promise.all(range(200).map(async () => expect(await limiter.check('key')).toMatchObject({ success: false, source: 'deny-cache' })))
    })
    expect(refusals).toBe(0)
  })

  it('is let in when its window ends', async () => {
    const { holdfast } = scene()
    const windowMs = 300
    const limiter = limiterOf(holdfast, 2, { algorithm, windowMs })
    const began = performance.now()
    await limiter.check('key', { cost: 2 })
    const sources = new Set<string>()
    await waitFor('it to be let in', async () => {
      const { success, source } = await limiter.check('key', { cost: 2 })
      sources.add(source)
      return success
    })
    expect(performance.now() - began).toBeGreaterThan(windowMs - 20)
    expect(sources).toContain('redis')
  })

  it.each<[string, (limiter: Limiter) => Promise<unknown>, number]>([
    ['a refund', (limiter) => limiter.refund('key', 2), 2],
    ['a reset', (limiter) => limiter.reset('key'), 5],
  ])('is let in after %s', async (_, giveBack, allowed) => {
    const { holdfast, sent } = scene()
    const limiter = limiterOf(holdfast, 5, { algorithm })
    await useUp(limiter, 'key', 5)
    expect(await limiter.check('key')).toMatchObject({ source: 'deny-cache' })
    await giveBack(limiter)
    const asked = await sent(async () => expect(await allowedOf(limiter, 'key', 9)).toBe(allowed))
    expect(asked).toBeGreaterThan(0)
  })

  it('is asked for anew where it wants less than it was refused', async () => {
    const { holdfast } = scene()
    const limiter = limiterOf(holdfast, 10, { algorithm })
    await limiter.check('key', { cost: 8 })
    expect(await limiter.check('key', { cost: 5 })).toMatchObject({ success: false, source: 'redis' })
    expect(await limiter.check('key', { cost: 5 })).toMatchObject({ success: false, source: 'deny-cache', remaining: 2 })
    expect(await limiter.check('key', { cost: 2 })).toMatchObject({ success: true, source: 'redis', remaining: 0 })
    expect(await limiter.check('key')).toMatchObject({ success: false })
  })

  it('does not keep others out', async () => {
    const { holdfast } = scene()
    const limiter = limiterOf(holdfast, 5, { algorithm })
    await useUp(limiter, 'key', 5)
    await limiter.check('key')
    expect(await limiter.check('other')).toMatchObject({ success: true, source: 'redis', remaining: 4 })
    expect(await limiterOf(holdfast, 5, { algorithm }).check('key')).toMatchObject({ success: true, source: 'redis', remaining: 4 })
  })

  it('always asks Redis where denyCache is false', async () => {
    const { holdfast, sent } = scene()
    const limiter = limiterOf(holdfast, 5, { algorithm, denyCache: false })
    await limiter.check('key', { cost: 5 })
    const asked = await sent(async () => {
      for (const _ of range(20)) expect(await limiter.check('key')).toMatchObject({ success: false, source: 'redis' })
    })
    expect(asked).toBe(20)
  })
})

describe('what is held', () => {
  it('by a reservation may be given back by anybody, so a client whom it keeps out is asked for each time', async () => {
    const { holdfast } = scene()
    const limiter = limiterOf(holdfast, 5)
    const reservation = await limiter.reserve('key', { estimate: 5 })
    for (const _ of range(3)) expect(await limiter.check('key')).toMatchObject({ success: false, source: 'redis' })
    // Of an instance that knows nothing of it.
    await limiterOf(open(), 5).release('key', reservation.id ?? '')
    expect(await reservation.release()).toBe(true)
    expect(await limiter.check('key')).toMatchObject({ success: true })
  })
})

describe('a status', () => {
  it('of a client who is refused is asked of Redis, and leaves the refusal as it is', async () => {
    const { holdfast } = scene()
    const limiter = limiterOf(holdfast, 2, { name: fresh('status') })
    await useUp(limiter, 'key', 2)
    expect(await left(limiter, 'key')).toEqual([0])
    expect(await limiter.status('key')).toMatchObject({ success: true, source: 'redis', remaining: 0 })
    expect(await limiter.check('key')).toMatchObject({ success: false })
    expect(await limiter.check('key')).toMatchObject({ success: false, source: 'deny-cache' })
  })
})
