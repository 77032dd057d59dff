// One connection listens for all subscriptions of a process, each channel once, and nothing is left of those that end,
// however early.
import { afterEach, describe, expect, it } from 'vitest'
import { range, slotsTaken, turn } from '../boundary/inside'
import { onOwnServer, type Instance, type InstanceOptions } from '../cache/stores'
import { reasonOf } from '../cache/loads'
import { waitFor } from '../support/wait-for'
import { callsOf, channelsOn, hears, listening, listenersOf } from './messages'

const { outside, open: opened } = onOwnServer()
const used: Instance[] = []

function open(options: InstanceOptions): Instance {
  const instance = opened(options)
  used.push(instance)
  return instance
}

afterEach(async () => {
  // Whoever waits for ever hears of a broken connection.
  if (slotsTaken() > 0) await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await Promise.all(used.splice(0).map((instance) => instance.close()))
  await waitFor('the connections to go', async () => (await listening(outside())).length === 0)
})

/** A subscription that is confirmed within seconds: the server is there, and idle. */
async function soon<Result>(subscribed: Promise<Result>): Promise<Result> {
  let result: { value: Result } | undefined
  subscribed.then(
    (value) => (result = { value }),
    () => {},
  )
  return (await waitFor('the confirmation of a subscription', () => result, { withinMs: 3_000 })).value
}

describe('the connection that listens', () => {
  it('is one, for channels, patterns, shards and managers of all kinds, and goes with the last of them', async () => {
    const holdfast = open({ keyPrefix: 'one:' })
    const { pubSubManager } = holdfast
    await pubSubManager.publish('room', 1)
    expect(await listening(outside())).toEqual([])
    const managers = [pubSubManager, holdfast.createPubSubManager({ channelPrefix: 'own:' }), holdfast.createPubSubManager({ sharded: true })]
    const subscriptions = await Promise.all(managers.flatMap((manager) => range(50).map((n) => manager.subscribe(`room:${n}`, () => {}))))
    subscriptions.push(await pubSubManager.subscribe('room:*', () => {}, { pattern: true }))
    expect(await listening(outside())).toHaveLength(1)
    // Another instance with the same settings has the same.
    const again = open({ keyPrefix: 'one:' })
    subscriptions.push(await again.pubSubManager.subscribe('again', () => {}))
    expect(await listening(outside())).toHaveLength(1)
    for (const each of subscriptions) await each.unsubscribe()
    await waitFor('the connection to go', async () => (await listening(outside())).length === 0)
    expect(await channelsOn(outside(), '')).toEqual([])
  })

  it('goes with an instance that is closed, though another one shares its core', async () => {
    const [first, second] = [open({ keyPrefix: 'shared:' }), open({ keyPrefix: 'shared:' })]
    await second.pubSubManager.publish('room', 1)
    await first.pubSubManager.subscribe('room', () => {})
    expect(await listening(outside())).toHaveLength(1)
    await first.close()
    await waitFor('the connection to go', async () => (await listening(outside())).length === 0, { withinMs: 3_000 })
    expect(await channelsOn(outside(), 'shared:')).toEqual([])
  })

  it('is told once of a channel that has a thousand subscriptions, and that the last one has left', async () => {
    const { pubSubManager } = open({ keyPrefix: 'thousand:' })
    const before = await callsOf(outside(), 'subscribe')
    const heard = hears()
    const all = await Promise.all(range(1_000).map(() => pubSubManager.subscribe('room', heard.handler)))
    expect((await callsOf(outside(), 'subscribe')) - before).toBe(1)
    expect(await listenersOf(outside(), 'thousand:room')).toBe(1)
    await pubSubManager.publish('room', 1)
    expect(await heard.until(1_000)).toEqual(range(1_000).map(() => 1))
    const last = all.pop()!
    for (const each of all) await each.unsubscribe()
    await pubSubManager.publish('room', 2)
    await heard.until(1_001)
    expect(await listenersOf(outside(), 'thousand:room')).toBe(1)
    await last.unsubscribe()
    await last.unsubscribe()
    await waitFor('nobody to listen', async () => (await listenersOf(outside(), 'thousand:room')) === 0)
    expect(heard.data()).toHaveLength(1_001)
    expect(await callsOf(outside(), 'subscribe')).toBe(before + 1)
  })

  it('listens when subscribe resolves: what others publish then comes', async () => {
    const { pubSubManager } = open({ keyPrefix: 'confirmed:' })
    for (const n of range(30)) {
      const heard = hears()
      await pubSubManager.subscribe(`room:${n}`, heard.handler)
      expect(await outside().call('PUBLISH', `confirmed:room:${n}`, 'x')).toBe(1)
      await heard.until(1)
    }
  })

  it('listens again for who comes as the last one leaves', async () => {
    const { pubSubManager } = open({ keyPrefix: 'comes:' })
    for (const n of range(50)) {
      const first = await soon(pubSubManager.subscribe('room', () => {}))
      const heard = hears()
      const left = first.unsubscribe()
      const second = await soon(pubSubManager.subscribe('room', heard.handler))
      await left
      expect(await outside().call('PUBLISH', 'comes:room', String(n)), `round ${n}`).toBe(1)
      expect(await heard.until(1)).toEqual([n])
      await second.unsubscribe()
    }
  })
})

