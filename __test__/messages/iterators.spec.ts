// Messages one after the other, by `for await`; and the bound of what waits, whoever takes it.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { gate, onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { fresh, hears } from './messages'

describe.concurrent.each(stores)('a subscription without a handler, on %s', (store) => {
  const { holdfast } = onStore(store)
  const { pubSubManager } = holdfast

  /** Waits until a subscription was told of so many. */
  const received = (subscription: { stats: { received: number } }, count: number): Promise<unknown> =>
    waitFor(`${count} messages`, () => subscription.stats.received >= count)

  it('gives the messages in their order, and ends when the loop is left', async () => {
    const channel = fresh('loop')
    const subscription = await pubSubManager.subscribe<number>(channel)
    const sent = (async () => {
      for (const n of range(500)) await pubSubManager.publish(channel, n)
    })()
    const seen: number[] = []
    for await (const { data } of subscription) if (seen.push(data) === 500) break
    await sent
    expect(seen).toEqual(range(500))
    expect(subscription.ended).toBe(true)
    expect(pubSubManager.getActiveChannels()).not.toContain(channel)
  })

  it('ends when the loop throws', async () => {
    const channel = fresh('throws')
    const subscription = await pubSubManager.subscribe(channel)
    await pubSubManager.publish(channel, 1)
    const looped = async (): Promise<void> => {
      for await (const _ of subscription) throw new Error('of the loop')
    }
    await expect(looped()).rejects.toThrow('of the loop')
    expect(subscription.ended).toBe(true)
  })

  it('is over for a loop that waits when it is ended from outside', async () => {
    const channel = fresh('waits')
    const controller = new AbortController()
    const subscription = await pubSubManager.subscribe(channel, { signal: controller.signal })
    const looped = (async () => {
      for await (const _ of subscription) expect.unreachable('nothing was published')
      return 'over'
    })()
    controller.abort()
    expect(await looped).toBe('over')
  })

  it('gives several that ask at once a message each, in their order', async () => {
    const channel = fresh('several')
    const iterator = (await pubSubManager.subscribe(channel))[Symbol.asyncIterator]()
    const asked = range(5).map(() => iterator.next())
    for (const n of range(5)) await pubSubManager.publish(channel, n)
    expect((await Promise.all(asked)).map(({ value }) => value?.data)).toEqual(range(5))
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  it('keeps the newest of what waits where the oldest is dropped, and tells so once', async () => {
    const channel = fresh('oldest')
    const heard = hears()
    const before = Date.now()
    const subscription = await pubSubManager.subscribe(channel, { maxQueue: 10, onGap: heard.onGap })
    await Promise.all(range(25).map((n) => pubSubManager.publish(channel, n)))
    await received(subscription, 25)
    expect(subscription.stats).toEqual({ received: 25, delivered: 0, dropped: 15, queued: 10 })
    const iterator = subscription[Symbol.asyncIterator]()
    const seen: unknown[] = []
    for (const _ of range(10)) seen.push((await iterator.next()).value?.data)
    expect(seen).toEqual(range(10).map((n) => n + 15))
    expect(heard.gaps.length).toBeGreaterThan(0)
    expect(heard.gaps.length).toBeLessThanOrEqual(15)
    for (const gap of heard.gaps) {
      expect(gap.reason).toBe('overflow')
      expect(gap.since).toBeGreaterThanOrEqual(before)
      expect(gap.since).toBeLessThanOrEqual(Date.now())
    }
    expect(heard.gaps.reduce((sum, { missed }) => sum + missed!, 0)).toBe(15)
    expect(pubSubManager.getChannelStats(channel)[0]).toMatchObject({ messagesReceived: 25, messagesDropped: 15 })
    await subscription.unsubscribe()
  })

  it('keeps the oldest of what waits where the newest is dropped', async () => {
    const channel = fresh('newest')
    const heard = hears()
    const subscription = await pubSubManager.subscribe(channel, { maxQueue: 10, onOverflow: 'drop-newest', onGap: heard.onGap })
    await Promise.all(range(25).map((n) => pubSubManager.publish(channel, n)))
    await received(subscription, 25)
    expect(subscription.stats).toEqual({ received: 25, delivered: 0, dropped: 15, queued: 10 })
    const iterator = subscription[Symbol.asyncIterator]()
    for (const n of range(10)) expect((await iterator.next()).value?.data).toBe(n)
    const next = iterator.next()
    await pubSubManager.publish(channel, 'after')
    expect((await next).value?.data).toBe('after')
    expect(heard.gaps.map(({ reason }) => reason)).toContain('overflow')
    expect(heard.gaps.reduce((sum, { missed }) => sum + missed!, 0)).toBe(15)
    await subscription.unsubscribe()
  })

  it('ends where that is the policy, behind what had found room', async () => {
    const channel = fresh('disconnect')
    const ended: string[] = []
    const subscription = await pubSubManager.subscribe(channel, { maxQueue: 3, onOverflow: 'disconnect' })
    subscription.on('end', () => ended.push('end'))
    await Promise.all(range(9).map((n) => pubSubManager.publish(channel, n)))
    await waitFor('the end', () => subscription.ended)
    const seen: unknown[] = []
    for await (const { data } of subscription) seen.push(data)
    expect(seen).toEqual([0, 1, 2])
    expect(ended).toEqual(['end'])
    expect(subscription.stats).toMatchObject({ dropped: 1, queued: 0 })
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
  })

  it('bounds what waits for a handler in the same way', async () => {
    const channel = fresh('handler')
    const { opened, open: go } = gate()
    const seen: unknown[] = []
    const handler = async ({ data }: { data: unknown }): Promise<void> => {
      await opened
      seen.push(data)
    }
    const [oldest, newest, ends] = [
      await pubSubManager.subscribe(channel, handler, { maxQueue: 2 }),
      await pubSubManager.subscribe(channel, handler, { maxQueue: 2, onOverflow: 'drop-newest' }),
      await pubSubManager.subscribe(channel, handler, { maxQueue: 2, onOverflow: 'disconnect' }),
    ]
    for (const n of range(6)) await pubSubManager.publish(channel, n)
    await received(oldest, 6)
    expect(oldest.stats).toEqual({ received: 6, delivered: 1, dropped: 3, queued: 2 })
    expect(newest.stats).toEqual({ received: 6, delivered: 1, dropped: 3, queued: 2 })
    expect(ends.ended).toBe(true)
    go()
    await waitFor('the handlers', () => seen.length === 9)
    expect(seen.map(Number).sort()).toEqual([0, 0, 0, 1, 1, 2, 2, 4, 5])
  })

  it('with buffer: false lets nothing wait for a handler that is at work', async () => {
    const channel = fresh('unbuffered')
    const { opened, open: go } = gate()
    const seen: unknown[] = []
    const subscription = await pubSubManager.subscribe(
      channel,
      async ({ data }) => {
        seen.push(data)
        await opened
      },
      { buffer: false },
    )
    for (const n of range(4)) await pubSubManager.publish(channel, n)
    await received(subscription, 4)
    expect(subscription.stats).toEqual({ received: 4, delivered: 1, dropped: 3, queued: 0 })
    go()
    // The handler is at work until its promise is settled, and what comes before that is dropped still.
    await new Promise(setImmediate)
    await pubSubManager.publish(channel, 'after')
    await waitFor('the next', () => seen.length >= 2)
    expect(seen).toEqual([0, 'after'])
  })

  it('takes the seed\'s maxBuffer for the bound', async () => {
    const channel = fresh('seed')
    const subscription = await pubSubManager.subscribe(channel, { buffer: true, maxBuffer: 2, ttl: 60 })
    for (const n of range(4)) await pubSubManager.publish(channel, n)
    await received(subscription, 4)
    expect(subscription.stats).toMatchObject({ dropped: 2, queued: 2 })
    await subscription.unsubscribe()
  })
})
