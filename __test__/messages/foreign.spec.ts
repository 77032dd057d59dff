// Publishers and subscribers that are not ours: a raw client on each side.
import { randomUUID } from 'node:crypto'
import { describe, expect, inject, it } from 'vitest'
import { onStore } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Foreign, fresh, hears } from './messages'

describe.concurrent('publishers that are not ours', () => {
  const { holdfast, keyPrefix, outside } = onStore('redis')
  const { pubSubManager } = holdfast

  it.each([
    ['a text', 'plain text, {not JSON', 'plain text, {not JSON'],
    ['nothing', '', ''],
    ['JSON', '{"a":[1,{"b":null}]}', { a: [1, { b: null }] }],
    ['a JSON text', '"quoted"', 'quoted'],
    ['a number', '17', 17],
    ['null', 'null', null],
    ['an object with an id', '{"id":"7","data":1}', { id: '7', data: 1 }],
    ['UTF-8', 'ä 😀', 'ä 😀'],
  ])('have %s taken as the data of a message', async (_, payload, data) => {
    const channel = fresh('foreign')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    const before = Date.now()
    expect(await outside().call('PUBLISH', `${keyPrefix}${channel}`, payload)).toBe(1)
    await heard.until(1)
    expect(heard.messages).toEqual([{ id: '', channel, data, timestamp: expect.any(Number) }])
    expect(heard.messages[0]?.timestamp).toBeGreaterThanOrEqual(before)
  })

  it('have bytes that are no text taken as bytes', async () => {
    const channel = fresh('bytes')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    const bytes = Uint8Array.from([0, 255, 254, 13, 10, 128, 0])
    await outside().call('PUBLISH', `${keyPrefix}${channel}`, bytes)
    await heard.until(1)
    const [message] = heard.messages
    expect(message?.data).toBeInstanceOf(Uint8Array)
    expect([...(message?.data as Uint8Array)]).toEqual([...bytes])
  })

  it('have every message taken, though they all have one id', async () => {
    const channel = fresh('same')
    const heard = hears()
    await pubSubManager.subscribe(channel, heard.handler)
    const text = JSON.stringify({ id: 'always', timestamp: 5, data: 'again' })
    for (let n = 0; n < 3; n++) await outside().call('PUBLISH', `${keyPrefix}${channel}`, text)
    await outside().call('PUBLISH', `${keyPrefix}${channel}`, 'end')
    expect(await heard.untilData('end')).toEqual(['again', 'again', 'again', 'end'])
  })

  it('reach patterns, and managers that have no prefix', async () => {
    const name = fresh('bare')
    const bare = holdfast.createPubSubManager({ channelPrefix: '' })
    const heard = hears()
    await bare.subscribe(name, heard.handler)
    await bare.subscribe(`${name}*`, heard.handler, { pattern: true })
    await outside().call('PUBLISH', name, 'hello')
    expect(await heard.until(2)).toEqual(['hello', 'hello'])
    expect(heard.messages.map(({ channel }) => channel)).toEqual([name, name])
  })

  it('have the channel told in full to patterns of managers that have no prefix', async () => {
    const bare = holdfast.createPubSubManager({ channelPrefix: '' })
    const channel = `${keyPrefix}${fresh('full')}`
    const heard = hears()
    await bare.subscribe(`${keyPrefix}full:*`, heard.handler, { pattern: true })
    await outside().call('PUBLISH', channel, 'hello')
    await heard.until(1)
    expect(heard.messages[0]?.channel).toBe(channel)
  })

  it('publish on shards', async () => {
    const sharded = holdfast.createPubSubManager({ sharded: true })
    const channel = fresh('shard')
    const heard = hears()
    await sharded.subscribe(channel, heard.handler)
    expect(await outside().call('SPUBLISH', `${keyPrefix}${channel}`, 'hello')).toBe(1)
    expect(await heard.until(1)).toEqual(['hello'])
  })
})

describe.concurrent('subscribers that are not ours', () => {
  const { holdfast, keyPrefix } = onStore('redis')
  const { pubSubManager } = holdfast
  const port = inject('redisPort')

  it('read JSON, under the key prefix', async () => {
    const channel = fresh('read')
    using foreign = await Foreign.listen(port, `${keyPrefix}${channel}`)
    await pubSubManager.publish(channel, { text: 'ä' }, { userId: 'u' })
    await pubSubManager.publish(channel, 'kept', { persistent: true })
    await waitFor('both', () => foreign.payloads.length === 2)
    const [plain, kept] = foreign.payloads.map((text) => JSON.parse(text) as Record<string, unknown>)
    expect(plain).toEqual({ id: expect.any(String), timestamp: expect.any(Number), data: { text: 'ä' }, userId: 'u' })
    expect(kept).toMatchObject({ data: 'kept', seq: expect.stringMatching(/^\d+-1$/) as string })
  })

  it('read what managers without a prefix publish, and those of shards', async () => {
    const name = `shared:${randomUUID()}`
    using foreign = await Foreign.listen(port, name)
    using shard = await Foreign.listen(port, `${keyPrefix}${name}`, 'SSUBSCRIBE')
    await holdfast.createPubSubManager({ channelPrefix: '' }).publish(name, 1)
    await holdfast.createPubSubManager({ sharded: true }).publish(name, 2)
    await waitFor('both', () => foreign.payloads.length + shard.payloads.length === 2)
    expect([foreign, shard].map(({ payloads }) => (JSON.parse(payloads[0]!) as { data: unknown }).data)).toEqual([1, 2])
  })
})
