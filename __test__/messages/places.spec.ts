// Where a persistent subscription stands: what clients name is not taken on trust, nothing that is kept is lost on the way,
// and what is lost is told.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { gate, onStore, stores } from '../cache/stores'
import { generator } from '../support/random'
import { waitFor } from '../support/wait-for'
import { fresh, hears, type Gap, type Heard, type Subscription } from './messages'

const TRIMMED = { reason: 'trimmed', since: expect.any(Number) as number, missed: null }
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const sum = (gaps: readonly Gap[], reason: Gap['reason']): number =>
  gaps.filter((gap) => gap.reason === reason).reduce((all, { missed }) => all + (missed ?? Number.NaN), 0)

describe.concurrent.each(stores)('a persistent subscription on %s', (store) => {
  const { holdfast, outside, keyPrefix } = onStore(store)
  const { pubSubManager } = holdfast
  const keep = async (channel: string, from: number, count: number): Promise<void> => {
    await Promise.all(range(count).map((n) => pubSubManager.publish(channel, from + n, { persistent: true, maxLength: 100_000 })))
  }
  const idsOf = async (channel: string): Promise<string[]> =>
    (await pubSubManager.getPersistentMessages(channel, 100_000)).map(({ eventId }) => eventId!).reverse()
  const beganOf = async (channel: string): Promise<number> => Number((await idsOf(channel))[0]!.split('-')[0])
  /** Listens with a handler that notes what it gets, each of which the next waits for. */
  const listen = async (channel: string, options: object, before: () => Promise<unknown> = turn): Promise<Heard & { subscription: Subscription }> => {
    const heard = hears()
    const handler = async (message: Parameters<Heard['handler']>[0]): Promise<void> => {
      heard.handler(message)
      await before()
    }
    return { ...heard, subscription: await pubSubManager.subscribe(channel, handler, { persistent: true, onGap: heard.onGap, ...options }) }
  }

  const beyond: [string, (began: number) => string][] = [
    ['of another, later stream', () => '9999999999999999-1'],
    ['of another, later stream that was longer', (began) => `${began + 1}-100000`],
    ['of another, earlier stream', () => '5-100000'],
    ['ahead of its newest', (began) => `${began}-100000`],
  ]
  it.each(beyond)('behind an event %s tells a gap, and hears all that is kept and what comes', async (_, name) => {
    // More than a page.
    for (const count of [3, 1_200]) {
      const channel = fresh('beyond')
      await keep(channel, 0, count)
      const { gaps, untilData } = await listen(channel, { from: name(await beganOf(channel)) })
      await waitFor('the gap', () => gaps.length > 0)
      await keep(channel, count, 2)
      expect(await untilData(count + 1)).toEqual(range(count + 2))
      expect(gaps).toEqual([TRIMMED])
    }
  })

  it('behind an event of a channel that keeps nothing tells a gap, once, and hears what comes', async () => {
    const channel = fresh('empty')
    const { gaps, untilData } = await listen(channel, { from: '9999999999999999-1' })
    await waitFor('the gap', () => gaps.length > 0)
    await keep(channel, 0, 3)
    expect(await untilData(2)).toEqual(range(3))
    expect(gaps).toEqual([TRIMMED])
  })

  it.each([{}, { from: '0-0' }])('of a channel that kept nothing when it began tells no gap, with %j', async (options) => {
    const channel = fresh('first')
    const { gaps, untilData } = await listen(channel, options)
    await keep(channel, 0, 3)
    expect(await untilData(2)).toEqual(range(3))
    expect(gaps).toEqual([])
  })

  it('has for its last event id what the loop was given, however much waits', async () => {
    const channel = fresh('taken')
    const subscription = await pubSubManager.subscribe<number>(channel, { persistent: true })
    await keep(channel, 0, 5)
    const ids = await idsOf(channel)
    await waitFor('all to wait', () => subscription.stats.queued === 5)
    expect(subscription.lastEventId).toBeNull()
    const iterator = subscription[Symbol.asyncIterator]()
    for (const id of ids) {
      await iterator.next()
      expect(subscription.lastEventId).toBe(id)
    }
    await subscription.unsubscribe()
  })

  it('has for its last event id what the handler was given, however long that takes', async () => {
    const channel = fresh('busy')
    const { opened, open } = gate()
    const { subscription, until } = await listen(channel, {}, () => opened)
    await keep(channel, 0, 5)
    const ids = await idsOf(channel)
    await waitFor('all to wait', () => subscription.stats.queued === 4)
    expect(subscription.lastEventId).toBe(ids[0])
    open()
    await until(5)
    expect(subscription.lastEventId).toBe(ids[4])
  })

  it.each([1, 2, 7])('that ends with an overflow goes on from its last event id without a loss, with %i that wait', async (maxQueue) => {
    const channel = fresh('resumed')
    const seen: unknown[] = []
    let from: string | undefined
    for (const round of range(12)) {
      const subscription = await pubSubManager.subscribe<number>(channel, { persistent: true, maxQueue, onOverflow: 'disconnect', from })
      if (round % 2 === 0) await keep(channel, round * 10, 20)
      const loop = subscription[Symbol.asyncIterator]()
      for (const _ of range(1 + round)) {
        const { value, done } = await loop.next()
        if (done) break
        seen.push(value.data)
      }
      from = subscription.lastEventId ?? '0-0'
      await subscription.unsubscribe()
    }
    const { untilData, data } = await listen(channel, { from })
    await untilData(119)
    expect([...seen, ...data()]).toEqual(range(120))
  })

  it.each(['drop-oldest', 'drop-newest'] as const)('drops none of what comes while it reads what is kept, with %s', async (onOverflow) => {
    const channel = fresh('meanwhile')
    await keep(channel, 0, 20)
    const { opened, open } = gate()
    const { subscription, gaps, data, untilData } = await listen(channel, { from: '0-0', maxQueue: 4, onOverflow }, async () => {
      await opened
      await turn()
    })
    await waitFor('its queue to be full', () => subscription.stats.queued === 4)
    // More than wait beside the queue; what is not kept finds room.
    await keep(channel, 20, 50)
    await pubSubManager.publish(channel, 'plain')
    await waitFor('them to come', () => subscription.stats.received === 51)
    open()
    await untilData(69)
    if (onOverflow === 'drop-oldest') await untilData('plain')
    expect(data().filter((one) => one !== 'plain')).toEqual(range(70))
    const lost = onOverflow === 'drop-oldest' ? 0 : 1
    expect(subscription.stats).toMatchObject({ delivered: 71 - lost, dropped: lost, queued: 0 })
    expect(sum(gaps, 'overflow')).toBe(lost)
  })

  it('counts what is not kept and finds no room while it reads', async () => {
    const channel = fresh('plain')
    await keep(channel, 0, 20)
    const { opened, open } = gate()
    const { subscription, gaps, data, until } = await listen(channel, { from: '0-0', maxQueue: 4 }, () => opened)
    await waitFor('its queue to be full', () => subscription.stats.queued === 4)
    for (const n of range(10)) await pubSubManager.publish(channel, `plain ${n}`)
    await waitFor('them to come', () => subscription.stats.received === 10)
    expect(subscription.stats.dropped).toBe(6)
    open()
    await until(24)
    expect(data()).toEqual([...range(20), ...range(4).map((n) => `plain ${n + 6}`)])
    expect(sum(gaps, 'overflow')).toBe(6)
  })

  it.each(range(6).map((n) => 104_729 * (n + 1)))('gives or counts every message, once, and what is kept in its order (seed %i)', async (seed) => {
    const { below, isLucky } = generator(seed)
    const channel = fresh('law')
    await keep(channel, 0, 30)
    const onOverflow = isLucky(50) ? 'drop-oldest' : 'drop-newest'
    const { subscription, gaps, data } = await listen(channel, { from: '0-0', maxQueue: 1 + below(8), onOverflow }, async () => {
      if (isLucky(33)) await turn()
    })
    let [kept, plain] = [30, 0]
    for (const _ of range(100)) {
      for (const _ of range(below(6))) {
        if (isLucky(50)) void pubSubManager.publish(channel, kept++, { persistent: true, maxLength: 100_000 })
        else void pubSubManager.publish(channel, `plain ${plain++}`)
      }
      for (const _ of range(below(4))) await turn()
    }
    await waitFor('each to be given or counted', () => subscription.stats.delivered + subscription.stats.dropped >= kept + plain)
    await waitFor('the gaps', () => sum(gaps, 'overflow') === subscription.stats.dropped)
    expect(subscription.stats).toMatchObject({ delivered: kept + plain - subscription.stats.dropped, queued: 0 })
    const numbers = data().filter((one) => typeof one === 'number')
    expect(numbers).toEqual([...numbers].sort((one, other) => one - other))
    expect(new Set(data()).size).toBe(data().length)
    expect(gaps.every(({ reason }) => reason === 'overflow')).toBe(true)
  })

  if (store === 'memory') return

  it('is not led astray by messages with a place that the channel does not have', async () => {
    const channel = fresh('claims')
    const { gaps, data, untilData, until } = await listen(channel, {})
    await keep(channel, 0, 2)
    await until(2)
    const began = await beganOf(channel)
    const claims = ['1-1', '1-7', '9999999999999999-1', '9999999999999999-7', `${began + 1}-1`]
    for (const [n, seq] of claims.entries()) {
      await outside().call('PUBLISH', `${keyPrefix}${channel}`, JSON.stringify({ seq, id: `x${n}`, timestamp: 1, data: seq }))
      await keep(channel, 2 + n, 1)
      await untilData(2 + n)
      await untilData(seq)
    }
    expect(data().filter((one) => typeof one === 'number')).toEqual(range(2 + claims.length))
    expect(data().filter((one) => typeof one === 'string')).toEqual(claims)
    expect(gaps).toEqual([])
  })

  it('whose channel ended while it listened, and began on a clock that is behind, hears it', async () => {
    const channel = fresh('clock')
    const { gaps, untilData, until } = await listen(channel, {})
    await keep(channel, 0, 3)
    await until(3)
    const message = (n: number): string => `"id":"y${n}","timestamp":1,"data":${n}}`
    const stream = `${keyPrefix}stream:${channel}`
    await outside().call('DEL', stream)
    for (const n of [1, 2])
      await outside().pipeline([
        ['XADD', stream, `7-${n}`, 'm', message(n + 2)],
        ['PUBLISH', `${keyPrefix}${channel}`, `{"seq":"7-${n}",${message(n + 2)}`],
      ])
    await keep(channel, 5, 1)
    expect(await untilData(5)).toEqual(range(6))
    expect(gaps).toEqual([])
  })
})
