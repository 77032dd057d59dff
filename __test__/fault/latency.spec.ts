// A network so slow that deadlines pass: each call settles once, raw ones say that nobody knows, late
// replies reach nobody, and nothing that was acknowledged is lost.

import { describe, expect, it } from 'vitest'

import { range, slotsTaken } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene, unhandledDuring } from './outage'

describe('a delay within the deadline', () => {
  it('and a jitter as large degrade nobody and mix nothing up', async () => {
    await using scene = await Scene.start()
    const { cache, events, holdfast, proxy } = scene
    await cache.set('before', 1)
    await proxy.set({ delay: 40, jitter: 80 })
    for (const round of range(5)) {
      const answers = await Promise.all(
        range(100).map(async (n) => {
          const kept = await cache.set(`key:${n}`, { n, round })
          return [kept, await cache.getEntry(`key:${n}`)]
        }),
      )
      const source = 'redis'
      expect(answers).toEqual(range(100).map((n) => [true, expect.objectContaining({ value: { n, round }, source })]))
    }
    expect(await holdfast.redisClient.pipeline([{ command: 'INCR', args: ['a'] }, { command: 'INCR', args: ['a'] }])).toEqual([1, 2])
    expect(events).toEqual(['backend-connected'])
  })
})

describe('a delay of twice the deadline, with jitter', () => {
  // Silence is no matter here: the deadline alone ends a call.
  const options = { commandTimeoutMs: 150, silenceMs: 20_000 }

  it('fails raw commands with E_TIMEOUT, once, and their late replies answer nobody', async () => {
    await using scene = await Scene.start(options)
    const { holdfast, proxy } = scene
    const client = holdfast.redisClient.getClient()
    await client.call('SET', 'counter', 0)
    await proxy.set({ delay: 300, jitter: 150 })
    const unhandled = await unhandledDuring(async () => {
      const answers = await Promise.allSettled([...range(50).map((n) => client.call('ECHO', `late ${n}`)), client.call('INCR', 'counter')])
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'E_TIMEOUT', applied: 'unknown', retryable: false } })
      }
    })
    expect(unhandled).toEqual([])
    expect(slotsTaken()).toBe(0)
    await proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    expect(await Promise.all(range(50).map((n) => client.call('ECHO', `later ${n}`)))).toEqual(range(50).map((n) => `later ${n}`))
    // It was sent once, and carried out once or not at all.
    expect(['0', '1']).toContain(await client.call('GET', 'counter'))
  })

  it('is answered for from memory, and everything acknowledged is there when it has gone', async () => {
    await using scene = await Scene.start(options)
    const { cache, holdfast, proxy } = scene
    await Promise.all([cache.set('deleted', 'before'), cache.set('replaced', 'before')])
    expect(await Promise.all([cache.get('deleted'), cache.get('replaced')])).toEqual(['before', 'before'])
    const steps: [from: string, to: string][] = []
    holdfast.on('state-change', ({ from, to }) => steps.push([from, to]))
    await proxy.set({ delay: 300, jitter: 150 })
    const unhandled = await unhandledDuring(async () => {
      for (const round of range(4)) {
        const kept = await Promise.all(range(50).map((n) => cache.set(`key:${n}`, { n, round })))
        expect(kept).toEqual(range(50).map(() => true))
        expect(await cache.set('replaced', round)).toBe(true)
        await cache.delete('deleted')
        expect(await Promise.all(range(50).map((n) => cache.get(`key:${n}`)))).toEqual(range(50).map((n) => ({ n, round })))
        expect(await Promise.all([cache.get('replaced'), cache.get('deleted')])).toEqual([round, null])
      }
    })
    expect(unhandled).toEqual([])
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(range(50).map((n) => `key:${n}`))).toEqual(range(50).map((n) => ({ n, round: 3 })))
    expect(await scene.stored(['replaced', 'deleted'])).toEqual([3, null])
    // One state leads to the next; none is skipped and none is told twice.
    for (const [at, [from]] of steps.entries()) if (at > 0) expect(from).toBe(steps[at - 1]?.[1])
  })
})
