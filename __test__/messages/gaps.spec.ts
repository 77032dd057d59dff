// Whoever listens is told that something may have been missed, and since when, whatever interrupted it.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { patient } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { fresh, hears, listening } from './messages'

interface Interruption {
  name: string
  begin: (scene: Scene) => Promise<unknown>
  end: (scene: Scene) => Promise<unknown>
  /** Others can publish while it lasts. */
  reachable: boolean
}

const interruptions: Interruption[] = [
  {
    name: 'a connection that is killed',
    begin: (scene) => scene.outside((client) => client.pipeline([['CLIENT', 'KILL', 'TYPE', 'pubsub'], ['PUBLISH', `${scene.keyPrefix}room`, 'missed']])),
    end: () => Promise.resolve(),
    reachable: true,
  },
  { name: 'a server that is killed', begin: (scene) => scene.server.kill(), end: (scene) => scene.server.start(), reachable: false },
  {
    name: 'a server that is frozen',
    begin: async (scene) => scene.server.freeze(),
    end: async (scene) => scene.server.thaw(),
    reachable: false,
  },
  { name: 'a network that refuses', begin: (scene) => scene.proxy.set('refuse'), end: (scene) => scene.proxy.set('pass'), reachable: true },
  { name: 'a network that is silent', begin: (scene) => scene.proxy.set('blackhole'), end: (scene) => scene.proxy.set('pass'), reachable: true },
]

describe.concurrent.each(interruptions)('after $name', ({ name, begin, end, reachable }) => {
  it('channels and patterns are told of one gap, since before what was missed, and go on', async () => {
    await using scene = await Scene.start()
    const { holdfast, keyPrefix, server } = scene
    const { pubSubManager } = holdfast
    const [channel, pattern] = [hears(), hears()]
    await pubSubManager.subscribe('room', channel.handler, { onGap: channel.onGap })
    await pubSubManager.subscribe('ro*', pattern.handler, { pattern: true, onGap: pattern.onGap })
    await pubSubManager.publish('room', 'before')
    await Promise.all([channel.until(1), pattern.until(1)])
    expect([channel.gaps, pattern.gaps]).toEqual([[], []])
    const began = Date.now()
    await begin(scene)
    // Who can reach the server publishes at once; nobody can while there is none.
    if (reachable) await scene.outside((client) => client.call('PUBLISH', `${keyPrefix}room`, 'missed'))
    let missed = Date.now()
    if (name !== 'a connection that is killed') await scene.degraded()
    if (!reachable) missed = Date.now()
    await end(scene)
    await waitFor('the gaps', () => channel.gaps.length > 0 && pattern.gaps.length > 0)
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    const back = Date.now()
    using outside = await server.client()
    await waitFor('somebody to listen', async () => (await listening(outside)).length > 0)
    await outside.call('PUBLISH', `${keyPrefix}room`, 'after')
    for (const heard of [channel, pattern]) {
      expect(await heard.untilData('after')).toEqual(['before', 'after'])
      expect(heard.gaps).toEqual([{ reason: 'reconnected', since: expect.any(Number), missed: null }])
      const [gap] = heard.gaps
      // What was published in it is not before it; a ms for two clocks that are rounded.
      expect(gap!.since, `since ${gap!.since - began} ms after it began, for what was missed ${missed - began} ms after`).toBeLessThanOrEqual(missed + 1)
      expect(gap!.since).toBeGreaterThanOrEqual(began - 2_000)
      expect(gap!.since).toBeLessThanOrEqual(back)
    }
  })
})