describe('subscriptions that end', () => {
  it('a thousand, one after the other and at once, leave nothing', async () => {
    const { pubSubManager } = open({ keyPrefix: 'cycles:' })
    const keeps = await pubSubManager.subscribe('keeps', () => {})
    for (const n of range(500)) await (await pubSubManager.subscribe(`room:${n % 10}`, () => {}, { pattern: n % 2 === 1 })).unsubscribe()
    await Promise.all(
      range(500).map(async (n) => {
        const subscription = await pubSubManager.subscribe(`room:${n % 10}`, { pattern: n % 2 === 1 })
        await subscription.unsubscribe()
      }),
    )
    expect(pubSubManager.getActiveChannels()).toEqual(['keeps'])
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'cycles:')).length === 1)
    await waitFor('the patterns to be left', async () => (await outside().call('PUBSUB', 'NUMPAT')) === 0)
    expect(await listening(outside())).toHaveLength(1)
    expect(slotsTaken()).toBe(0)
    await keeps.unsubscribe()
  })

  it('with an already aborted signal never begin', async () => {
    const { pubSubManager } = open({ keyPrefix: 'aborted:' })
    const before = await callsOf(outside(), 'subscribe')
    for (const _ of range(100)) expect(await reasonOf(pubSubManager.subscribe('room', () => {}, { signal: AbortSignal.abort() }))).toMatchObject({ name: 'HoldfastError' })
    expect(pubSubManager.getActiveChannels()).toEqual([])
    expect(await callsOf(outside(), 'subscribe')).toBe(before)
    expect(slotsTaken()).toBe(0)
  })

  it('by their signal leave the server and the signal alone', async () => {
    const { pubSubManager } = open({ keyPrefix: 'signal:' })
    const controller = new AbortController()
    const heard = hears()
    const ended: string[] = []
    const subscription = await pubSubManager.subscribe('room', heard.handler, { signal: controller.signal })
    subscription.on('end', () => ended.push('end'))
    controller.abort()
    expect(subscription.ended).toBe(true)
    expect(ended).toEqual(['end'])
    await waitFor('nobody to listen', async () => (await channelsOn(outside(), 'signal:')).length === 0)
  })

  it('as soon as they were asked for, by their signal, leave nothing', async () => {
    const { pubSubManager } = open({ keyPrefix: 'same-turn:' })
    const keeps = await pubSubManager.subscribe('keeps', () => {})
    for (const n of range(20)) {
      const controller = new AbortController()
      const subscribed = pubSubManager.subscribe(`room:${n}`, () => {}, { signal: controller.signal })
      controller.abort()
      expect(await reasonOf(subscribed)).toMatchObject({ name: 'HoldfastError', operation: 'pubSubManager.subscribe' })
    }
    expect(pubSubManager.getActiveChannels()).toEqual(['keeps'])
    // What comes later is behind all that was said before.
    await (await pubSubManager.subscribe('later', () => {})).unsubscribe()
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'same-turn:')).length === 1, { withinMs: 3_000 })
    await keeps.unsubscribe()
  })

  it('as soon as they were asked for, by unsubscribe, leave nothing', async () => {
    const { pubSubManager } = open({ keyPrefix: 'same-turn-left:' })
    const subscribed = pubSubManager.subscribe('room', () => {}).catch(() => {})
    await pubSubManager.unsubscribe('room')
    await subscribed
    expect(pubSubManager.getActiveChannels()).toEqual([])
    await (await pubSubManager.subscribe('later', () => {})).unsubscribe()
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'same-turn-left:')).length === 0, { withinMs: 3_000 })
  })

  it('while they begin leave nothing, whenever that is', async () => {
    const { pubSubManager } = open({ keyPrefix: 'while:' })
    for (const turns of range(10)) {
      const controllers = range(30).map(() => new AbortController())
      const all = controllers.map(({ signal }, n) => pubSubManager.subscribe(`room:${turns}:${n % 15}`, () => {}, { signal, pattern: n % 2 === 0 }))
      const outcomes = Promise.allSettled(all)
      for (const _ of range(turns + 1)) await turn()
      for (const controller of controllers) controller.abort()
      for (const outcome of await outcomes) if (outcome.status === 'fulfilled') expect(outcome.value.ended).toBe(true)
    }
    expect(pubSubManager.getActiveChannels()).toEqual([])
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'while:')).length === 0)
    await waitFor('the patterns to be left', async () => (await outside().call('PUBSUB', 'NUMPAT')) === 0)
    expect(slotsTaken()).toBe(0)
  })

  it('while they begin do not end others of the same channel', async () => {
    const { pubSubManager } = open({ keyPrefix: 'others:' })
    for (const n of range(20)) {
      const controller = new AbortController()
      const heard = hears()
      const aborted = pubSubManager.subscribe(`room:${n}`, () => {}, { signal: controller.signal }).catch(() => null)
      const stays = pubSubManager.subscribe(`room:${n}`, heard.handler)
      if (n % 2 === 0) await Promise.resolve()
      controller.abort()
      await aborted
      const subscription = await stays
      expect(await outside().call('PUBLISH', `others:room:${n}`, 'x')).toBe(1)
      await heard.until(1)
      await subscription.unsubscribe()
    }
  })

  it('that the server refuses say why, and leave nothing', async () => {
    await outside().call('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '+@all', 'resetchannels', '&refused:ok*')
    const { pubSubManager } = open({ keyPrefix: 'refused:', username: 'limited', password: 'secret', nearCache: 'off' })
    const heard = hears()
    const stays = await pubSubManager.subscribe('ok', heard.handler)
    expect(await reasonOf(pubSubManager.subscribe('denied', () => {}))).toMatchObject({ name: 'HoldfastError', applied: 'no', operation: 'pubSubManager.subscribe' })
    expect(pubSubManager.getActiveChannels()).toEqual(['ok'])
    await outside().call('PUBLISH', 'refused:ok', 'x')
    await heard.until(1)
    await stays.unsubscribe()
  })

  it('as disposables end with their block', async () => {
    const { pubSubManager } = open({ keyPrefix: 'disposed:' })
    {
      await using subscription = await pubSubManager.subscribe('room', () => {})
      expect(subscription.channel).toBe('room')
    }
    expect(pubSubManager.getActiveChannels()).toEqual([])
    await waitFor('nobody to listen', async () => (await listenersOf(outside(), 'disposed:room')) === 0)
  })
})
