// Of a busy key a process takes ahead what it will need. Nobody gets more by it, and what is not needed comes back.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clean, start } from '../boundary/child'
import { range } from '../boundary/inside'
import { asAnother, onOwnServer } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { allowedOf, fresh, HOUR_MS, left, limiterOf, scriptsOf, type Algorithm, type Limiter } from './limiters'

const { server, outside, open } = onOwnServer()
const LIMIT = 6_400
const large: Algorithm[] = ['sliding-window', 'fixed-window']

/** A limiter of a key prefix of its own, and the same one of somebody else. */
function scene(algorithm: Algorithm, limit = LIMIT) {
  const keyPrefix = `ahead:${randomUUID()}:`
  const options = { name: fresh('ahead'), maxRequests: limit, windowMs: HOUR_MS, algorithm }
  const create = (more: object): Limiter => open({ keyPrefix, ...more }).createRateLimiter(options)
  return { keyPrefix, options, limiter: create({}), other: create(asAnother) }
}

/** So many calls at once, all of which are allowed. */
async function many(limiter: Limiter, times: number): Promise<void> {
  expect(await allowedOf(limiter, 'key', times)).toBe(times)
}

describe.each(large)('units of a %s that are taken ahead', (algorithm) => {
  it('spare Redis most commands of a busy key', async () => {
    const { limiter } = scene(algorithm, 1_000_000)
    const before = await scriptsOf(outside())
    await many(limiter, 2_000)
    expect((await scriptsOf(outside())) - before).toBeLessThan(1_000)
  })

  it('come back when they are not used', async () => {
    const { limiter, other } = scene(algorithm)
    await many(limiter, 50)
    await waitFor('the rest to come back', async () => (await left(other, 'key'))[0] === LIMIT - 50)
  })

  it('are for nobody to take twice: all of the limit is allowed, and no more', async () => {
    const { limiter, other } = scene(algorithm, 640)
    let allowed = 0
    await waitFor('it to be used up', async () => {
      allowed += (await allowedOf(limiter, 'key', 20)) + (await allowedOf(other, 'key', 20))
      return allowed >= 640
    })
    expect(allowed).toBe(640)
    expect(await left(other, 'key')).toEqual([0])
  })

  it('keep a larger call out no longer than until they come back', async () => {
    const { limiter } = scene(algorithm)
    await many(limiter, 50)
    await waitFor('it to be allowed', async () => (await limiter.check('key', { cost: LIMIT - 50 })).success)
    expect(await limiter.check('key')).toMatchObject({ success: false, remaining: 0 })
  })

  it.each<[string, (limiter: Limiter) => Promise<unknown>, number]>([
    ['a reset', (limiter) => limiter.reset('key'), LIMIT],
    ['a refund', (limiter) => limiter.refund('key', 20), LIMIT - 30],
    ['a reservation that is released', async (limiter) => (await limiter.reserve('key', { estimate: 100 })).release(), LIMIT - 50],
  ])('do not grow or shrink the limit by %s', async (_, act, expected) => {
    const { limiter, other } = scene(algorithm)
    await many(limiter, 50)
    await act(limiter)
    await many(limiter, 30)
    await waitFor('the rest to come back', async () => (await left(other, 'key'))[0] === expected - 30)
    // It stays so: nothing comes back twice.
    const end = performance.now() + 1_300
    await waitFor('some time to pass', async () => {
      expect(await left(other, 'key')).toEqual([expected - 30])
      return performance.now() > end
    })
  })

  it('of another one who resets the key do not come back as more than the limit', async () => {
    const { limiter, other } = scene(algorithm)
    await many(limiter, 50)
    await other.reset('key')
    expect(await other.check('key', { cost: 1_000 })).toMatchObject({ success: true })
    const end = performance.now() + 1_300
    await waitFor('what was taken ahead to be given back', async () => {
      expect((await left(other, 'key'))[0]).toBeLessThanOrEqual(LIMIT - 1_000)
      return performance.now() > end
    })
  })

  it('by a process that is killed are lost, and no more than it may have taken', async () => {
    const { keyPrefix, options, other } = scene(algorithm)
    const killed = start(new URL('children/hammers.mjs', import.meta.url), { args: [server().url, keyPrefix, JSON.stringify(options), '4', '20000'] })
    await killed.printed('ready')
    await outside().call('RPUSH', `${keyPrefix}go`, 'word')
    await waitFor('it to be used', async () => ((await left(other, 'key'))[0] ?? LIMIT) < LIMIT - 500)
    killed.process.kill('SIGKILL')
    expect({ ...(await killed.ended), stdout: '' }).toEqual({ ...clean, code: null, signal: 'SIGKILL', stdout: '' })
    const remaining = (await other.status('key')).remaining
    // Nobody gives anything back, and nobody takes anything any more.
    const allowed = await other.check('key', { cost: remaining })
    expect(allowed).toMatchObject({ success: true, remaining: 0 })
  })

  it('of an instance that is closed come back', async () => {
    const { keyPrefix, options, other } = scene(algorithm)
    const closing = open({ keyPrefix, commandTimeoutMs: 58_000 })
    await many(closing.createRateLimiter(options), 50)
    await closing.close()
    await waitFor('the rest to come back', async () => (await left(other, 'key'))[0] === LIMIT - 50)
  })
})

describe('a small limit, and a bucket', () => {
  it.each([['sliding-window', 32], ['fixed-window', 32], ['token-bucket', 6_400]] as const)('of a %s of %i nothing is taken ahead', async (algorithm, limit) => {
    const { limiter, other } = scene(algorithm, limit)
    for (const n of range(30)) {
      await limiter.check('key')
      expect(await left(other, 'key')).toEqual([limit - n - 1])
    }
    expect(await limiterOf(open(), limit, { algorithm }).check('key')).toMatchObject({ remaining: limit - 1 })
  })
})
