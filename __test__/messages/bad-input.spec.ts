// What is no channel, no message and no option is refused with the path of what is wrong, and changes nothing.
import { afterAll, describe, expect, it } from 'vitest'
import { areRefused, reasonOf, wrongDurations, wrongSwitches } from '../cache/loads'
import { onStore, opener } from '../cache/stores'

const wrongTexts = ['', 5, null, undefined, {}, [], true, 1n, Symbol('x'), 'x'.repeat(1_025), '\ud800']
const wrongCounts = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', {}, [], true, 5n]
const wrongFunctions = [5, 'text', {}, true, null]

const { holdfast } = onStore('memory')
const { pubSubManager: manager, createPubSubManager, createEventStream, RealTimeManager } = holdfast
const handler = (): void => {}
const subscribe = (options: object) => manager.subscribe('room', handler, options as never)

describe.concurrent('subscribe', () => {
  const wrong: [path: string, values: readonly unknown[], call: (value: never) => unknown][] = [
    ['channel', wrongTexts, (channel) => manager.subscribe(channel, handler)],
    ['handler', [5, 'text', true, 1n, null], (value) => manager.subscribe('room', value)],
    ['options', [5, 'text', true, []], (options) => manager.subscribe('room', handler, options)],
    ['options.unknown', [1], (unknown) => subscribe({ unknown })],
    ['options.pattern', wrongSwitches, (pattern) => subscribe({ pattern })],
    ['options.persistent', wrongSwitches, (persistent) => subscribe({ persistent })],
    ['options.persistent', [true], (persistent) => subscribe({ persistent, pattern: true })],
    ['options.keepAlive', wrongSwitches, (keepAlive) => subscribe({ keepAlive })],
    ['options.buffer', wrongSwitches, (buffer) => subscribe({ buffer })],
    ['options.from', ['', '0', '1-', '-1', 'x-y', '1-1-1', 5, null, {}, '12345678901234567-1'], (from) => subscribe({ persistent: true, from })],
    ['options.from', ['0-0'], (from) => subscribe({ from })],
    ['options.maxQueue', wrongCounts, (maxQueue) => subscribe({ maxQueue })],
    ['options.maxBuffer', wrongCounts, (maxBuffer) => subscribe({ maxBuffer })],
    ['options.onOverflow', ['', 'drop', 5, {}, true, 'toString'], (onOverflow) => subscribe({ onOverflow })],
    ['options.onGap', wrongFunctions, (onGap) => subscribe({ onGap })],
    ['options.signal', [5, 'text', {}, { signal: {} }, true, null], (signal) => subscribe({ signal })],
  ]
  it.each(wrong)('refuses a wrong %s', (path, values, call) => areRefused(path, values, call))

  it('refuses patterns of shards', () => areRefused('options.pattern', [true], (pattern) => createPubSubManager({ sharded: true }).subscribe('room', handler, { pattern })))

  it('refuses a loop over a subscription whose handler gets the messages, and listeners that would never hear', async () => {
    const own = opener({ url: 'memory:' })
    const subscription = await own.open().pubSubManager.subscribe('taken', handler)
    await areRefused('handler', [undefined], async () => subscription[Symbol.asyncIterator]())
    await areRefused('event', ['gaps', '', 5, 'toString', undefined], async (event) => subscription.on(event as never, handler as never))
    await areRefused('listener', wrongFunctions, async (listener) => subscription.on('gap', listener as never))
    await own.closeAll()
  })

  it('refuses a missing handler beside options, instead of waiting for a loop', () =>
    areRefused('handler', [undefined], (value) => manager.subscribe('room', value as never, { maxQueue: 5 })))
})

