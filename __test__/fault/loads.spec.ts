// Loads in an outage: so many at once, none lost, and what was loaded is what Redis has afterwards.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { gate } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

async function cutOff(): Promise<Scene> {
  const scene = await Scene.start()
  await scene.cache.set('probe', 1)
  await scene.proxy.set('refuse')
  await scene.degraded()
  return scene
}

describe('while nobody knows yet that Redis is silent', () => {
  it.each([{}, { grace: 60 }])('a caller with %o waits no longer than he said, and the loader gets all of its time', async (grace) => {
    await using scene = await Scene.start({ silenceMs: 2_000 })
    await scene.cache.set('probe', 1)
    await scene.proxy.set('blackhole')
    const signals: AbortSignal[] = []
    const load = async ({ signal }: { signal: AbortSignal }) => (signals.push(signal), await turn(), 'loaded')
    const asking = range(10).map(() => scene.cache.getOrSet('key', load, { ...grace, hardTimeoutMs: 50 }))
    for (const asked of asking) await expect(asked).rejects.toMatchObject({ code: 'E_TIMEOUT', operation: 'cacheManager.getOrSet' })
    expect(signals).toEqual([])
    await scene.degraded()
    await waitFor('what was loaded', async () => (await scene.cache.get('key')) === 'loaded')
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  })

  it('a caller gets what was loaded in his time, though it is not written yet', async () => {
    await using scene = await Scene.start({ silenceMs: 2_000 })
    await scene.cache.set('probe', 1)
    const load = async () => (await scene.proxy.set('blackhole'), 'loaded')
    expect(await scene.cache.getOrSet('key', load, { hardTimeoutMs: 500 })).toBe('loaded')
    expect(scene.holdfast.fallbackManager.getStats().isUsingFallback).toBe(false)
  })
})

