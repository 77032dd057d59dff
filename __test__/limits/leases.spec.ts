// What a process holds stays held as long as it lives, and comes back when it dies.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clean, start, type Child } from '../boundary/child'
import { onOwnServer } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { fresh, HOUR_MS, left, type Algorithm, type LimiterOptions } from './limiters'

const { server, outside, open } = onOwnServer()

/** A limiter of this process, and other processes that hold something of it. */
function scene(algorithm: Algorithm, limit: number) {
  const keyPrefix = `leases:${randomUUID()}:`
  const options: LimiterOptions = { name: fresh('held'), maxRequests: limit, windowMs: HOUR_MS, algorithm }
  const limiter = open({ keyPrefix }).createRateLimiter(options)
  const hold = (estimate: number, leaseMs: number, ...more: string[]): Child =>
    start(new URL('children/holds.mjs', import.meta.url), {
      args: [server().url, keyPrefix, JSON.stringify(options), String(estimate), String(leaseMs), ...more],
    })
  return { limiter, hold, keyPrefix }
}

/** Each algorithm, with how much of ten a process holds. */
const all = [['sliding-window', 6], ['token-bucket', 6], ['fixed-window', 6], ['concurrency', 1]] as const

// Side by side: most of it is waiting.
describe.concurrent.each(all)('what a process holds of a %s', (algorithm, held) => {
  it('comes back when it is killed with -9, after its lease and not before', async () => {
    const { limiter, hold } = scene(algorithm, 10)
    const killed = hold(held, 2_000)
    await killed.printed('held')
    expect(await left(limiter, 'key')).toEqual([10 - held])
    const began = performance.now()
    killed.process.kill('SIGKILL')
    expect((await killed.ended).signal).toBe('SIGKILL')
    await waitFor('it to come back', async () => (await left(limiter, 'key'))[0] === 10)
    // It was renewed a third of its lease before its end at the earliest.
    expect(performance.now() - began).toBeGreaterThan(500)
  }, 60_000)

  it('stays held while its event loop is blocked for longer than its lease', async () => {
    const { limiter, hold, keyPrefix } = scene(algorithm, 10)
    const leaseMs = 1_500
    const blocked = hold(held, leaseMs, '4000')
    await blocked.printed('held')
    const began = performance.now()
    let over = false
    const unblocked = blocked.printed('unblocked').then(() => (over = true))
    const seen = new Set<number>()
    await waitFor('it to go on', async () => {
      seen.add((await left(limiter, 'key'))[0] ?? 0)
      return over
    })
    await unblocked
    await outside().call('RPUSH', `${keyPrefix}go`, 'on')
    expect(performance.now() - began).toBeGreaterThan(2 * leaseMs)
    expect([...seen]).toEqual([10 - held])
    const { stdout, ...ending } = await blocked.ended
    expect(ending).toEqual(clean)
    expect(stdout).toContain('released true, aborted false')
    expect(await left(limiter, 'key')).toEqual([10])
  }, 60_000)

  it('is counted once when its commit comes from elsewhere after the process has died', async () => {
    const { limiter, hold } = scene(algorithm, 10)
    const killed = hold(held, 1_000)
    await killed.printed('held')
    killed.process.kill('SIGKILL')
    const id = /id (\w+)/.exec((await killed.ended).stdout)?.[1] ?? ''
    await waitFor('it to come back', async () => (await left(limiter, 'key'))[0] === 10)
    const counted = algorithm === 'concurrency' ? 0 : 4
    expect(await limiter.commit('key', id, 4)).toBe(true)
    expect(await left(limiter, 'key')).toEqual([10 - counted])
    expect(await limiter.commit('key', id, 4)).toBe(false)
    expect(await left(limiter, 'key')).toEqual([10 - counted])
  }, 60_000)
})