describe.concurrent('publish and what is kept', () => {
  const publish = (options: object) => manager.publish('room', 1, options as never)
  const circle: { self?: unknown } = {}
  circle.self = circle
  const wrong: [path: string, values: readonly unknown[], call: (value: never) => unknown][] = [
    ['channel', wrongTexts, (channel) => manager.publish(channel, 1)],
    ['data', [undefined, 1n, handler, Symbol('x')], (data) => manager.publish('room', data)],
    ['data.self', [circle], (data) => manager.publish('room', data)],
    ['options', [5, 'text', true, [], null], (options) => manager.publish('room', 1, options)],
    ['options.unknown', [1], (unknown) => publish({ unknown })],
    ['options.userId', [5, null, {}, true], (userId) => publish({ userId })],
    ['options.sessionId', [5, null, {}, true], (sessionId) => publish({ sessionId })],
    ['options.metadata', [5, 'text', true], (metadata) => publish({ metadata })],
    ['options.persistent', wrongSwitches, (persistent) => publish({ persistent })],
    ['options.ttl', wrongDurations, (ttl) => publish({ persistent: true, ttl })],
    ['options.ttl', wrongDurations, (ttl) => publish({ ttl })],
    ['options.maxLength', [...wrongCounts, null, 0], (maxLength) => publish({ persistent: true, maxLength })],
    ['channel', wrongTexts.filter((text) => text !== undefined), async (channel) => manager.getChannelStats(channel)],
    ['channel', wrongTexts, async (channel) => manager.getSubscriberCount(channel)],
    ['channel', wrongTexts, (channel) => manager.getPersistentMessages(channel)],
    ['limit', [...wrongCounts, null], (limit) => manager.getPersistentMessages('room', limit)],
    ['channel', wrongTexts, (channel) => manager.unsubscribe(channel)],
    ['handler', wrongFunctions, (value) => manager.unsubscribe('room', value)],
  ]
  it.each(wrong)('refuse a wrong %s', (path, values, call) => areRefused(path, values, call))
})

describe.concurrent('presence', () => {
  const wrong: [path: string, values: readonly unknown[], call: (value: never) => unknown][] = [
    ['room', wrongTexts, (room) => manager.setPresence(room, 'u', 'online')],
    ['userId', wrongTexts, (userId) => manager.setPresence('room', userId, 'online')],
    ['status', wrongTexts.filter((text) => text !== null), (status) => manager.setPresence('room', 'u', status)],
    ['ttl', wrongDurations, (ttl) => manager.setPresence('room', 'u', 'online', ttl)],
    ['room', wrongTexts, (room) => manager.getPresence(room)],
    ['status', ['', 'here', 5, null], (status) => RealTimeManager.broadcastPresence('u', status)],
    ['userId', wrongTexts, (userId) => RealTimeManager.broadcastPresence(userId, 'online')],
    ['options', [5, 'text', true, [], null], (options) => RealTimeManager.broadcastPresence('u', 'online', options)],
    ['options.rom', ['lobby'], (rom) => RealTimeManager.broadcastPresence('u', 'online', { rom } as never)],
    ['options.room', wrongTexts.filter((text) => text !== undefined), (room) => RealTimeManager.broadcastPresence('u', 'online', { room })],
    ['options.ttl', wrongDurations, (ttl) => RealTimeManager.broadcastPresence('u', 'online', { ttl })],
    ['options.rom', ['lobby'], (rom) => RealTimeManager.keepPresent('u', new AbortController().signal, { rom } as never)],
    ['room', wrongTexts.filter((text) => text !== undefined), (room) => RealTimeManager.getOnlineUsers(room)],
    ['userId', wrongTexts, (userId) => RealTimeManager.subscribeToPresence(userId, () => {})],
    ['request', [5, 'text', {}, { signal: {} }, undefined, null], (signal) => RealTimeManager.keepPresent('u', signal)],
  ]
  it.each(wrong)('refuses a wrong %s', (path, values, call) => areRefused(path, values, call))
})

