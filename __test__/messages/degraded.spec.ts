// While Redis does not answer messages reach this process at once; the others get them when it is back, in order, marked
// late, and nobody here gets them twice. Another process that reaches the server all the time judges.
import { describe, expect, it } from 'vitest'
import { range, turn } from '../boundary/inside'
import { asAnother, type InstanceOptions } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { Foreign, hears, listenersOf, listening, type Heard, type Manager, type SubscribeOptions } from './messages'

/** An instance behind the proxy, and another process that reaches the server. */
async function start(options: InstanceOptions = {}): Promise<{ scene: Scene; own: Manager; other: Manager }> {
  const scene = await Scene.start(options)
  const other = scene.open({ url: scene.server.url, ...asAnother }).pubSubManager
  await scene.cache.set('probe', 1)
  return { scene, own: scene.holdfast.pubSubManager, other }
}

const ears = (scene: Scene): Promise<number> => scene.outside(async (client) => (await listening(client)).length)
const earsBefore = new WeakMap<Scene, number>()

async function leave(scene: Scene): Promise<void> {
  earsBefore.set(scene, await ears(scene))
  await scene.proxy.set('refuse')
  await scene.degraded()
}

/** Redis answers, has everything that waited, and tells of what is published. */
async function comeBack(scene: Scene, listeners = earsBefore.get(scene) ?? 0): Promise<void> {
  await scene.proxy.set('pass')
  await scene.healed()
  await waitFor('the server to tell of what is published', async () => (await ears(scene)) >= listeners)
}

async function heardOn(manager: Manager, channel: string, options: SubscribeOptions = {}): Promise<Heard> {
  const heard = hears()
  await manager.subscribe(channel, heard.handler, { onGap: heard.onGap, ...options })
  return heard
}

