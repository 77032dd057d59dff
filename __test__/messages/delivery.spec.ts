// What is published comes to whoever listens: in order, once for each subscription, whatever other handlers do.
import { createPubSubManager } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { gate, onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { fresh, hears, settled } from './messages'

describe.concurrent.each(stores)('messages on %s', (store) => {
  const { holdfast, open, keyPrefix } = onStore(store)
  const { pubSubManager } = holdfast

  it('come to a handler as they were published', async () => {
    const channel = fresh('whole')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    const before = Date.now()
    const data = { text: 'ä "quoted"\n\u2028 \ud83d\ude00', list: [1, null, true], deep: { a: {} } }
    expect(await pubSubManager.publish(channel, data, { userId: 'u1', sessionId: 's1', metadata: { n: 1 } })).toBe(true)
    await heard.until(1)
    const [message] = heard.messages
    expect(message).toEqual({ id: expect.any(String), channel, data, timestamp: expect.any(Number), userId: 'u1', sessionId: 's1', metadata: { n: 1 } })
    expect(message?.id).toMatch(/^\d{13}-\w+$/)
    expect(message?.timestamp).toBeGreaterThanOrEqual(before)
    expect(message?.timestamp).toBeLessThanOrEqual(Date.now())
  })

  it.each([[null], [0], [false], [''], ['text'], [[]], [{}], [1.5]])('may be %j', async (data) => {
    const channel = fresh('any')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    await pubSubManager.publish(channel, data)
    expect(await heard.until(1)).toEqual([data])
    expect(heard.messages[0]).not.toHaveProperty('userId')
  })

  it('have ids of their own', async () => {
    const channel = fresh('ids')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    await Promise.all(range(500).map((n) => pubSubManager.publish(channel, n)))
    await heard.until(500)
    expect(new Set(heard.messages.map(({ id }) => id)).size).toBe(500)
  })

  it('that nobody listens to are taken', async () => {
    expect(await pubSubManager.publish(fresh('nobody'), 1)).toBe(true)
  })

  it('come in their order, 10,000 on one channel', async () => {
    const channel = fresh('order')
    const [first, second] = [hears(), hears()]
    await pubSubManager.subscribe(channel, first.handler)
    await pubSubManager.subscribe(channel, second.handler)
    const taken = await Promise.all(range(10_000).map((n) => pubSubManager.publish(channel, n)))
    expect(taken.every((one) => one)).toBe(true)
    expect(await first.until(10_000, 20_000)).toEqual(range(10_000))
    expect(await second.until(10_000)).toEqual(range(10_000))
  })

  it('come in their order to a handler that is slow by turns', async () => {
    const channel = fresh('slow')
    const seen: unknown[] = []
    let busy = 0
    let most = 0
    await pubSubManager.subscribe(channel, async ({ data }) => {
      most = Math.max(most, ++busy)
      if ((data as number) % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
      else if ((data as number) % 3 === 0) await Promise.resolve()
      seen.push(data)
      busy--
    })
    await Promise.all(range(500).map((n) => pubSubManager.publish(channel, n)))
    await waitFor('all of them', () => seen.length === 500)
    expect(seen).toEqual(range(500))
    expect(most).toBe(1)
  })

  it('wait for a handler that is at work, and not for that of another', async () => {
    const channel = fresh('gate')
    const { opened, open: go } = gate()
    const seen: unknown[] = []
    const quick = hears()
    const slow = await pubSubManager.subscribe(channel, async ({ data }) => {
      seen.push(data)
      await opened
    })
    await pubSubManager.subscribe(channel, quick.handler)
    for (const n of range(3)) await pubSubManager.publish(channel, n)
    expect(await quick.until(3)).toEqual([0, 1, 2])
    expect(seen).toEqual([0])
    expect(slow.stats).toEqual({ received: 3, delivered: 1, dropped: 0, queued: 2 })
    go()
    await waitFor('the others', () => seen.length === 3)
    expect(seen).toEqual([0, 1, 2])
    expect(slow.stats).toEqual({ received: 3, delivered: 3, dropped: 0, queued: 0 })
  })

  it('go on coming after handlers that throw and reject, which are told of', async () => {
    const channel = fresh('errors')
    const heard = hears()
    const errors: unknown[] = []
    const throws = await pubSubManager.subscribe(channel, ({ data }) => {
      throw new Error(`thrown at ${String(data)}`)
    })
    const rejects = await pubSubManager.subscribe(channel, ({ data }) => Promise.reject(new Error(`rejected at ${String(data)}`)))
    for (const each of [throws, rejects]) each.on('error', (error) => errors.push((error as Error).message))
    await pubSubManager.subscribe(channel, heard.handler)
    for (const n of range(2)) await pubSubManager.publish(channel, n)
    expect(await heard.until(2)).toEqual([0, 1])
    await waitFor('the errors', () => errors.length === 4)
    expect(errors.sort()).toEqual(['rejected at 0', 'rejected at 1', 'thrown at 0', 'thrown at 1'])
  })

  it('come to two subscriptions of one handler twice, and unsubscribing by handler ends both', async () => {
    const channel = fresh('twice')
    const [heard, other] = [hears(), hears()]
    await pubSubManager.subscribe(channel, heard.handler)
    await pubSubManager.subscribe(channel, heard.handler)
    await pubSubManager.subscribe(channel, other.handler)
    expect(pubSubManager.getSubscriberCount(channel)).toBe(3)
    await pubSubManager.publish(channel, 1)
    await other.until(1)
    expect(heard.data()).toEqual([1, 1])
    await pubSubManager.unsubscribe(channel, heard.handler)
    expect(pubSubManager.getSubscriberCount(channel)).toBe(1)
    await pubSubManager.publish(channel, 2)
    await other.until(2)
    expect(heard.data()).toEqual([1, 1])
    await pubSubManager.unsubscribe(channel)
    expect(pubSubManager.getActiveChannels()).not.toContain(channel)
  })

  it('come no more to whoever leaves while being called, and still to the others', async () => {
    const channel = fresh('leaves')
    const other = hears()
    const seen: unknown[] = []
    const leaver = async ({ data }: { data: unknown }): Promise<void> => {
      seen.push(data)
      await pubSubManager.unsubscribe(channel, leaver)
    }
    await pubSubManager.subscribe(channel, leaver)
    await pubSubManager.subscribe(channel, other.handler)
    await Promise.all(range(20).map((n) => pubSubManager.publish(channel, n)))
    expect(await other.until(20)).toEqual(range(20))
    expect(seen).toEqual([0])
  })

  it('come no more to whoever is made to leave by another handler of the same message', async () => {
    const channel = fresh('pushed-out')
    const second = hears()
    const first = await pubSubManager.subscribe(channel, () => pubSubManager.unsubscribe(channel, second.handler))
    await pubSubManager.subscribe(channel, second.handler)
    await pubSubManager.publish(channel, 1)
    await waitFor('the first to be called', () => first.stats.delivered === 1)
    expect(second.data()).toEqual([])
  })

  it('can be published, and channels listened to, in a handler', async () => {
    const [channel, next] = [fresh('ping'), fresh('pong')]
    const heard = hears()
    await pubSubManager.subscribe(channel, async ({ data }) => {
      await pubSubManager.subscribe(next, heard.handler)
      await pubSubManager.publish(next, `answer to ${String(data)}`)
    })
    await pubSubManager.publish(channel, 'ping')
    expect(await heard.until(1)).toEqual(['answer to ping'])
  })

  it('come to a pattern with the channel that they came on', async () => {
    const beginning = fresh('pattern')
    const heard = hears()
    await pubSubManager.subscribe(`${beginning}:[ab]:?:*`, heard.handler, { pattern: true })
    for (const name of ['a:1:x', 'b:2:', 'c:1:x', 'a:12:x', 'a:1']) await pubSubManager.publish(`${beginning}:${name}`, name)
    await pubSubManager.publish(`${beginning}:a:9:end`, 'end')
    expect(await heard.untilData('end')).toEqual(['a:1:x', 'b:2:', 'end'])
    expect(heard.messages.map(({ channel }) => channel.slice(beginning.length))).toEqual([':a:1:x', ':b:2:', ':a:9:end'])
  })

  it('that are covered by a channel and by patterns come once to each subscription', async () => {
    const channel = fresh('covered')
    const all = [hears(), hears(), hears(), hears()] as const
    await pubSubManager.subscribe(channel, all[0].handler)
    await pubSubManager.subscribe(`${channel.slice(0, -3)}*`, all[1].handler, { pattern: true })
    await pubSubManager.subscribe(`${channel.slice(0, -2)}*`, all[2].handler, { pattern: true })
    await pubSubManager.subscribe(`${channel.slice(0, -2)}*`, all[3].handler, { pattern: true })
    await Promise.all(range(50).map((n) => pubSubManager.publish(channel, n)))
    await pubSubManager.publish(channel, 'end')
    for (const heard of all) expect(await heard.untilData('end')).toEqual([...range(50), 'end'])
  })

  it('of other key prefixes do not come, whatever signs the prefix holds', async () => {
    const signs = open({ keyPrefix: `${keyPrefix}[ab]*?\\^:` }).pubSubManager
    const others = ['a', 'b', 'axxx?\\^', '[ab]xy\\^'].map((name) => open({ keyPrefix: `${keyPrefix}${name}:` }).pubSubManager)
    const heard = hears()
    await signs.subscribe('room:*', heard.handler, { pattern: true })
    await signs.subscribe('other', heard.handler)
    for (const other of others) for (const name of ['room:1', 'other']) await other.publish(name, 'foreign')
    await signs.publish('room:1', 'own')
    await signs.publish('other', 'own')
    expect(await heard.until(2)).toEqual(['own', 'own'])
    expect(heard.messages.map(({ channel }) => channel)).toEqual(['room:1', 'other'])
  })

  it('are counted', async () => {
    const channel = fresh('counted')
    expect(pubSubManager.getChannelStats(channel)).toEqual([{ channel, subscribers: 0, messagesPublished: 0, messagesReceived: 0, messagesDropped: 0, backend: store }])
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    await pubSubManager.subscribe(channel, heard.handler)
    for (const n of range(3)) await pubSubManager.publish(channel, n)
    await heard.until(6)
    const stats = { channel, subscribers: 2, messagesPublished: 3, messagesReceived: 3, messagesDropped: 0, backend: store }
    expect(holdfast.getChannelStats(channel)).toEqual([stats])
    expect(pubSubManager.getChannelStats()).toContainEqual(stats)
  })

  it('end with clearSubscriptions and with shutdown, and other managers go on', async () => {
    const own = open({ keyPrefix: `${keyPrefix}ends:` })
    const other = own.createPubSubManager({})
    const [heard, others] = [hears(), hears()]
    for (const end of ['clearSubscriptions', 'shutdown'] as const) {
      const ended: string[] = []
      const subscription = await own.pubSubManager.subscribe(end, heard.handler)
      subscription.on('end', () => ended.push('end'))
      await own.pubSubManager.subscribe(`${end}*`, heard.handler, { pattern: true })
      await other.subscribe(end, others.handler)
      await own.pubSubManager[end]()
      expect(own.pubSubManager.getActiveChannels()).toEqual([])
      expect(subscription.ended).toBe(true)
      expect(ended).toEqual(['end'])
      await settled(other, end, others)
      expect(heard.data()).toEqual([])
    }
  })

  it('end with the instance, which tells each subscription so', async () => {
    const own = open({ keyPrefix: `${keyPrefix}closes:` })
    const heard = hears()
    const ended: string[] = []
    const subscription = await own.pubSubManager.subscribe('room', heard.handler)
    subscription.on('end', () => ended.push('end'))
    const iterated = (await own.pubSubManager.subscribe('room'))[Symbol.asyncIterator]()
    const next = iterated.next()
    await own.close()
    expect(await next).toEqual({ done: true, value: undefined })
    expect(ended).toEqual(['end'])
    await expect(own.pubSubManager.subscribe('room', heard.handler)).rejects.toMatchObject({ code: 'E_CLOSED' })
    await expect(own.pubSubManager.publish('room', 1)).rejects.toMatchObject({ code: 'E_CLOSED' })
    await subscription.unsubscribe()
  })

  it('of a manager without options are those of the shared one', () => {
    // Asked of its types as well.
    expect(createPubSubManager().getActiveChannels()).toEqual([])
  })

  it('have a prefix of their own where a manager is given one', async () => {
    const own = holdfast.createPubSubManager({ channelPrefix: `${keyPrefix}own:` })
    const [heard, others] = [hears(), hears()]
    const channel = fresh('prefixed')
    await own.subscribe(channel, heard.handler)
    await pubSubManager.subscribe(channel, others.handler)
    await own.publish(channel, 'own')
    await pubSubManager.publish(channel, 'other')
    expect(await settled(own, channel, heard)).toEqual(['own'])
    expect(await settled(pubSubManager, channel, others)).toEqual(['other'])
    expect(heard.messages[0]?.channel).toBe(channel)
  })

  it('come to a pattern of such a manager with their channel without that prefix', async () => {
    const own = holdfast.createPubSubManager({ channelPrefix: `${fresh('own')}:` })
    const heard = hears()
    await own.subscribe('room:*', heard.handler, { pattern: true })
    await own.publish('room:1', 1)
    await heard.until(1)
    expect(heard.messages[0]?.channel).toBe('room:1')
  })

  it('come to a pattern of such a manager whatever signs that prefix holds', async () => {
    const begin = fresh('signs')
    const own = holdfast.createPubSubManager({ channelPrefix: `${begin}[xy]*:` })
    const heard = hears()
    await own.subscribe('room:*', heard.handler, { pattern: true })
    await holdfast.createPubSubManager({ channelPrefix: `${begin}xabc:` }).publish('room:1', 'foreign')
    await own.publish('room:1', 'own')
    await holdfast.createPubSubManager({ channelPrefix: `${begin}xabc:` }).publish('room:1', 'foreign')
    expect(await heard.untilData('own', 3_000)).toEqual(['own'])
  })

  it('keep channels of shards apart from the others', async () => {
    const sharded = holdfast.createPubSubManager({ sharded: true })
    const [heard, others] = [hears(), hears()]
    const channel = fresh('sharded')
    await sharded.subscribe(channel, heard.handler)
    await pubSubManager.subscribe(channel, others.handler)
    await Promise.all(range(100).map((n) => sharded.publish(channel, n)))
    expect(await settled(sharded, channel, heard)).toEqual(range(100))
    expect(await settled(pubSubManager, channel, others)).toEqual([])
  })

  it('are of the same managers as the bound functions', async () => {
    const { subscribe, unsubscribe, publish } = holdfast
    const channel = fresh('bound')
    const heard = hears()
    await subscribe(channel, heard.handler)
    expect(await publish(channel, 1)).toBe(true)
    expect(await heard.until(1)).toEqual([1])
    await unsubscribe(channel)
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
  })
})
