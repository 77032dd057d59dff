// Signals that end subscriptions, streams and presence: one listener on each, none left, and requests that nobody else holds.
import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { range, turn } from '../boundary/inside'
import { onStore } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { fresh } from './messages'

const { holdfast } = onStore('memory')
const { pubSubManager, createEventStream, RealTimeManager } = holdfast

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** A request of which nothing is left but what `use` keeps; answers how to abort it. */
async function letGo(use: (request: Request) => unknown): Promise<AbortController> {
  const controller = new AbortController()
  await use(new Request('https://app.example/events', { signal: controller.signal }))
  for (const _ of range(5)) {
    await turn()
    collect()
  }
  return controller
}

/** Warnings of the process while `work` runs. */
async function warningsDuring(work: () => Promise<void>): Promise<string[]> {
  const warnings: string[] = []
  const note = (warning: Error): unknown => warnings.push(warning.name)
  process.on('warning', note)
  await work()
  await turn()
  process.off('warning', note)
  return warnings
}

const listenersOn = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

describe('one signal', () => {
  it('of many subscriptions has one listener while any is left, and ends them all', async () => {
    const [channel, { signal }] = [fresh('many'), new AbortController()]
    const warnings = await warningsDuring(async () => {
      const all = await Promise.all(range(30).map(() => pubSubManager.subscribe(channel, () => {}, { signal })))
      expect(listenersOn(signal)).toBe(1)
      for (const each of all.slice(1)) await each.unsubscribe()
      expect(listenersOn(signal)).toBe(1)
      await all[0]!.unsubscribe()
      expect(listenersOn(signal)).toBe(0)
      const again = new AbortController()
      await Promise.all(range(30).map(() => pubSubManager.subscribe(channel, () => {}, { signal: again.signal })))
      again.abort()
      expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
      expect(listenersOn(again.signal)).toBe(0)
    })
    expect(warnings).toEqual([])
  })

  it('of many streams, and of streams of many channels, has no more', async () => {
    const channels = range(15).map((n) => fresh(`of ${n}`))
    const controller = new AbortController()
    const warnings = await warningsDuring(async () => {
      for (const _ of range(15)) createEventStream({ headers: new Headers(), signal: controller.signal }, channels)
      await waitFor('all to begin', () => channels.every((channel) => pubSubManager.getSubscriberCount(channel) === 15))
      expect(listenersOn(controller.signal)).toBe(1)
      controller.abort()
      expect(pubSubManager.getActiveChannels()).toEqual([])
      expect(listenersOn(controller.signal)).toBe(0)
    })
    expect(warnings).toEqual([])
  })

  it('that is aborted is the cause of the error, before the call and during it', async () => {
    const reason = new Error('the client has gone')
    const expected = { code: 'E_TIMEOUT', cause: reason }
    await expect(pubSubManager.subscribe('room', () => {}, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject(expected)
    const controller = new AbortController()
    const subscribed = pubSubManager.subscribe('room', () => {}, { signal: controller.signal })
    controller.abort(reason)
    await expect(subscribed).rejects.toMatchObject(expected)
    expect(listenersOn(controller.signal)).toBe(0)
  })

  it('whose stream throws in onEnd ends the others, too', async () => {
    const [channel, controller] = [fresh('throws'), new AbortController()]
    const onEnd = (): void => {
      throw new Error('of onEnd')
    }
    const warnings = await warningsDuring(async () => {
      for (const _ of range(3)) createEventStream({ headers: new Headers(), signal: controller.signal }, channel, { onEnd })
      controller.abort()
    })
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
    expect(warnings).toEqual(range(3).map(() => 'HoldfastWarning'))
  })
})

describe('a request that nobody else holds', () => {
  it('ends its stream when it is aborted', async () => {
    const channel = fresh('stream')
    let ended = 0
    const controller = await letGo(async (request) => {
      createEventStream(request, channel, { onEnd: () => ended++ })
      await waitFor('it to begin', () => pubSubManager.getSubscriberCount(channel) === 1)
    })
    controller.abort()
    expect(ended).toBe(1)
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
  })

  it('ends the subscription to which it was given', async () => {
    const channel = fresh('subscription')
    const controller = await letGo((request) => pubSubManager.subscribe(channel, () => {}, { signal: request }))
    controller.abort()
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
  })

  it('takes away the user that it kept present', async () => {
    const [user, room] = [fresh('user'), fresh('room')]
    const controller = await letGo((request) => RealTimeManager.keepPresent(user, request, { room }))
    expect(await RealTimeManager.getOnlineUsers(room)).toEqual([{ userId: user, status: 'online' }])
    controller.abort()
    await waitFor('the user to have gone', async () => (await RealTimeManager.getOnlineUsers(room)).length === 0)
  })
})
