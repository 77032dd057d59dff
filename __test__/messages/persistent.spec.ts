// What a channel keeps: read by those who come later, from where they left off, with what is missing told.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { gate, onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { fresh, hears, settled, type Subscription } from './messages'

/** What subscribe answers, within seconds. */
async function soon(subscribed: Promise<Subscription>): Promise<Subscription> {
  let answer: Subscription | undefined
  void subscribed.then((subscription) => (answer = subscription))
  return await waitFor('subscribe to resolve', () => answer, { withinMs: 4_000 })
}

describe.concurrent.each(stores)('a channel that keeps messages, on %s', (store) => {
  const { holdfast, outside, keyPrefix } = onStore(store)
  const { pubSubManager } = holdfast
  const keep = async (channel: string, from: number, count: number, options = {}): Promise<void> => {
    await Promise.all(range(count).map((n) => pubSubManager.publish(channel, from + n, { persistent: true, ...options })))
  }

  it('tells them, the newest first, and so many', async () => {
    const channel = fresh('kept')
    await keep(channel, 0, 60, { userId: 'u' })
    await pubSubManager.publish(channel, 'not kept')
    const kept = await pubSubManager.getPersistentMessages(channel)
    expect(kept.map(({ data }) => data)).toEqual(range(50).map((n) => 59 - n))
    expect(kept[0]).toEqual({ id: expect.any(String), channel, data: 59, timestamp: expect.any(Number), userId: 'u', eventId: expect.stringMatching(/^\d+-60$/) })
    expect((await pubSubManager.getPersistentMessages(channel, 2)).map(({ data }) => data)).toEqual([59, 58])
    expect(await pubSubManager.getPersistentMessages(channel, 0)).toEqual([])
    expect(await pubSubManager.getPersistentMessages(channel, 1_000)).toHaveLength(60)
    expect(await pubSubManager.getPersistentMessages(fresh('none'))).toEqual([])
  })

  it('gives messages event ids as they come, which are those that it keeps', async () => {
    const channel = fresh('ids')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    await keep(channel, 0, 5)
    await heard.until(5)
    const kept = await pubSubManager.getPersistentMessages(channel)
    expect(heard.messages.map(({ eventId }) => eventId)).toEqual(kept.map(({ eventId }) => eventId).reverse())
  })

  it('tells the last event id to whoever listens with persistent', async () => {
    const channel = fresh('last')
    const heard = hears()
    const subscription = await pubSubManager.subscribe(channel, heard.handler, { persistent: true })
    expect(subscription.lastEventId).toBeNull()
    await keep(channel, 0, 3)
    await heard.until(3)
    const [newest] = await pubSubManager.getPersistentMessages(channel, 1)
    expect(subscription.lastEventId).toBe(newest?.eventId)
  })

  it('begins with what comes where nothing else is said', async () => {
    const channel = fresh('begins')
    await keep(channel, 0, 5)
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler, { persistent: true })
    await keep(channel, 5, 5)
    expect(await settled(pubSubManager, channel, heard)).toEqual([5, 6, 7, 8, 9])
  })

  it("begins with all that is kept from '0-0', and goes on with what comes", async () => {
    const channel = fresh('all')
    await keep(channel, 0, 20)
    const heard = hears()
    const subscribed = pubSubManager.subscribe(channel, heard.handler, { persistent: true, from: '0-0', onGap: heard.onGap })
    await keep(channel, 20, 20)
    await subscribed
    await keep(channel, 40, 20)
    expect(await settled(pubSubManager, channel, heard)).toEqual(range(60))
    expect(heard.gaps).toEqual([])
  })

  it('begins behind any event that is named', async () => {
    const channel = fresh('behind')
    await keep(channel, 0, 10)
    const ids = (await pubSubManager.getPersistentMessages(channel)).map(({ eventId }) => eventId!).reverse()
    const subscriptions: Subscription[] = []
    for (const [n, from] of ids.entries()) {
      const heard = hears()
      const subscription = await pubSubManager.subscribe(channel, heard.handler, { persistent: true, from, onGap: heard.onGap })
      expect(await settled(pubSubManager, channel, heard)).toEqual(range(9 - n).map((more) => n + 1 + more))
      expect(heard.gaps).toEqual([])
      subscriptions.push(subscription)
    }
    // Not before: another test is about leaving and coming back.
    for (const subscription of subscriptions) await subscription.unsubscribe()
  })

  it('tells of more than fit into the queue, to a loop that takes them', async () => {
    const channel = fresh('loop')
    await keep(channel, 0, 30)
    const subscription = await soon(pubSubManager.subscribe(channel, { persistent: true, from: '0-0', maxQueue: 8 }))
    const seen: unknown[] = []
    for await (const { data } of subscription) if (seen.push(data) === 30) break
    expect(seen).toEqual(range(30))
    expect(subscription.stats.dropped).toBe(0)
  })

  it('tells of many pages to a handler that is slow, and drops nothing', async () => {
    const channel = fresh('pages')
    await keep(channel, 0, 2_000, { maxLength: 5_000 })
    const seen: unknown[] = []
    const handler = async ({ data }: { data: unknown }): Promise<void> => {
      if (seen.push(data) % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
      else await Promise.resolve()
    }
    const subscription = await pubSubManager.subscribe(channel, handler, { persistent: true, from: '0-0', maxQueue: 16 })
    await waitFor('all of them', () => seen.length >= 2_000)
    expect(seen).toEqual(range(2_000))
    expect(subscription.stats.dropped).toBe(0)
  })

  it('is listened to by a handler without a queue too', async () => {
    const channel = fresh('no-queue')
    await keep(channel, 0, 3)
    const heard = hears()
    await soon(pubSubManager.subscribe(channel, heard.handler, { persistent: true, from: '0-0', maxQueue: 0 }))
    await keep(channel, 3, 1)
    expect(await heard.untilData(3, 3_000)).toEqual(range(4))
  })

  it('tells those that it keeps and those that it does not in their order', async () => {
    const channel = fresh('mixed')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler, { persistent: true })
    await Promise.all(range(40).map((n) => pubSubManager.publish(channel, n, { persistent: n % 2 === 0 })))
    expect(await heard.until(40)).toEqual(range(40))
  })

  it('lets go of them when the last one has been there for so long', async () => {
    const channel = fresh('ttl')
    await keep(channel, 0, 3, { ttl: 0.2 })
    expect(await pubSubManager.getPersistentMessages(channel)).toHaveLength(3)
    await waitFor('them to go', async () => (await pubSubManager.getPersistentMessages(channel)).length === 0)
  })

  it('goes on telling whoever listens when it had let go of all', async () => {
    const channel = fresh('ttl-live')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler, { persistent: true, onGap: heard.onGap })
    await keep(channel, 0, 3, { ttl: 0.1 })
    await heard.until(3)
    await waitFor('them to go', async () => (await pubSubManager.getPersistentMessages(channel)).length === 0)
    await keep(channel, 3, 2, { ttl: 60 })
    expect(await heard.untilData(4, 3_000)).toEqual(range(5))
    // It was there all the time: nothing is missing.
    expect(heard.gaps).toEqual([])
  })

  it('tells those who come back from before it had let go of all what is new', async () => {
    const channel = fresh('ttl-back')
    await keep(channel, 0, 3, { ttl: 2 })
    const [newest] = await pubSubManager.getPersistentMessages(channel, 1)
    expect(newest).toBeDefined()
    await waitFor('them to go', async () => (await pubSubManager.getPersistentMessages(channel)).length === 0)
    await keep(channel, 3, 2, { ttl: 60 })
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler, { persistent: true, from: newest?.eventId })
    expect(await heard.until(2)).toEqual([3, 4])
  })

  it('keeps about so many', async () => {
    const channel = fresh('length')
    await keep(channel, 0, 1_000, { maxLength: 10 })
    const kept = await pubSubManager.getPersistentMessages(channel, 1_000)
    expect(kept.length).toBeGreaterThanOrEqual(10)
    expect(kept.length).toBeLessThan(300)
    expect(kept[0]?.data).toBe(999)
  })

  it('shares nothing with a channel of another prefix that has the same name', async () => {
    const channel = fresh('same')
    const bare = holdfast.createPubSubManager({ channelPrefix: '' })
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler, { persistent: true, onGap: heard.onGap })
    await keep(channel, 0, 1)
    await bare.publish(channel, 'foreign', { persistent: true })
    await keep(channel, 1, 1)
    expect(await heard.untilData(1)).toEqual([0, 1])
    expect((await pubSubManager.getPersistentMessages(channel)).map(({ data }) => data)).toEqual([1, 0])
    expect((await bare.getPersistentMessages(channel)).map(({ data }) => data)).toEqual(['foreign'])
  })

  if (store === 'redis') {
    const stream = async (channel: string): Promise<string> => {
      const [name, ...others] = (await outside().call('KEYS', `${keyPrefix}*${channel}*`)) as string[]
      expect(others).toEqual([])
      return name!
    }

    it('tells how many are missing where some were trimmed', async () => {
      const channel = fresh('trimmed')
      await keep(channel, 0, 20)
      const from = (await pubSubManager.getPersistentMessages(channel)).at(-1)?.eventId
      await outside().call('XTRIM', await stream(channel), 'MAXLEN', 5)
      const heard = hears()
      await pubSubManager.subscribe(channel, heard.handler, { persistent: true, from, onGap: heard.onGap })
      expect(await heard.until(5)).toEqual([15, 16, 17, 18, 19])
      expect(heard.gaps).toEqual([{ reason: 'trimmed', since: expect.any(Number), missed: 14 }])
    })

    it('tells how many are missing where some were trimmed between two pages', async () => {
      const channel = fresh('trimmed-pages')
      await keep(channel, 0, 40)
      const { opened, open: go } = gate()
      const heard = hears()
      const handler = async (message: Parameters<typeof heard.handler>[0]): Promise<void> => {
        heard.handler(message)
        await opened
      }
      const subscribed = pubSubManager.subscribe(channel, handler, { persistent: true, from: '0-0', maxQueue: 4, onGap: heard.onGap })
      await heard.until(1)
      await outside().call('XTRIM', await stream(channel), 'MAXLEN', 10)
      go()
      await subscribed
      await heard.untilData(39)
      const before = heard.data().indexOf(30)
      expect(heard.data()).toEqual([...range(before), ...range(10).map((n) => n + 30)])
      expect(heard.gaps.map(({ reason, missed }) => [reason, missed])).toEqual([['trimmed', 30 - before]])
    })

    it('lives as long as the last message says, in one key', async () => {
      const channel = fresh('lives')
      await keep(channel, 0, 3)
      const name = await stream(channel)
      const lives = (await outside().call('PTTL', name)) as number
      expect(lives).toBeGreaterThan(3_590_000)
      expect(lives).toBeLessThanOrEqual(3_600_000)
      await keep(channel, 3, 1, { ttl: '5m' })
      expect(await outside().call('PTTL', name)).toBeLessThanOrEqual(300_000)
    })

    it('is bounded for whoever takes nothing: what waits is not more than was said', async () => {
      const channel = fresh('held')
      const { opened, open: go } = gate()
      const seen: unknown[] = []
      const subscription = await pubSubManager.subscribe(
        channel,
        async ({ data }) => {
          seen.push(data)
          await opened
        },
        { persistent: true, maxQueue: 10 },
      )
      await keep(channel, 0, 2_000, { maxLength: 10_000 })
      await waitFor('them to come', () => subscription.stats.received === 2_000)
      // What a gap in the numbers makes it read comes while nothing is taken.
      await outside().call('XADD', await stream(channel), 'MAXLEN', '~', '10000', `${String((await pubSubManager.getPersistentMessages(channel, 1))[0]?.eventId).split('-')[0]}-2001`, 'm', '"id":"x","timestamp":1,"data":"quiet"}')
      await keep(channel, 2_001, 3_000, { maxLength: 10_000 })
      await waitFor('them to come', () => subscription.stats.received === 5_000)
      const { held } = (subscription as unknown as { follower: { held: unknown[] } }).follower
      expect(subscription.stats.queued + held.length).toBeLessThanOrEqual(20)
      go()
    })
  }
})
