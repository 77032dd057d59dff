// A server that goes up and down: the dialling stays bounded, memory stays bounded, what is told is in
// order, and when it stays up everything that was acknowledged is there.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene, unhandledDuring } from './outage'

const ROUNDS = 8
/** How long it is up, and how long down. The fault itself; nothing is expected of it. */
const spell = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 250))

describe('a server that goes up and down', () => {
  // Side by side: most of it is waiting.
  it.concurrent.each(['refuse', 'reset', 'blackhole'] as const)('by %s is dialled within bounds, and loses nothing', async (fault) => {
    await using scene = await Scene.start({ fallback: { maxMemoryMb: 1 } })
    const { cache, events, holdfast, proxy } = scene
    await Promise.all([cache.set('before', 1), cache.set('deleted', 1)])
    const steps: [from: string, to: string][] = []
    holdfast.on('state-change', ({ from, to }) => steps.push([from, to]))
    let longest = 0
    let calls = 0
    const unhandled = await unhandledDuring(async () => {
      for (const round of range(ROUNDS)) {
        await proxy.set(fault)
        const busy = async (until: Promise<void>): Promise<void> => {
          let over = false
          void until.then(() => (over = true))
          while (!over) {
            const n = calls++ % 100
            expect(await cache.set(`key:${n}`, { round, n })).toBe(true)
            expect(await cache.get(`key:${n}`)).toEqual({ round, n })
            // Room for the proxy and the timers, where memory answers at once.
            await new Promise((resolve) => setImmediate(resolve))
          }
        }
        await busy(spell())
        await cache.delete('deleted')
        await proxy.set('pass')
        await busy(spell())
        longest = Math.max(longest, holdfast.fallbackManager.getStats().memoryUsage)
      }
    })
    expect(unhandled).toEqual([])
    // The shortest pause makes it five in a spell; without pauses it would be thousands.
    expect(proxy.counts.connections).toBeLessThan(ROUNDS * 20)
    expect(holdfast.redisClient.getConnectionState().connectionAttempts).toBeLessThan(ROUNDS * 20)
    expect(longest).toBeLessThanOrEqual(1)
    for (const [at, [from]] of steps.entries()) if (at > 0) expect(from).toBe(steps[at - 1]?.[1])
    const told = events.filter((name) => name === 'backend-connected' || name === 'backend-disconnected')
    for (const [at, name] of told.entries()) expect(name).toBe(at % 2 === 0 ? 'backend-connected' : 'backend-disconnected')
    expect(told.length).toBeLessThanOrEqual(2 * ROUNDS + 1)

    // The return is held back for longer each time.
    await scene.healed(30_000)
    await cache.set('last', 1)
    const last = await Promise.all(range(100).map((n) => cache.get(`key:${n}`)))
    expect(await scene.stored(range(100).map((n) => `key:${n}`))).toEqual(last)
    expect(last.filter((value) => value === null).length).toBe(Math.max(0, 100 - calls))
    expect(await scene.stored(['before', 'deleted', 'last'])).toEqual([1, null, 1])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ dropped: 0, journalDepth: 0 })
    await waitFor('one connection for commands and one that tells of changes', () => proxy.counts.open === 2)
  }, 60_000)
})