describe.concurrent('a message that is published while Redis is away', () => {
  it('reaches this process at once, says so, and reaches others in order when Redis is back', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const [here, pattern, there] = [await heardOn(own, 'room'), await heardOn(own, 'ro*', { pattern: true }), await heardOn(other, 'room')]
    await leave(scene)
    for (const n of range(50)) expect(await own.publish('room', n, { userId: 'u' })).toBe(true)
    await turn()
    expect(here.data()).toEqual(range(50))
    expect(pattern.data()).toEqual(range(50))
    expect(here.messages[0]).toMatchObject({ channel: 'room', degraded: true, userId: 'u' })
    expect(here.messages[0]).not.toHaveProperty('late')
    expect(there.data()).toEqual([])
    expect(scene.holdfast.getChannelStats('room')[0]).toMatchObject({ backend: 'memory', messagesPublished: 50 })
    await comeBack(scene)
    await own.publish('room', 'after')
    expect(await there.untilData('after')).toEqual([...range(50), 'after'])
    expect(there.messages.map(({ late }) => late)).toEqual([...range(50).map(() => true), undefined])
    expect(there.messages.some((message) => 'degraded' in message)).toBe(false)
    expect(there.messages.map(({ id }) => id).slice(0, 50)).toEqual(here.messages.map(({ id }) => id).slice(0, 50))
    for (const heard of [here, pattern]) expect(await heard.untilData('after')).toEqual([...range(50), 'after'])
  })

  it('goes in order with those that are published while Redis comes back', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const [here, there] = [await heardOn(own, 'room'), await heardOn(other, 'room')]
    const count = { n: 0 }
    const send = async (times: number): Promise<void> => {
      for (const _ of range(times)) expect(await own.publish('room', count.n++, { persistent: true, maxLength: 100_000 })).toBe(true)
    }
    for (const _ of range(3)) {
      await send(20)
      await leave(scene)
      // More than go at once.
      await send(1_300)
      const back = comeBack(scene)
      let done = false
      void back.then(() => (done = true))
      while (!done) {
        await send(5)
        // Not as fast as it can: whoever publishes faster than the server takes it is never done.
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await back
    }
    await own.publish('room', 'end')
    await there.untilData('end')
    await here.untilData('end')
    expect(there.data()).toEqual([...range(count.n), 'end'])
    expect(here.data()).toEqual([...here.data()].sort((a, b) => (a === 'end' ? 1 : b === 'end' ? -1 : (a as number) - (b as number))))
    expect(new Set(here.data()).size).toBe(here.data().length)
  })

  it('that was on its way when the server died comes once to this process, and to others', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const [here, there] = [await heardOn(own, 'room'), await heardOn(other, 'room')]
    await own.publish('room', 'first')
    await Promise.all([here.until(1), there.until(1)])
    for (const round of range(3)) {
      // The server takes them, and its answers are lost.
      await scene.proxy.set('blackhole', 'toClient')
      const sent = Promise.all(range(20).map((n) => own.publish('room', `${round}:${n}`)))
      await waitFor('the server to have told the other', () => there.data().includes(`${round}:19`))
      earsBefore.set(scene, 2)
      await scene.proxy.set('refuse')
      expect(await sent).toEqual(range(20).map(() => true))
      await scene.degraded()
      await comeBack(scene)
    }
    await own.publish('room', 'end')
    const expected = ['first', ...range(3).flatMap((round) => range(20).map((n) => `${round}:${n}`)), 'end']
    expect(await there.untilData('end')).toEqual(expected)
    expect(await here.untilData('end')).toEqual(expected)
  })

  it('to a server that is killed is not lost, whenever that is', async () => {
    const { scene, own } = await start()
    await using _ = scene
    const here = await heardOn(own, 'room')
    const sent = range(100).map((n) => own.publish('room', n))
    const killed = scene.server.kill()
    sent.push(...range(100).map((n) => own.publish('room', n + 100)))
    expect((await Promise.all(sent)).every((one) => one)).toBe(true)
    await killed
    await scene.degraded()
    await scene.server.start()
    await comeBack(scene, 1)
    await own.publish('room', 'end')
    await here.untilData('end')
    expect(here.data()).toEqual([...range(200), 'end'])
  })

  it('is one of so many of its channel, of which the oldest go', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const there = await heardOn(other, '*', { pattern: true })
    await leave(scene)
    for (const n of range(150)) await own.publish('many', n)
    for (const n of range(5)) await own.publish('few', `few ${n}`)
    await comeBack(scene)
    await own.publish('many', 'end')
    await there.untilData('end')
    const of = (channel: string): unknown[] => there.messages.filter((message) => message.channel === channel).map(({ data }) => data)
    expect(of('many')).toEqual([...range(100).map((n) => n + 50), 'end'])
    expect(of('few')).toEqual(range(5).map((n) => `few ${n}`))
  })

  it.each([0, 1, 7])('is one of %i of its channel where that is said', async (bufferSize) => {
    const { scene, other } = await start()
    await using _ = scene
    const own = scene.holdfast.createPubSubManager({ bufferSize })
    const there = await heardOn(other, 'room')
    await leave(scene)
    for (const n of range(20)) expect(await own.publish('room', n)).toBe(true)
    await comeBack(scene)
    await own.publish('room', 'end')
    expect(await there.untilData('end')).toEqual([...range(bufferSize).map((n) => 20 - bufferSize + n), 'end'])
  })

  it('is never given up if it is persistent', async () => {
    const { scene, other } = await start()
    await using _ = scene
    const own = scene.holdfast.createPubSubManager({ bufferSize: 5, maxBuffer: 5 })
    const there = await heardOn(other, 'room')
    await leave(scene)
    for (const n of range(300)) await own.publish('room', n, { persistent: true })
    for (const n of range(20)) await own.publish('room', `plain ${n}`)
    await comeBack(scene)
    await own.publish('room', 'end')
    await there.untilData('end')
    await there.until(306)
    expect(there.data()).toEqual([...range(300), ...range(5).map((n) => `plain ${n + 15}`), 'end'])
    const kept = await other.getPersistentMessages('room', 1_000)
    expect(kept.map(({ data }) => data).reverse()).toEqual(range(300))
  })

  it('comes with all others though no connection lasts for them, kept once', async () => {
    const { scene, own, other } = await start({ breaker: false })
    await using _ = scene
    const there = await heardOn(other, 'room')
    await leave(scene)
    const options = { persistent: true, maxLength: 100_000 }
    const sent = [...range(4_000).map((n) => `${n} ${'x'.repeat(200)}`), 'end']
    await Promise.all(sent.slice(0, -1).map((data) => own.publish('room', data, options)))
    // Enough for a connection to open, and for a part of them.
    await scene.proxy.set({ cutAfter: 500_000 }, 'toServer')
    await scene.healed()
    const connections = scene.proxy.counts.connections
    await scene.proxy.set('pass')
    await own.publish('room', 'end', options)
    await there.untilData('end')
    const seen = there.data()
    expect(seen.filter((data, at) => seen.indexOf(data) === at)).toEqual(sent)
    const kept = await scene.outside((client) => client.call('XRANGE', `${scene.keyPrefix}stream:room`, '-', '+'))
    const numbers = (kept as [string, [string, string]][]).map(([, [, text]]) => (JSON.parse(`{${text}`) as { data: unknown }).data)
    expect(numbers).toEqual(sent)
    expect(connections).toBeGreaterThan(4)
  })

  it('goes before what is published while many come back, of which nothing is given up', async () => {
    const { scene, own, other } = await start({ commandTimeoutMs: 60_000 })
    await using _ = scene
    const [here, there] = [await heardOn(own, 'room'), await heardOn(other, 'room')]
    await leave(scene)
    const late = range(6_000).map((n) => `${n} ${'x'.repeat(200)}`)
    await Promise.all(late.map((data) => own.publish('room', data, { persistent: true, maxLength: 100_000 })))
    // Slow enough for others to come in between.
    await scene.proxy.set({ bytesPerSecond: 1_500_000 }, 'toServer')
    await waitFor('some to come', () => there.messages.length > 0)
    expect(there.messages.length).toBeLessThan(late.length)
    const hears = await heardOn(own, 'room')
    const live = range(300).map((n) => `live ${n}`)
    const published = live.map((data, n) => own.publish('room', data, n % 3 === 0 ? { buffer: false } : { persistent: n % 3 === 1, maxLength: 100_000 }))
    expect(await Promise.all(published)).toEqual(live.map(() => true))
    await comeBack(scene)
    await own.publish('room', 'end')
    for (const [heard, data] of [[there, [...late, ...live, 'end']], [here, [...late, ...live, 'end']]] as const) {
      await heard.untilData('end')
      expect(heard.data()).toEqual(data)
    }
    await hears.untilData('end')
    expect(hears.data().slice(-301)).toEqual([...live, 'end'])
    expect(scene.holdfast.fallbackManager.getStats().dropped).toBe(0)
  })

  it('of many on several channels comes in its order, beside all else that waits', async () => {
    const { scene, own, other } = await start({ commandTimeoutMs: 60_000 })
    await using _ = scene
    const rooms = range(4).map((n) => `room ${n}`)
    const there = await Promise.all(rooms.map((room) => heardOn(other, room)))
    await leave(scene)
    const late = range(1_200).map((n) => `${n} ${'x'.repeat(200)}`)
    await Promise.all(late.flatMap((data) => rooms.map((room) => own.publish(room, data, { persistent: true, maxLength: 100_000 }))))
    const keys = range(200).map((n) => `key:${n}`)
    await Promise.all(keys.map((key) => scene.cache.set(key, key)))
    await scene.proxy.set({ bytesPerSecond: 1_500_000 }, 'toServer')
    await waitFor('some to come', () => there.some(({ messages }) => messages.length > 0))
    const live: string[] = []
    for (const n of range(20)) {
      live.push(`live ${n}`)
      await Promise.all([...rooms.map((room) => own.publish(room, `live ${n}`)), scene.cache.set('live', n)])
    }
    const cleared = scene.cache.deletePattern('key:1*')
    await comeBack(scene)
    await cleared
    for (const heard of there) {
      await heard.untilData('live 19')
      expect(heard.data()).toEqual([...late, ...live])
    }
    expect(await scene.stored(keys)).toEqual(keys.map((key) => (key.startsWith('key:1') ? null : key)))
  })

  it('is not given up for one that is kept and waits for nobody', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const there = await heardOn(other, 'room')
    await leave(scene)
    await own.publish('room', 'plain')
    await own.publish('other', 'kept', { persistent: true, buffer: false })
    await comeBack(scene)
    expect(await there.untilData('plain')).toEqual(['plain'])
    expect((await other.getPersistentMessages('other')).map(({ data }) => data)).toEqual(['kept'])
  })

  it('takes no room from an entry of the cache that has the name of its channel, nor that from it', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const there = await heardOn(other, 'cache:name')
    await leave(scene)
    await own.publish('cache:name', 1, { persistent: true })
    await scene.cache.set('name', 'value')
    await own.publish('cache:name', 2, { persistent: true })
    await scene.cache.delete('gone')
    await own.publish('cache:gone', 3)
    await comeBack(scene)
    expect(await there.until(2)).toEqual([1, 2])
    expect(await scene.stored(['name'])).toEqual(['value'])
  })

  it('is no less late for being read from what its channel keeps', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    await leave(scene)
    await own.publish('room', 1, { persistent: true })
    await comeBack(scene, 0)
    expect((await other.getPersistentMessages('room')).map(({ data, late }) => [data, late])).toEqual([[1, true]])
  })

  it('does not come twice to subscribers of this process, however many there are', { timeout: 60_000 }, async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const [plain, persistent] = [await heardOn(own, 'room'), await heardOn(own, 'room', { persistent: true })]
    const there = await heardOn(other, 'room')
    await leave(scene)
    await Promise.all(range(17_000).map((n) => own.publish('room', n, { persistent: true, maxLength: 100_000 })))
    await comeBack(scene)
    await own.publish('room', 'end')
    await there.untilData('end', 30_000)
    await plain.untilData('end')
    await persistent.untilData('end')
    expect(there.messages).toHaveLength(17_001)
    expect([plain.messages.length, persistent.messages.length]).toEqual([17_001, 17_001])
  })

  it('is refused where nothing may stand in for Redis', async () => {
    const { scene, own } = await start({ fallback: { enabled: false } })
    await using _ = scene
    await scene.proxy.set('refuse')
    await waitFor('the outage', () => !scene.holdfast.isRedisAvailable())
    await expect(own.publish('room', 1)).rejects.toMatchObject({ code: 'E_UNAVAILABLE' })
  })
})

