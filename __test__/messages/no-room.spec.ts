// A server that came back without room takes what it can, once; the rest waits.
import { describe, expect, it } from 'vitest'
import type { RespClient } from '../support/resp-client'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { hears } from './messages'

/** How often a server was sent a command, by scripts too. */
async function callsOf(outside: RespClient, command: string): Promise<number> {
  const text = String(await outside.call('INFO', 'commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(text)?.[1] ?? 0)
}

describe('messages that waited', () => {
  it('are published once each, though the server has no room for those that it is to keep', async () => {
    await using scene = await Scene.start()
    using outside = await scene.server.client()
    const { pubSubManager } = scene.holdfast
    await scene.proxy.set('refuse')
    await scene.degraded()
    for (const channel of ['one', 'two']) {
      await pubSubManager.publish(channel, 1)
      await pubSubManager.publish(channel, 2, { persistent: true })
      await pubSubManager.publish(channel, 3)
    }
    await outside.call('CONFIG', 'SET', 'maxmemory', 1)
    const before = await callsOf(outside, 'evalsha')
    await scene.proxy.set('pass')
    await waitFor('it to be tried again', async () => (await callsOf(outside, 'evalsha')) - before > 8, { withinMs: 15_000 })
    expect(await callsOf(outside, 'publish')).toBe(4)
    const heard = hears()
    await scene.open({ url: scene.server.url }).pubSubManager.subscribe('one', heard.handler)
    await outside.call('CONFIG', 'SET', 'maxmemory', 0)
    await heard.untilData(2)
    await scene.healed()
    expect(await callsOf(outside, 'publish')).toBe(6)
    expect(heard.data()).toEqual([2])
  })
})
