// Nobody gets more out of his quota by outlasting an outage, however it ends and however often it comes.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, type Instance } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { allowedOf, counting, fresh, HOUR_MS, limiterOf } from './limiters'

const LIMIT = 20

async function backOf(instance: Instance): Promise<void> {
  await waitFor('an instance to be back', () => instance.isRedisAvailable() && instance.fallbackManager.getStats().journalDepth === 0)
}

describe.concurrent.each(counting)('the quota of a %s', (algorithm) => {
  it.each<[string, boolean]>([['with its data', true], ['empty', false]])('is what it was, though the server was killed and came back %s', async (_, persistent) => {
    await using scene = await Scene.start({ instances: 1 }, { persistent })
    const limiter = limiterOf(scene.holdfast, LIMIT, { algorithm })
    await limiter.check('warm')
    await scene.server.kill()
    await scene.degraded()
    const during = await allowedOf(limiter, 'key', 12)
    await scene.server.start()
    await scene.healed()
    const after = await allowedOf(limiter, 'key', 2 * LIMIT)
    expect([during, after]).toEqual([12, LIMIT - 12])
  })

  it('is what it was, though it was used before, during and after', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent: true })
    const limiter = limiterOf(scene.holdfast, LIMIT, { algorithm })
    const before = await allowedOf(limiter, 'key', 7)
    await scene.server.kill()
    await scene.degraded()
    const during = await allowedOf(limiter, 'key', 5)
    await scene.server.start()
    await scene.healed()
    expect([before, during, await allowedOf(limiter, 'key', 2 * LIMIT)]).toEqual([7, 5, LIMIT - 12])
  })

  it('that is used up stays so, though the client tries on through several outages', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent: true })
    const limiter = limiterOf(scene.holdfast, LIMIT, { algorithm })
    let allowed = await allowedOf(limiter, 'key', 4)
    for (const n of range(3)) {
      if (n === 1) scene.server.freeze()
      else await scene.server.kill()
      await scene.degraded()
      allowed += await allowedOf(limiter, 'key', n === 2 ? 30 : 4)
      if (n === 1) scene.server.thaw()
      else await scene.server.start()
      await scene.healed()
      allowed += await allowedOf(limiter, 'key', 1)
    }
    allowed += await allowedOf(limiter, 'key', 30)
    expect(allowed).toBe(LIMIT)
  })

  it('that is used up stays so in an outage that follows another, before the client was asked for again', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent: true })
    const limiter = limiterOf(scene.holdfast, LIMIT, { algorithm })
    expect(await allowedOf(limiter, 'before', LIMIT + 1)).toBe(LIMIT)
    await scene.server.kill()
    await scene.degraded()
    expect(await allowedOf(limiter, 'during', LIMIT + 1)).toBe(LIMIT)
    await scene.server.start()
    await scene.healed()
    await scene.server.kill()
    await scene.degraded()
    expect([await allowedOf(limiter, 'before', LIMIT), await allowedOf(limiter, 'during', LIMIT)]).toEqual([0, 0])
  })

  it('is not doubled by a client who never stops asking while the server comes and goes', async () => {
    await using scene = await Scene.start({ instances: 1 }, { persistent: true })
    const limiter = limiterOf(scene.holdfast, LIMIT, { algorithm })
    let allowed = 0
    let over = false
    const client = async (): Promise<void> => {
      while (!over) {
        if ((await limiter.check('key')).success) allowed++
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const clients = range(4).map(client)
    await waitFor('it to be used', () => allowed >= 4)
    for (const _ of range(2)) {
      await scene.server.kill()
      await scene.degraded()
      await scene.server.start()
      await scene.healed()
    }
    await waitFor('it to be used up', async () => (await limiter.status('key')).remaining === 0)
    over = true
    await Promise.all(clients)
    expect(allowed).toBe(LIMIT)
    expect(await limiter.check('key')).toMatchObject({ success: false })
  })

  it('of three processes that are alone is no more than the sum of their shares, and used up afterwards', async () => {
    await using scene = await Scene.start({ instances: 3 }, { persistent: true })
    const options = { name: fresh('three'), maxRequests: LIMIT, windowMs: HOUR_MS, algorithm }
    // Each with a connection and copies of its own, as another process has.
    const more = [asAnother, { commandTimeoutMs: 58_000 }].map((own) => scene.open({ ...own, instances: 3 }))
    const all = [scene.holdfast, ...more]
    const limiters = all.map(({ createRateLimiter }) => createRateLimiter(options))
    await Promise.all(limiters.map((limiter) => limiter.check('warm')))
    await scene.server.kill()
    await scene.degraded()
    const during = await Promise.all(limiters.map((limiter) => allowedOf(limiter, 'key', 30)))
    expect(during).toEqual([6, 6, 6])
    await scene.server.start()
    await Promise.all(all.map(backOf))
    const after = await Promise.all(limiters.map((limiter) => allowedOf(limiter, 'key', 30)))
    expect(after.reduce((sum, each) => sum + each)).toBe(LIMIT - 18)
  })

  it('that one process took while it alone was cut off is missing for the others afterwards', async () => {
    await using scene = await Scene.start({ instances: 2 })
    const { server, proxy } = scene
    const options = { name: fresh('cut off'), maxRequests: LIMIT, windowMs: HOUR_MS, algorithm }
    const well = scene.open({ url: server.url, instances: 2 })
    const [cutOff, others] = [scene.holdfast, well].map(({ createRateLimiter }) => createRateLimiter(options))
    await Promise.all([cutOff!.check('warm'), others!.check('warm')])
    await proxy.set('refuse')
    await scene.degraded()
    expect(await allowedOf(cutOff!, 'key', 30)).toBe(LIMIT / 2)
    expect(await allowedOf(others!, 'key', 6)).toBe(6)
    await proxy.set('pass')
    await scene.healed()
    const left = LIMIT - LIMIT / 2 - 6
    expect((await others!.status('key')).remaining).toBe(left)
    expect((await allowedOf(others!, 'key', 30)) + (await allowedOf(cutOff!, 'key', 30))).toBe(left)
  })

  it('that was overdrawn by all together refuses everybody, until it fits again', async () => {
    await using scene = await Scene.start({ instances: 2 })
    const { server, proxy } = scene
    const options = { name: fresh('overdrawn'), maxRequests: LIMIT, windowMs: HOUR_MS, algorithm }
    const well = scene.open({ url: server.url, instances: 2 })
    const [cutOff, others] = [scene.holdfast, well].map(({ createRateLimiter }) => createRateLimiter(options))
    await Promise.all([cutOff!.check('warm'), others!.check('warm')])
    await proxy.set('refuse')
    await scene.degraded()
    expect(await allowedOf(cutOff!, 'key', 30)).toBe(LIMIT / 2)
    expect(await allowedOf(others!, 'key', 30)).toBe(LIMIT)
    await proxy.set('pass')
    await scene.healed()
    for (const limiter of [cutOff!, others!]) {
      expect(await limiter.check('key')).toMatchObject({ success: false, reason: 'limited', remaining: 0 })
    }
  })
})
