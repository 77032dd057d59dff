// What messages take is bounded, however many channels there are.
import { describe, expect, it } from 'vitest'
import { range, slotsTaken } from '../boundary/inside'
import { onOwnServer, onStore } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene } from '../fault/outage'
import { channelsOn } from './messages'

const mb = (): number => process.memoryUsage().rss / 2 ** 20
const { outside, open } = onOwnServer()

describe('very many channels', () => {
  it.each(['memory', 'redis'] as const)('100,000 that are published to take little, on %s', { timeout: 60_000 }, async (store) => {
    const { pubSubManager } = open(store === 'memory' ? { url: 'memory:' } : { keyPrefix: 'many:' })
    const publish = async (from: number): Promise<void> => {
      await Promise.all(range(5_000).map((n) => pubSubManager.publish(`channel:${from + n}`, { n }, { persistent: false })))
    }
    await publish(-5_000)
    const before = mb()
    for (const round of range(20)) await publish(round * 5_000)
    expect(mb() - before).toBeLessThan(150)
    expect(pubSubManager.getChannelStats().length).toBeLessThanOrEqual(10_000)
    expect(slotsTaken()).toBe(0)
  })

  it('10,000 that are listened to are left again, and take little', { timeout: 60_000 }, async () => {
    const { pubSubManager } = open({ keyPrefix: 'listened:' })
    await (await pubSubManager.subscribe('warm', () => {})).unsubscribe()
    const before = mb()
    let heard = 0
    const all = await Promise.all(range(10_000).map((n) => pubSubManager.subscribe(`room:${n}`, () => void heard++)))
    expect(await channelsOn(outside(), 'listened:')).toHaveLength(10_000)
    await Promise.all(range(10_000).map((n) => pubSubManager.publish(`room:${n}`, n)))
    await waitFor('all of them', () => heard === 10_000)
    expect(mb() - before).toBeLessThan(200)
    for (const each of all) await each.unsubscribe()
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'listened:')).length === 0)
    expect(pubSubManager.getActiveChannels()).toEqual([])
  })

  it('that are published to while Redis is away take no more than was said', { timeout: 60_000 }, async () => {
    await using scene = await Scene.start({})
    const { pubSubManager, fallbackManager } = scene.holdfast
    await scene.cache.set('probe', 1)
    await scene.proxy.set('refuse')
    await scene.degraded()
    for (const round of range(10)) await Promise.all(range(5_000).map((n) => pubSubManager.publish(`channel:${round}:${n}`, 'x'.repeat(500))))
    expect(fallbackManager.getStats().journalDepth).toBeLessThanOrEqual(1_100)
    await scene.proxy.set('pass')
    await scene.healed()
  })
})

describe('what the memory store keeps of channels', () => {
  const { holdfast } = onStore('memory', { fallback: { maxMemoryMb: 8 } })

  it('is bounded by its bytes', async () => {
    const { pubSubManager } = holdfast
    const text = 'x'.repeat(10_000)
    const before = mb()
    for (const round of range(20)) await Promise.all(range(500).map((n) => pubSubManager.publish(`channel:${round}:${n}`, text, { persistent: true })))
    expect(mb() - before).toBeLessThan(120)
    expect(await pubSubManager.getPersistentMessages('channel:19:499')).toHaveLength(1)
    expect(await pubSubManager.getPersistentMessages('channel:0:0')).toEqual([])
  })
})
