// What was on its way when a connection broke is published again: kept once, told once, in its order.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, patient } from '../cache/stores'
import { Scene } from '../fault/outage'
import { hears } from './messages'

const persistent = { persistent: true, maxLength: 10_000 } as const

describe.concurrent('persistent messages whose answers are lost', () => {
  it.each([1, 60, 200])('%i at a time, are kept once, in their order', { timeout: 120_000 }, async (together) => {
    await using scene = await Scene.start({ silenceMs: 1_000 })
    const { pubSubManager } = scene.holdfast
    const witness = scene.open({ url: scene.server.url, ...patient, ...asAnother }).pubSubManager
    const heard = hears()
    await witness.subscribe('room', heard.handler, { persistent: true, maxQueue: 10_000 })
    let next = 0
    const publish = (count: number): Promise<boolean>[] => range(count).map(() => pubSubManager.publish('room', next++, persistent))
    for (const _ of range(4)) {
      await Promise.all(publish(together))
      // Requests reach the server, answers nobody.
      await scene.proxy.set('blackhole', 'toClient')
      const unanswered = publish(together)
      await heard.untilData(next - 1)
      // Others go on meanwhile.
      await witness.publish('room', 'other', persistent)
      scene.proxy.resetConnections()
      await scene.proxy.set('pass')
      expect(await Promise.all(unanswered)).toEqual(unanswered.map(() => true))
      await scene.healed(30_000)
    }
    const end = next
    await Promise.all(publish(1))
    await heard.untilData(end)
    expect(heard.data().filter((data) => data !== 'other')).toEqual(range(end + 1))
    const kept = await scene.outside((client) => client.call('XRANGE', `${scene.keyPrefix}stream:room`, '-', '+'))
    const numbers = (kept as [string, [string, string]][]).map(([, [, text]]) => (JSON.parse(`{${text}`) as { data: unknown }).data)
    expect(numbers.filter((data) => data !== 'other')).toEqual(range(end + 1))
  })
})
