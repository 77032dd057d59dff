// What is no fault of the server: a large value on a slow link, somebody else's script, a connection that
// idled too long, one that breaks with much on its way. It degrades nobody.

import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

/** Every step of the instance's state. */
function stepsOf({ holdfast }: Scene): string[] {
  const steps: string[] = []
  holdfast.on('state-change', ({ to }) => steps.push(to))
  return steps
}

function isUntouched({ events, holdfast }: Scene, steps: string[]): void {
  expect(events).toEqual(['backend-connected'])
  expect(steps).not.toContain('degraded')
  expect(holdfast.fallbackManager.getStats()).toMatchObject({ isUsingFallback: false, journalDepth: 0, dropped: 0 })
}

describe('a value of 32 MB on a slow link', () => {
  it('is written and read, and so is everything beside it', async () => {
    // Long enough for a starved machine, and far below what the transfer takes.
    await using scene = await Scene.start({ silenceMs: 1_500 })
    const steps = stepsOf(scene)
    const { cache, proxy } = scene
    await cache.set('small', 'here')
    // Text that no compression makes small.
    const large = randomBytes(24 * 1024 * 1024).toString('base64')
    // Five seconds each way: longer than silence may last and a probe may take together.
    await proxy.set({ bytesPerSecond: 6_500_000 })
    const beside = async (until: Promise<unknown>): Promise<number> => {
      let over = false
      const ended = until.finally(() => (over = true))
      let calls = 0
      while (!over) {
        expect(await cache.getEntry('small', { skipL1: true })).toMatchObject({ value: 'here', source: 'redis' })
        expect(await cache.set(`beside:${calls % 10}`, calls)).toBe(true)
        calls += 1
      }
      await ended
      return calls
    }
    const written = cache.set('large', large)
    expect(await beside(written)).toBeGreaterThan(5)
    expect(await written).toBe(true)
    const read = cache.getEntry<string>('large')
    expect(await beside(read)).toBeGreaterThan(5)
    const entry = await read
    expect(entry?.source).toBe('redis')
    expect(entry?.value === large).toBe(true)
    isUntouched(scene, steps)
  })
})

describe('a script of two seconds', () => {
  const script = `
    local begin = redis.call('TIME')
    repeat
      local now = redis.call('TIME')
      local passed = (now[1] - begin[1]) * 1000000 + now[2] - begin[2]
    until passed > 2000000
    return 'done'`

  /** It runs when this resolves. */
  async function startElsewhere({ server }: Scene): Promise<{ ended: Promise<unknown> } & Disposable> {
    const other = await server.client()
    const ended = other.call('EVAL', script, 0)
    ended.catch(() => {})
    using judge = await server.client()
    await waitFor('the script to run', async () => {
      let answered = false
      void judge.call('PING').then(() => (answered = true), () => {})
      // Not answered for so long: the server is busy.
      await new Promise((resolve) => setTimeout(resolve, 100))
      return !answered
    })
    return { ended, [Symbol.dispose]: () => other.close() }
  }

  it('of our own is waited for', async () => {
    await using scene = await Scene.start()
    const steps = stepsOf(scene)
    const { cache, holdfast } = scene
    await cache.set('before', 1)
    const client = holdfast.redisClient.getClient()
    const calls = [client.call('EVAL', script, 0), cache.getEntry('before'), cache.set('during', 1), cache.delete('before')]
    expect(await Promise.all(calls)).toEqual(['done', expect.objectContaining({ value: 1, source: 'redis' }), true, true])
    expect(await scene.stored(['during', 'before'])).toEqual([1, null])
    isUntouched(scene, steps)
  })

  // One of somebody else can't be told from a server that is frozen.
  it('by somebody else costs no answer and no write, whoever answers meanwhile', async () => {
    await using scene = await Scene.start()
    const { cache } = scene
    await cache.set('before', 1)
    expect(await cache.get('before')).toBe(1)
    using other = await startElsewhere(scene)
    const calls = [cache.get('before'), ...range(100).map((n) => cache.set(`key:${n}`, n)), cache.getOrSet('loaded', () => 'fresh')]
    expect(await Promise.all(calls)).toEqual([1, ...range(100).map(() => true), 'fresh'])
    await cache.delete('before')
    expect(await Promise.all(range(100).map((n) => cache.get(`key:${n}`)))).toEqual(range(100))
    expect(await cache.get('before')).toBeNull()
    expect(await other.ended).toBe('done')
    await scene.healed()
    expect(await scene.stored(['before', 'loaded', ...range(100).map((n) => `key:${n}`)])).toEqual([null, 'fresh', ...range(100)])
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0 })
  })
})

describe('a server that closes what idles (CONFIG SET timeout)', () => {
  it('is connected again each time, and answers as if nothing had been', async () => {
    // The connection that tells of changes never idles; here only that for commands is looked at.
    await using scene = await Scene.start({ nearCache: 'off' })
    const steps = stepsOf(scene)
    const { cache, holdfast, proxy } = scene
    await cache.set('there', 1)
    await scene.outside((outside) => outside.call('CONFIG', 'SET', 'timeout', '1'))
    for (const round of range(3)) {
      const before = proxy.counts.connections
      await waitFor('the connection to be replaced', () => proxy.counts.connections > before)
      expect(await cache.getEntry('there'), `round ${round}`).toMatchObject({ value: 1, source: 'redis' })
      expect(await cache.set(`round:${round}`, round)).toBe(true)
      expect(await holdfast.redisClient.getClient().call('PING')).toBe('PONG')
    }
    expect(await scene.stored(range(3).map((n) => `round:${n}`))).toEqual(range(3))
    expect(proxy.counts.open).toBe(1)
    isUntouched(scene, steps)
  })
})

describe('a connection that breaks with much on its way', () => {
  it('is one failure, not one for each call', async () => {
    await using scene = await Scene.start({ silenceMs: 60_000 })
    const steps = stepsOf(scene)
    const { cache, proxy } = scene
    await cache.set('before', 1)
    await proxy.set('blackhole', 'toServer')
    const calls: Promise<boolean>[] = []
    for (const n of range(30)) {
      const waiting = proxy.waiting
      calls.push(cache.set(`key:${n}`, n))
      // Each by itself.
      await waitFor('it to leave', () => proxy.waiting > waiting)
    }
    proxy.abandon()
    await proxy.set('pass')
    expect(await Promise.all(calls)).toEqual(calls.map(() => true))
    expect(await cache.getEntry('before')).toMatchObject({ value: 1, source: 'redis' })
    expect(await scene.stored(range(30).map((n) => `key:${n}`))).toEqual(range(30))
    isUntouched(scene, steps)
  })
})