describe.concurrent('a subscription that begins while Redis is away', () => {
  it('hears this process at once, and others when Redis is back', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    await leave(scene)
    const here = await heardOn(own, 'room')
    const pattern = await heardOn(own, 'r?om', { pattern: true })
    await own.publish('room', 'local')
    expect(await here.until(1)).toEqual(['local'])
    await other.publish('room', 'missed')
    await comeBack(scene)
    using outside = await scene.server.client()
    await waitFor('the server to tell', async () => (await listenersOf(outside, `${scene.keyPrefix}room`)) === 1)
    await other.publish('room', 'after')
    expect(await here.untilData('after')).toEqual(['local', 'after'])
    expect(await pattern.untilData('after')).toEqual(['local', 'after'])
    expect(here.gaps.map(({ reason }) => reason)).toEqual(['reconnected'])
  })

  it('hears of a persistent channel what came since it began, and not what was there before', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    for (const n of range(3)) await other.publish('room', `before ${n}`, { persistent: true })
    await leave(scene)
    const here = await heardOn(own, 'room', { persistent: true })
    await comeBack(scene)
    using outside = await scene.server.client()
    await waitFor('the server to tell', async () => (await listenersOf(outside, `${scene.keyPrefix}room`)) === 1)
    await other.publish('room', 'after', { persistent: true })
    expect(await here.untilData('after')).not.toContain('before 0')
  })

  it('hears of a persistent channel what comes late on the connection that listens, though it found it there already', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    await leave(scene)
    const here = hears()
    const subscription = await own.subscribe('room', here.handler, { persistent: true })
    using foreign = await Foreign.listen(scene.server.port, `${scene.keyPrefix}room`)
    for (const n of range(3)) await other.publish('room', n, { persistent: true })
    await waitFor('the messages', () => foreign.payloads.length === 3)
    await comeBack(scene)
    const newest = await waitFor('it to find its place', () => subscription.lastEventId)
    expect((JSON.parse(foreign.payloads[2] as string) as { seq: string }).seq).toBe(newest)
    await scene.outside(async (client) => {
      for (const payload of foreign.payloads.slice(1)) await client.call('PUBLISH', `${scene.keyPrefix}room`, payload)
    })
    await other.publish('room', 'after', { persistent: true })
    expect(await here.untilData('after')).toEqual([1, 2, 'after'])
  })

  it('hears all that a persistent channel keeps where it asked for that', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    for (const n of range(3)) await other.publish('room', n, { persistent: true })
    await leave(scene)
    const here = await heardOn(own, 'room', { persistent: true, from: '0-0' })
    await other.publish('room', 3, { persistent: true })
    await comeBack(scene)
    await other.publish('room', 4, { persistent: true })
    expect(await here.untilData(4)).toEqual(range(5))
  })

  it('ends while Redis is away, and leaves nothing', async () => {
    const { scene, own } = await start()
    await using _ = scene
    const before = hears()
    const begun = await own.subscribe('begun', before.handler)
    await leave(scene)
    const subscription = await own.subscribe('room', () => {})
    await subscription.unsubscribe()
    await begun.unsubscribe()
    expect(own.getActiveChannels()).toEqual([])
    await own.publish('begun', 1)
    expect(before.data()).toEqual([])
    await comeBack(scene, 0)
    using outside = await scene.server.client()
    expect(await outside.call('PUBSUB', 'CHANNELS', `${scene.keyPrefix}*`)).toEqual([])
  })
})