describe.concurrent('what chat apps tell', () => {
  const wrong: [path: string, values: readonly unknown[], call: (value: never) => unknown][] = [
    ['conversationId', wrongTexts, (id) => RealTimeManager.broadcastAIResponse(id, 'answer')],
    ['response', [undefined], (response) => RealTimeManager.broadcastAIResponse('c', response)],
    ['conversationId', wrongTexts, (id) => RealTimeManager.subscribeToAIResponses(id, () => {})],
    ['conversationId', wrongTexts, (id) => RealTimeManager.broadcastTyping(id, 'u', true)],
    ['userId', wrongTexts, (userId) => RealTimeManager.broadcastTyping('c', userId, true)],
    ['isTyping', [undefined, 'yes', 1, null], (isTyping) => RealTimeManager.broadcastTyping('c', 'u', isTyping)],
    ['conversationId', wrongTexts, (id) => RealTimeManager.subscribeToTyping(id, () => {})],
    ['userId', wrongTexts, (userId) => RealTimeManager.broadcastNotification(userId, { id: '1', title: 't', message: 'm', type: 'info' })],
    ['notification', [undefined, null, 5, 'text', []], (notification) => RealTimeManager.broadcastNotification('u', notification)],
    ['userId', wrongTexts, (userId) => RealTimeManager.subscribeToNotifications(userId, () => {})],
  ]
  it.each(wrong)('refuses a wrong %s', (path, values, call) => areRefused(path, values, call))
})

describe.concurrent('createPubSubManager', () => {
  const wrong: [path: string, values: readonly unknown[], call: (value: never) => unknown][] = [
    ['options', [5, 'text', true, [], null], (options) => createPubSubManager(options)],
    ['options.unknown', [1], (unknown) => createPubSubManager({ unknown } as never)],
    ['options.channelPrefix', [5, null, {}, true, '\ud800', 'x'.repeat(5_000)], (channelPrefix) => createPubSubManager({ channelPrefix })],
    ['options.sharded', wrongSwitches, (sharded) => createPubSubManager({ sharded })],
    ['options.bufferSize', wrongCounts, (bufferSize) => createPubSubManager({ bufferSize })],
    ['options.maxBuffer', wrongCounts, (maxBuffer) => createPubSubManager({ maxBuffer })],
  ]
  it.each(wrong)('refuses a wrong %s at once', (path, values, call) => areRefused(path, values, call))
})

describe.concurrent('createEventStream', () => {
  const request = new Request('https://app.example/events')
  const stream = (options: object) => createEventStream(request, 'room', options as never)
  const wrong: [path: string, values: readonly unknown[], call: (value: never) => unknown][] = [
    ['request', [undefined, null, 5, 'text', {}, { headers: {} }], (value) => createEventStream(value, 'room')],
    ['channels', wrongTexts, (channels) => createEventStream(request, channels)],
    ['channels[1]', ['', 5, undefined, 'x'.repeat(1025)], (channel) => createEventStream(request, ['room', channel])],
    ['options', [5, 'text', true, [], null], (options) => createEventStream(request, 'room', options)],
    ['options.unknown', [1], (unknown) => stream({ unknown })],
    ['options.persistent', wrongSwitches, (persistent) => stream({ persistent })],
    ['options.persistent', [true], (persistent) => createEventStream(request, ['a', 'b'], { persistent })],
    ['options.from', ['', 'x', 5, null], (from) => stream({ persistent: true, from })],
    ['options.from', ['0-0'], (from) => stream({ from })],
    ['options.map', wrongFunctions, (map) => stream({ map })],
    ['options.event', [5, {}, true, null], (event) => stream({ event })],
    ['options.heartbeat', wrongDurations, (heartbeat) => stream({ heartbeat })],
    ['options.retryMs', [...wrongCounts, '1\n\ndata: evil'], (retryMs) => stream({ retryMs })],
    ['options.maxQueue', wrongCounts, (maxQueue) => stream({ maxQueue })],
    ['options.onOverflow', ['', 'drop', 5], (onOverflow) => stream({ onOverflow })],
    ['options.headers', [5, 'text', null], (headers) => stream({ headers })],
    ['options.onStart', wrongFunctions, (onStart) => stream({ onStart })],
    ['options.onEnd', wrongFunctions, (onEnd) => stream({ onEnd })],
  ]
  it.each(wrong)('refuses a wrong %s at once', (path, values, call) => areRefused(path, values, call))
})

it('nothing of all that was subscribed', () => {
  expect(manager.getActiveChannels()).toEqual([])
})