describe('loaders in an outage', () => {
  it('run 32 at once and no more, and all of them run', async () => {
    await using scene = await cutOff()
    const answer = gate()
    let running = 0
    let most = 0
    const asking = range(100).map((n) =>
      scene.cache.getOrSet(`key:${n}`, async () => {
        most = Math.max(most, ++running)
        await answer.opened
        running--
        return n
      }),
    )
    await waitFor('as many as may', () => running === 32)
    for (const _ of range(50)) await turn()
    expect(running).toBe(32)
    answer.open()
    expect(await Promise.all(asking)).toEqual(range(100))
    expect(most).toBe(32)
  })

  it('that call for another one have room for it: none waits for itself', async () => {
    await using scene = await cutOff()
    const { cache } = scene
    const nested = (n: number) => cache.getOrSet(`outer:${n}`, async () => `${await cache.getOrSet(`inner:${n}`, async () => n)} of ${n}`)
    expect(await Promise.all(range(64).map(nested))).toEqual(range(64).map((n) => `${n} of ${n}`))
  })

  it('that fail make room for others', async () => {
    await using scene = await cutOff()
    const failing = range(100).map((n) => scene.cache.getOrSet(`fails:${n}`, async () => Promise.reject(new Error(`no ${n}`))))
    const settled = await Promise.allSettled(failing)
    expect(settled.map(({ status }) => status)).toEqual(range(100).map(() => 'rejected'))
    expect(await scene.cache.getOrSet('works', async () => 'loaded')).toBe('loaded')
  })

  it('that hang keep no room when their time is over, and one whose time is over gets none', async () => {
    await using scene = await cutOff()
    const { cache } = scene
    const hung = () => new Promise<never>(() => {})
    const hanging = range(32).map((n) => cache.getOrSet(`hung:${n}`, hung, { hardTimeoutMs: 300 }))
    let isLate = false
    const late = cache.getOrSet('late', () => (isLate = true), { hardTimeoutMs: 1 })
    const waiting = cache.getOrSet('waits', () => 'loaded')
    await expect(late).rejects.toMatchObject({ code: 'E_TIMEOUT' })
    for (const { status } of await Promise.allSettled(hanging)) expect(status).toBe('rejected')
    expect(await waiting).toBe('loaded')
    expect(await cache.getOrSet('later', () => 'loaded')).toBe('loaded')
    expect(isLate).toBe(false)
  })

  it('that wait for those that hang run when Redis answers again', async () => {
    await using scene = await cutOff()
    const { cache } = scene
    let hanging = 0
    for (const n of range(32)) cache.getOrSet(`hung:${n}`, () => (hanging++, new Promise<never>(() => {}))).catch(() => {})
    await waitFor('as many as may', () => hanging === 32)
    const waiting = range(50).map((n) => cache.getOrSet(`waits:${n}`, () => n))
    await turn()
    await scene.proxy.set('pass')
    expect(await Promise.all(waiting)).toEqual(range(50))
  })

  it('of what memory has no room for hold up nobody', async () => {
    await using scene = await Scene.start({ fallback: { maxMemoryMb: 1 } })
    await scene.cache.set('probe', 1)
    await scene.proxy.set('refuse')
    await scene.degraded()
    const large = 'x'.repeat(2_000_000)
    let loads = 0
    for (let time = 0; time < 3; time++) {
      const value = await scene.cache.getOrSet('large', () => (loads++, large), { compress: false, hardTimeoutMs: 5_000 })
      expect(value === large).toBe(true)
    }
    expect(loads).toBe(3)
    expect(scene.cache.getStats()).toMatchObject({ fenced: 0, refused: 3 })
  })

  it('of many keys are one', async () => {
    await using scene = await cutOff()
    const keys = range(100).map((n) => `key:${n}`)
    const asked: number[] = []
    const load = async (missing: readonly string[]) => (asked.push(missing.length), missing)
    expect(await scene.cache.getOrSetMany(keys, load)).toEqual(keys)
    expect(asked).toEqual([100])
  })

  it('run once for all who ask in this process, and what they bring is in Redis afterwards', async () => {
    await using scene = await cutOff()
    let runs = 0
    const load = async (): Promise<string> => (await turn(), `run ${++runs}`)
    expect(new Set(await Promise.all(range(50).map(() => scene.cache.getOrSet('once', load))))).toEqual(new Set(['run 1']))
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['once'])).toEqual(['run 1'])
  })

  it('that began before it are kept by memory, and are in Redis afterwards', async () => {
    await using scene = await Scene.start()
    const [started, answer] = [gate(), gate<string>()]
    const loading = scene.cache.getOrSet('midway', () => (started.open(), answer.opened))
    await started.opened
    await scene.proxy.set('refuse')
    await scene.degraded()
    answer.open('loaded')
    expect(await loading).toBe('loaded')
    expect(await scene.cache.getEntry('midway')).toMatchObject({ value: 'loaded', source: 'memory' })
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['midway'])).toEqual(['loaded'])
  })

  it('that began before it do not bring back what is deleted in it', async () => {
    await using scene = await Scene.start()
    const [started, answer] = [gate(), gate<string>()]
    const loading = scene.cache.getOrSet('midway', () => (started.open(), answer.opened))
    await started.opened
    await scene.proxy.set('refuse')
    await scene.degraded()
    await scene.cache.delete('midway')
    answer.open('loaded before the delete')
    expect(await loading).toBe('loaded before the delete')
    expect(await scene.cache.get('midway')).toBeNull()
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['midway'])).toEqual([null])
  })

  it('serve old values where grace keeps them, from copies that were read before', async () => {
    await using scene = await Scene.start()
    const { cache } = scene
    await cache.set('graced', 'old', { ttl: 0.02, grace: 60 })
    await waitFor('it to be stale', async () => !(await cache.exists('graced')))
    expect(await cache.get('graced', { allowStale: true })).toBe('old')
    await scene.proxy.set('refuse')
    await scene.degraded()
    expect(await cache.getOrSet('graced', async () => Promise.reject(new Error('no')), { grace: 60 })).toBe('old')
  })
})
