// Overload: a server that is frozen, and a hundred thousand calls at once. What is on its way is bounded,
// by number and by bytes; the excess is refused at once with E_OVERLOADED, and what was accepted is kept.

import { describe, expect, it } from 'vitest'

import { range, slotsTaken } from '../boundary/inside'
import type { InstanceOptions } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene, unhandledDuring } from './outage'

/** So patient that a server which is frozen is late and nothing else. */
const patient = { silenceMs: 60_000, commandTimeoutMs: 60_000 }
const refusal = { name: 'HoldfastError', code: 'E_OVERLOADED', retryable: true, applied: 'no' }

interface Tally {
  accepted: unknown[]
  refused: unknown[]
}

/** Calls, sorted as they settle. */
function tally(calls: Promise<unknown>[]): { tally: Tally; all: Promise<unknown> } {
  const tally: Tally = { accepted: [], refused: [] }
  const noted = calls.map((call) =>
    call.then(
      (answer) => tally.accepted.push(answer),
      (error: unknown) => tally.refused.push(error),
    ),
  )
  return { tally, all: Promise.all(noted) }
}

async function frozen(options: InstanceOptions): Promise<Scene> {
  const scene = await Scene.start(options)
  await scene.cache.set('before', 1)
  scene.server.freeze()
  return scene
}

describe('many more calls at once than may be on their way, to a server that is frozen,', () => {
  it('100,000 of them, are accepted up to maxInFlight and refused beyond it while it is frozen still', async () => {
    await using scene = await frozen({ ...patient, maxInFlight: 1_000 })
    const client = scene.holdfast.redisClient.getClient()
    const unhandled = await unhandledDuring(async () => {
      const { tally: counted, all } = tally(range(100_000).map((n) => client.call('SET', `key:${n}`, n)))
      await waitFor('the excess to be refused', () => counted.refused.length === 99_000, { withinMs: 50_000 })
      expect(counted.accepted).toEqual([])
      for (const error of counted.refused.slice(0, 10)) expect(error).toMatchObject({ ...refusal, operation: 'client.call' })
      expect(new Set(counted.refused.map((error) => (error as { code: string }).code))).toEqual(new Set(['E_OVERLOADED']))
      // Nothing is kept for those that were refused.
      expect(slotsTaken()).toBe(1_000)
      scene.server.thaw()
      await all
      expect(counted.accepted).toEqual(range(1_000).map(() => 'OK'))
    })
    expect(unhandled).toEqual([])
    using judge = await scene.server.client()
    // Those, and what the package keeps itself: its life key, and the one from before.
    const names = range(100_000).map((n) => `${scene.keyPrefix}key:${n}`)
    expect(await judge.call('EXISTS', ...names)).toBe(1_000)
    expect(await judge.call('EXISTS', ...names.slice(0, 1_000))).toBe(1_000)
    // There is room again.
    const { tally: after, all } = tally(range(1_000).map((n) => client.call('SET', `key:${n}`, n)))
    await all
    expect(after.refused).toEqual([])
    expect(scene.events).toEqual(['backend-connected'])
  }, 60_000)

  it('are accepted up to maxInFlightBytes, and refused beyond it', async () => {
    await using scene = await frozen({ ...patient, maxInFlightBytes: 1_048_576 })
    const client = scene.holdfast.redisClient.getClient()
    const text = 't'.repeat(10_000)
    const { tally: counted, all } = tally(range(10_000).map((n) => client.call('SET', `key:${n}`, text)))
    await waitFor('most to be refused', () => counted.refused.length >= 10_000 - 105)
    expect(counted.accepted).toEqual([])
    scene.server.thaw()
    await all
    expect(counted.accepted.length).toBeGreaterThan(50)
    expect(counted.accepted.length).toBeLessThanOrEqual(105)
    for (const error of counted.refused.slice(0, 10)) expect(error).toMatchObject(refusal)
    // One that is larger than the bound goes alone.
    expect(await client.call('SET', 'large', 't'.repeat(2_000_000))).toBe('OK')
  })

  it.each<[string, (cache: Scene['cache'], key: string) => Promise<unknown>]>([
    ['set', (cache, key) => cache.set(key, 1)],
    ['get', (cache, key) => cache.get(key)],
    ['getEntry', (cache, key) => cache.getEntry(key)],
    ['exists', (cache, key) => cache.exists(key)],
    ['delete', (cache, key) => cache.delete(key)],
  ])('of cacheManager.%s are refused with the same code, not with an answer', async (name, call) => {
    await using scene = await frozen({ ...patient, maxInFlight: 500 })
    const { tally: counted, all } = tally(range(20_000).map((n) => call(scene.cache, `key:${n}`)))
    await waitFor('the excess to be settled', () => counted.refused.length + counted.accepted.length === 19_500)
    scene.server.thaw()
    await all
    expect(counted.accepted.length).toBe(500)
    for (const error of counted.refused.slice(0, 10)) expect(error).toMatchObject({ ...refusal, operation: `cacheManager.${name}` })
  })

  it('of which some were accepted keep those, when the outage is noticed', async () => {
    await using scene = await frozen({ maxInFlight: 1_000 })
    const { cache } = scene
    const answers = await Promise.allSettled(range(20_000).map((n) => cache.set(`key:${n}`, n)))
    const kept = range(20_000).filter((n) => {
      const answer = answers[n]
      return answer?.status === 'fulfilled' && answer.value
    })
    expect(kept.length).toBeGreaterThanOrEqual(1_000)
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ isUsingFallback: true, dropped: 0 })
    scene.server.thaw()
    await scene.healed()
    expect(await scene.stored(kept.map((n) => `key:${n}`))).toEqual(kept)
    expect(slotsTaken()).toBe(0)
  })
})