describe.concurrent('an outage in the middle of a persistent channel', () => {
  it('loses none of what others published meanwhile, nor of what this process did', async () => {
    const { scene, own, other } = await start()
    await using _ = scene
    const here = await heardOn(own, 'room', { persistent: true })
    await other.publish('room', 'there 0', { persistent: true })
    await here.until(1)
    await leave(scene)
    for (const n of range(20)) await other.publish('room', `there ${n + 1}`, { persistent: true })
    for (const n of range(20)) await own.publish('room', `here ${n}`, { persistent: true })
    // So much else waits, that the return takes some time.
    await Promise.all(range(3_000).map((n) => scene.cache.set(`key:${n}`, n)))
    await comeBack(scene)
    await waitFor('all of them', () => here.messages.length >= 41)
    const of = (who: string): unknown[] => here.data().filter((data) => String(data).startsWith(who))
    expect(of('there')).toEqual(range(21).map((n) => `there ${n}`))
    expect(of('here')).toEqual(range(20).map((n) => `here ${n}`))
    expect(here.messages).toHaveLength(41)
  })

  it('has what is kept read as nothing, or as an error, but not as what is not', async () => {
    const { scene, own } = await start()
    await using _ = scene
    await own.publish('room', 1, { persistent: true })
    await leave(scene)
    expect(await own.getPersistentMessages('room')).toEqual([])
  })
})