describe.concurrent('a gap', () => {
  it('is told to handlers of the event, and not to those that were taken off or have left', async () => {
    await using scene = await Scene.start(patient)
    const { pubSubManager } = scene.holdfast
    const [stays, off, left] = [hears(), hears(), hears()]
    const subscription = await pubSubManager.subscribe('room', () => {})
    subscription.on('gap', () => {
      throw new Error('of the listener')
    })
    subscription.on('gap', stays.onGap).on('gap', off.onGap).off('gap', off.onGap)
    const leaver = await pubSubManager.subscribe('room', () => {}, { onGap: left.onGap })
    await leaver.unsubscribe()
    await scene.outside((client) => client.call('CLIENT', 'KILL', 'TYPE', 'pubsub'))
    await waitFor('the gap', () => stays.gaps.length > 0)
    expect([off.gaps, left.gaps]).toEqual([[], []])
  })

  it('is not told to those who came after it', async () => {
    await using scene = await Scene.start(patient)
    const { pubSubManager } = scene.holdfast
    const [first, second] = [hears(), hears()]
    await pubSubManager.subscribe('room', () => {}, { onGap: first.onGap })
    await scene.outside((client) => client.call('CLIENT', 'KILL', 'TYPE', 'pubsub'))
    await waitFor('the gap', () => first.gaps.length > 0)
    await pubSubManager.subscribe('room', () => {}, { onGap: second.onGap })
    await pubSubManager.subscribe('other', second.handler, { onGap: second.onGap })
    await pubSubManager.publish('other', 1)
    await second.until(1)
    expect(second.gaps).toEqual([])
  })

  it('is told again and again, once for each interruption', async () => {
    await using scene = await Scene.start(patient)
    const heard = hears()
    await scene.holdfast.pubSubManager.subscribe('room', heard.handler, { onGap: heard.onGap })
    for (let round = 1; round <= 4; round++) {
      await scene.outside((client) => client.call('CLIENT', 'KILL', 'TYPE', 'pubsub'))
      await waitFor('the gap', () => heard.gaps.length >= round)
      await scene.holdfast.pubSubManager.publish('room', round)
      await heard.untilData(round)
    }
    expect(heard.gaps).toHaveLength(4)
  })

  it('is none while a slow network goes on bringing messages', { timeout: 60_000 }, async () => {
    await using scene = await Scene.start(patient)
    const { holdfast, keyPrefix } = scene
    const heard = hears()
    await holdfast.pubSubManager.subscribe('room', heard.handler, { onGap: heard.onGap })
    await scene.proxy.set({ bytesPerSecond: 1_500_000 }, 'toClient')
    const text = 'x'.repeat(100_000)
    await scene.outside((client) => client.pipeline(Array.from({ length: 60 }, () => ['PUBLISH', `${keyPrefix}room`, text])))
    await waitFor('all of them, or a gap', () => heard.messages.length === 60 || heard.gaps.length > 0, { withinMs: 30_000 })
    expect(heard.gaps).toEqual([])
    expect(heard.messages).toHaveLength(60)
  })
})

// It stops this event loop: nothing else may go on meanwhile.
describe('a gap of a process that is busy', () => {
  it('is told with the number of messages that found no room while this process was busy', { timeout: 60_000 }, async () => {
    await using scene = await Scene.start(patient, { args: ['--client-output-buffer-limit', 'pubsub 0 0 0'] })
    const { keyPrefix, server } = scene
    // The proxy stands still with this event loop.
    const holdfast = scene.open({ url: server.url, ...patient })
    const heard = hears()
    await holdfast.pubSubManager.subscribe(fresh('large'), () => {})
    await holdfast.pubSubManager.subscribe('room', heard.handler, { onGap: heard.onGap })
    // Nothing of this event loop goes on while another process publishes.
    const program = fileURLToPath(new URL('children/publishes-large.mjs', import.meta.url))
    execFileSync(process.execPath, [program, String(server.port), `${keyPrefix}room`, '90'])
    await waitFor('a gap', () => heard.gaps.length > 0)
    await holdfast.pubSubManager.publish('room', 'end')
    await heard.untilData('end')
    expect(heard.gaps.map(({ reason }) => reason)).toEqual(['overflow'])
    expect(heard.messages.length).toBeLessThan(70)
    expect(heard.messages.length - 1 + heard.gaps[0]!.missed!).toBe(90)
  })
})

describe('where Redis answers and nobody can listen', () => {
  it('this process hears what it publishes at once, and persistent messages no second time with their place', async () => {
    await using scene = await Scene.start(patient)
    using outside = await scene.server.client()
    const { pubSubManager } = scene.holdfast
    const [plain, kept] = [hears(), hears()]
    await pubSubManager.subscribe('plain', plain.handler)
    await pubSubManager.subscribe('kept', kept.handler, { persistent: true, onGap: kept.onGap })
    await pubSubManager.publish('kept', 0, { persistent: true })
    await kept.until(1)
    // Those that are open stay, and no other is let in.
    await outside.call('CONFIG', 'SET', 'maxclients', 1)
    await outside.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await waitFor('the broken connection to be noticed', async () => {
      await pubSubManager.publish('plain', 'probe')
      return plain.messages.length > 0
    })
    for (const n of [1, 2, 3]) {
      await pubSubManager.publish('plain', n)
      await pubSubManager.publish('kept', n, { persistent: true })
    }
    expect(await kept.until(4)).toEqual([0, 1, 2, 3])
    expect(kept.messages.at(-1)).not.toHaveProperty('eventId')
    await outside.call('CONFIG', 'SET', 'maxclients', 10_000)
    await waitFor('the connection that listens', async () => (await listening(outside)).length === 1)
    await pubSubManager.publish('kept', 4, { persistent: true })
    expect(await kept.until(5)).toEqual([0, 1, 2, 3, 4])
    expect((await plain.untilData(3)).filter((data) => data !== 'probe')).toEqual([1, 2, 3])
  })
})
