// A persistent channel over interruptions: whatever breaks, everything comes, once, in order.
import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onOwnServer, type Instance } from '../cache/stores'
import { generator } from '../support/random'
import { waitFor } from '../support/wait-for'
import { hears, listening, type Manager } from './messages'

const { server, outside, open } = onOwnServer()

const used: Instance[] = []

/** One who listens, and another process that publishes. */
function pair(): { listener: Instance; publisher: Manager; keyPrefix: string } {
  const keyPrefix = `replay:${randomUUID()}:`
  const [listener, publisher] = [open({ keyPrefix }), open({ keyPrefix, ...asAnother })]
  used.push(listener, publisher)
  return { listener, publisher: publisher.pubSubManager, keyPrefix }
}

afterEach(async () => {
  await Promise.all(used.splice(0).map((instance) => instance.close()))
})

describe('a persistent subscription', () => {
  it('whose connection is killed misses none of what another process publishes meanwhile', async () => {
    const { listener, publisher } = pair()
    const heard = hears()
    await listener.pubSubManager.subscribe('room', heard.handler, { persistent: true, onGap: heard.onGap })
    await publisher.publish('room', 0, { persistent: true })
    await heard.until(1)
    await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    expect(await listening(outside())).toEqual([])
    for (const n of range(700)) await publisher.publish('room', n + 1, { persistent: true })
    await heard.untilData(700)
    expect(heard.data()).toEqual(range(701))
    await waitFor('the gap to be told', () => heard.gaps.length > 0)
    expect(heard.gaps.map(({ reason, missed }) => [reason, missed])).toEqual([['reconnected', null]])
  })

  it('that heard nothing yet misses none either, and hears nothing of before', async () => {
    for (const kept of [0, 3]) {
      const { listener, publisher } = pair()
      for (const n of range(kept)) await publisher.publish('room', `before ${n}`, { persistent: true })
      const heard = hears()
      await listener.pubSubManager.subscribe('room', heard.handler, { persistent: true, onGap: heard.onGap })
      await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      for (const n of range(10)) await publisher.publish('room', n, { persistent: true })
      await heard.untilData(9)
      expect(heard.data()).toEqual(range(10))
      await waitFor('the gap to be told', () => heard.gaps.length > 0)
      expect(heard.gaps.map(({ reason }) => reason)).toEqual(['reconnected'])
    }
  })

  it('that can\'t read what it missed tries again by itself', async () => {
    const { listener, publisher } = pair()
    const heard = hears()
    const subscription = await listener.pubSubManager.subscribe('room', heard.handler, { persistent: true })
    const errors: unknown[] = []
    subscription.on('error', (error) => errors.push(error))
    await publisher.publish('room', 0, { persistent: true })
    await heard.until(1)
    await outside().call('ACL', 'SETUSER', 'default', '-xrange')
    try {
      await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      for (const n of range(3)) await publisher.publish('room', n + 1, { persistent: true })
      await waitFor('it to fail', () => errors.length > 0)
      expect(errors[0]).toMatchObject({ code: 'E_AUTH' })
    } finally {
      await outside().call('ACL', 'SETUSER', 'default', '+xrange')
    }
    await heard.untilData(3)
    expect(heard.data()).toEqual([0, 1, 2, 3])
    await subscription.unsubscribe()
  })

  it('in a loop misses none, though its queue is small', async () => {
    const { listener, publisher } = pair()
    const subscription = await listener.pubSubManager.subscribe<number>('room', { persistent: true, maxQueue: 5 })
    await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    for (const n of range(100)) await publisher.publish('room', n, { persistent: true })
    const seen: number[] = []
    for await (const { data } of subscription) if (seen.push(data) === 100) break
    expect(seen).toEqual(range(100))
  })

  it('is told how many are gone where the channel kept less than it missed', async () => {
    const { listener, publisher } = pair()
    const heard = hears()
    await listener.pubSubManager.subscribe('room', heard.handler, { persistent: true, onGap: heard.onGap })
    await publisher.publish('room', 0, { persistent: true })
    await heard.until(1)
    // The listener can't come back until all are published.
    await outside().call('CONFIG', 'SET', 'maxclients', String((await outside().connections()).length))
    await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    for (const n of range(1_000)) await publisher.publish('room', n + 1, { persistent: true, maxLength: 10 })
    const kept = (await publisher.getPersistentMessages('room', 2_000)).length
    await outside().call('CONFIG', 'SET', 'maxclients', '1000')
    await heard.untilData(1_000)
    // It may have come back before.
    const told = heard.gaps.filter(({ reason }) => reason === 'trimmed').reduce((sum, { missed }) => sum + (missed ?? 0), 0)
    expect(heard.data()).toHaveLength(1_001 - told)
    expect(heard.data()).toEqual([...heard.data()].sort((a, b) => (a as number) - (b as number)))
    expect(kept).toBeGreaterThan(9)
  })

  it('is told that some may be gone where its channel ended while it was away, and hears what is new', async () => {
    for (const count of [3, 700]) {
      const { listener, publisher, keyPrefix } = pair()
      const heard = hears()
      await listener.pubSubManager.subscribe('room', heard.handler, { persistent: true, onGap: heard.onGap })
      for (const n of range(3)) await publisher.publish('room', n, { persistent: true })
      await heard.until(3)
      await outside().pipeline([['CLIENT', 'KILL', 'TYPE', 'pubsub'], ['DEL', `${keyPrefix}stream:room`]])
      for (const n of range(count)) await publisher.publish('room', n + 3, { persistent: true })
      await heard.untilData(count + 2)
      expect(heard.data()).toEqual(range(count + 3))
      await waitFor('the gaps to be told', () => heard.gaps.length > 1)
      expect(heard.gaps.map(({ reason, missed }) => [reason, missed])).toEqual([['reconnected', null], ['trimmed', null]])
    }
  })

  it('whose server lost the newest of what it kept is told so, and hears what is new', async () => {
    const { listener, publisher, keyPrefix } = pair()
    const heard = hears()
    await listener.pubSubManager.subscribe('room', heard.handler, { persistent: true, onGap: heard.onGap })
    await publisher.publish('room', 'before', { persistent: true })
    const older = await outside().call('COPY', `${keyPrefix}stream:room`, `${keyPrefix}older`)
    expect(older).toBe(1)
    for (const n of range(9)) await publisher.publish('room', n, { persistent: true })
    await heard.until(10)
    await outside().pipeline([['CLIENT', 'KILL', 'TYPE', 'pubsub'], ['COPY', `${keyPrefix}older`, `${keyPrefix}stream:room`, 'REPLACE']])
    await waitFor('the gaps to be told', () => heard.gaps.length > 1)
    for (const n of range(3)) await publisher.publish('room', `new ${n}`, { persistent: true })
    await heard.untilData('new 2')
    expect(heard.data()).toEqual(['before', ...range(9), 'before', 'new 0', 'new 1', 'new 2'])
    expect(heard.gaps.map(({ reason, missed }) => [reason, missed])).toEqual([['reconnected', null], ['trimmed', null]])
  })

  it.each(range(6).map((n) => 7919 * (n + 1)))('hears everything once and in order, whenever connections are killed (seed %i)', async (seed) => {
    const { below, isLucky } = generator(seed)
    const { listener, publisher } = pair()
    const heard = hears()
    const channels = range(3)
    const all = channels.map(() => hears())
    for (const n of channels) await listener.pubSubManager.subscribe(`room:${n}`, all[n]!.handler, { persistent: true, maxQueue: 50 })
    const slow: unknown[] = []
    await listener.pubSubManager.subscribe(
      'room:0',
      async ({ data }) => {
        slow.push(data)
        if (slow.length % 13 === 0) await new Promise((resolve) => setImmediate(resolve))
      },
      { persistent: true, maxQueue: 20_000 },
    )
    const published = channels.map(() => 0)
    for (let step = 0; step < 300; step++) {
      const n = below(3)
      const count = 1 + below(8)
      await Promise.all(range(count).map(() => publisher.publish(`room:${n}`, published[n]!++, { persistent: true, maxLength: 100_000 })))
      if (isLucky(4)) await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    }
    for (const n of channels) {
      await publisher.publish(`room:${n}`, 'end', { persistent: true, maxLength: 100_000 })
      await all[n]!.untilData('end', 15_000)
      expect(all[n]!.data()).toEqual([...range(published[n]!), 'end'])
    }
    await waitFor('the slow one', () => slow.includes('end'))
    expect(slow).toEqual([...range(published[0]!), 'end'])
    expect(heard.data()).toEqual([])
  })

  it('hears what the server was told before it was killed, and what it is told afterwards', async () => {
    const { listener, publisher } = pair()
    const heard = hears()
    await listener.pubSubManager.subscribe('room', heard.handler, { persistent: true })
    for (const n of range(5)) await publisher.publish('room', n, { persistent: true })
    await heard.until(5)
    await server().restart({ keepData: false, force: true })
    await waitFor('the listener to be back', async () => {
      using client = await server().client()
      return (await listening(client)).length === 1
    })
    for (const n of range(5)) await publisher.publish('room', n + 5, { persistent: true })
    await heard.untilData(9)
    expect(heard.data()).toEqual(range(10))
  })
})
