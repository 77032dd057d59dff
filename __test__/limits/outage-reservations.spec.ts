// What is reserved and settled on both sides of an outage counts once, and slots stay with whoever holds them.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { counting, fresh, HOUR_MS, left, limiterOf, type Limiter } from './limiters'

type Step = (scene: Scene) => Promise<unknown> | void

const outages: [string, begin: Step, end: Step][] = [
  ['a server that was killed and has its data', ({ server }) => server.kill(), ({ server }) => server.start()],
  ['a server that was frozen', ({ server }) => server.freeze(), ({ server }) => server.thaw()],
]

async function scene(): Promise<Scene> {
  return await Scene.start({ instances: 1 }, { persistent: true })
}

describe.concurrent.each(outages.flatMap((outage) => counting.map((algorithm) => [outage[0], algorithm, outage[1], outage[2]] as const)))(
  'across %s, of a %s',
  (_, algorithm, begin, end) => {
    const through = async (work: { before?: (limiter: Limiter) => Promise<unknown>; during?: (limiter: Limiter) => Promise<unknown>; after?: (limiter: Limiter) => Promise<unknown> }): Promise<number[]> => {
      await using own = await scene()
      const limiter = limiterOf(own.holdfast, 100, { algorithm })
      await limiter.check('warm')
      await work.before?.(limiter)
      await begin(own)
      await own.degraded()
      await work.during?.(limiter)
      await end(own)
      await own.healed()
      await work.after?.(limiter)
      return await left(limiter, 'key')
    }

    it('a reservation is committed during the outage, and counts once', async () => {
      let id = ''
      const remaining = await through({
        before: async (limiter) => (id = (await limiter.reserve('key', { estimate: 40 })).id ?? ''),
        during: async (limiter) => {
          expect(await left(limiter, 'key')).toEqual([60])
          expect(await limiter.commit('key', id, 25)).toBe(true)
          expect(await left(limiter, 'key')).toEqual([75])
        },
        after: async (limiter) => expect(await limiter.commit('key', id, 25)).toBe(false),
      })
      expect(remaining).toEqual([75])
    })

    it('a reservation is released during the outage, and costs nothing', async () => {
      let id = ''
      const remaining = await through({
        before: async (limiter) => (id = (await limiter.reserve('key', { estimate: 40 })).id ?? ''),
        during: async (limiter) => {
          expect(await limiter.release('key', id)).toBe(true)
          expect(await left(limiter, 'key')).toEqual([100])
        },
        after: async (limiter) => expect(await limiter.release('key', id)).toBe(false),
      })
      expect(remaining).toEqual([100])
    })

    it('a reservation of the outage is committed afterwards, and counts once', async () => {
      let held: Awaited<ReturnType<Limiter['reserve']>> | undefined
      const remaining = await through({
        during: async (limiter) => {
          held = await limiter.reserve('key', { estimate: 40 })
          expect(held).toMatchObject({ success: true, source: 'local', remaining: 60 })
        },
        after: async (limiter) => {
          expect(await left(limiter, 'key')).toEqual([60])
          expect(await held?.commit(70)).toBe(true)
          expect(await limiter.commit('key', held?.id ?? '', 70)).toBe(false)
        },
      })
      expect(remaining).toEqual([30])
    })

    it('a reservation that was made and settled during the outage counts once', async () => {
      const ids: string[] = []
      const remaining = await through({
        during: async (limiter) => {
          const [committed, released] = [await limiter.reserve('key', { estimate: 40 }), await limiter.reserve('key', { estimate: 40 })]
          ids.push(committed.id ?? '', released.id ?? '')
          expect([await committed.commit(15), await released.release()]).toEqual([true, true])
          expect(await limiter.commit('key', committed.id ?? '', 15)).toBe(false)
          expect(await left(limiter, 'key')).toEqual([85])
        },
        after: async (limiter) => {
          for (const id of ids) expect(await limiter.commit('key', id, 50)).toBe(false)
        },
      })
      expect(remaining).toEqual([85])
    })

    it('a reservation that was on its way when it began is settled once', async () => {
      await using own = await scene()
      const limiter = limiterOf(own.holdfast, 1_000, { algorithm })
      await limiter.check('warm')
      const reserving = range(20).map((n) => limiter.reserve(`key ${n}`, { estimate: 400 }))
      const begun = begin(own)
      reserving.push(...range(20).map((n) => limiter.reserve(`key ${20 + n}`, { estimate: 400 })))
      await begun
      const held = await Promise.all(reserving)
      expect(held.every(({ success }) => success)).toBe(true)
      await own.degraded()
      expect(await Promise.all(held.map((each, n) => each.commit(n)))).toEqual(held.map(() => true))
      await end(own)
      await own.healed()
      expect(await Promise.all(held.map((_each, n) => left(limiter, `key ${n}`)))).toEqual(held.map((_each, n) => [1_000 - n]))
    })
  },
)

describe.concurrent('across an outage', () => {
  it('a commit that two processes make, one of them cut off, counts once', async () => {
    await using own = await Scene.start({ instances: 2 })
    const options = { name: fresh('both'), maxRequests: 100, windowMs: HOUR_MS }
    const [cutOff, well] = [own.holdfast, own.open({ url: own.server.url, instances: 2 })].map(({ createRateLimiter }) => createRateLimiter(options))
    const { id } = await cutOff!.reserve('key', { estimate: 40 })
    await own.proxy.set('refuse')
    await own.degraded()
    expect(await well!.commit('key', id ?? '', 30)).toBe(true)
    // It can't know of that.
    expect(await cutOff!.commit('key', id ?? '', 30)).toBe(true)
    await own.proxy.set('pass')
    await own.healed()
    expect([await left(cutOff!, 'key'), await left(well!, 'key')]).toEqual([[70], [70]])
    expect(await cutOff!.commit('key', id ?? '', 30)).toBe(false)
  })

  it.each<[string, boolean]>([['with its data', true], ['empty', false]])('slots stay held while their lease passes several times, and the server comes back %s', async (_, persistent) => {
    await using own = await Scene.start({ instances: 1 }, { persistent })
    const limiter = limiterOf(own.holdfast, 3, { algorithm: 'concurrency' })
    const before = await limiter.reserve('key', { leaseMs: 1_000 })
    await own.server.kill()
    await own.degraded()
    const during = await limiter.reserve('key', { leaseMs: 1_000 })
    expect(during).toMatchObject({ success: true, source: 'local', remaining: 1 })
    const end = performance.now() + 2_500
    await waitFor('their leases to pass', async () => {
      expect(await left(limiter, 'key')).toEqual([1])
      return performance.now() > end
    }, { everyMs: 50 })
    await own.server.start()
    await own.healed()
    // An emptied server is told of them again by the next renewal, at the latest.
    await waitFor('both to be held', async () => (await left(limiter, 'key'))[0] === 1)
    expect([before.signal.aborted, during.signal.aborted]).toEqual([false, false])
    expect([await before.release(), await during.release()]).toEqual([true, true])
    expect(await left(limiter, 'key')).toEqual([3])
  })

  it('what a limiter that is closed meanwhile had let through is settled all the same, and counts once', async () => {
    await using own = await scene()
    const limiter = limiterOf(own.holdfast, 100, { onUnavailable: 'closed' })
    const [committed, released] = [await limiter.reserve('key', { estimate: 40 }), await limiter.reserve('key', { estimate: 40 })]
    await own.server.kill()
    await own.degraded()
    expect(await limiter.check('key')).toMatchObject({ reason: 'unavailable' })
    expect([await committed.commit(25), await released.release()]).toEqual([true, true])
    await own.server.start()
    await own.healed()
    expect(await left(limiter, 'key')).toEqual([75])
    expect(await limiter.commit('key', committed.id ?? '', 25)).toBe(false)
  })

  it('a slot that was given back meanwhile is free afterwards', async () => {
    await using own = await scene()
    const limiter = limiterOf(own.holdfast, 2, { algorithm: 'concurrency' })
    const [one, other] = [await limiter.reserve('key'), await limiter.reserve('key')]
    await own.server.kill()
    await own.degraded()
    expect(await limiter.reserve('key')).toMatchObject({ success: false, reason: 'limited', source: 'local' })
    expect(await one.release()).toBe(true)
    const third = await limiter.reserve('key')
    expect(third).toMatchObject({ success: true, source: 'local' })
    await own.server.start()
    await own.healed()
    expect(await left(limiter, 'key')).toEqual([0])
    await Promise.all([other.release(), third.release()])
    expect(await left(limiter, 'key')).toEqual([2])
  })

  it('what was neither settled nor renewed comes back after its lease, though Redis comes back in between', async () => {
    await using own = await scene()
    const limiter = limiterOf(own.holdfast, 10)
    await limiter.check('warm')
    await own.server.kill()
    await own.degraded()
    const held = await limiter.reserve('key', { estimate: 6, leaseMs: 1_000, maxHoldMs: 1_500 })
    expect(held).toMatchObject({ success: true, source: 'local' })
    await own.server.start()
    await own.healed()
    await waitFor('the signal', () => held.signal.aborted)
    await waitFor('it to come back', async () => (await left(limiter, 'key'))[0] === 10)
  })
})
