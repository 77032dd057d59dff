// Messages as server-sent events: what is sent, from where it goes on, how much waits, and that nothing is left.
import { describe, expect, it } from 'vitest'
import { range, turn } from '../boundary/inside'
import { onOwnServer, onStore, stores } from '../cache/stores'
import { unhandledDuring } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { channelsOn, fresh, listening } from './messages'

type Reader = ReadableStreamDefaultReader<Uint8Array>
interface Sent {
  id?: string
  event?: string
  data?: unknown
  comment?: string
  retry?: string
}

const request = (headers: Record<string, string> = {}, signal?: AbortSignal): Request =>
  new Request('https://app.example/events', { headers, ...(signal === undefined ? {} : { signal }) })

/** Reads events until so many with data have come, or the end. */
async function read(reader: Reader, count: number): Promise<Sent[]> {
  const decoder = new TextDecoder()
  const all: Sent[] = []
  let text = ''
  while (all.filter(({ data }) => data !== undefined).length < count) {
    const { value, done } = await reader.read()
    if (done) break
    text += decoder.decode(value, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    all.push(...blocks.map(parsed))
  }
  expect(text).toBe('')
  return all
}

function parsed(block: string): Sent {
  const sent: Sent = {}
  for (const line of block.split('\n')) {
    const [, name, value] = /^([a-z]*): ?(.*)$/s.exec(line) ?? []
    if (name === '' || line === ':') sent.comment = value ?? ''
    else if (name === 'data') sent.data = JSON.parse(value!)
    else if (name === 'id' || name === 'event' || name === 'retry') sent[name] = value!
    else throw new Error(`not a line of an event: ${line}`)
  }
  return sent
}

const dataOf = (sent: readonly Sent[]): unknown[] => sent.filter(({ data }) => data !== undefined).map(({ data }) => (data as { data: unknown }).data)

describe.concurrent.each(stores)('an event stream on %s', (store) => {
  const { holdfast } = onStore(store)
  const { createEventStream, pubSubManager } = holdfast

  /** A stream that has begun. */
  async function begun(channel: string | string[], options: Parameters<typeof createEventStream>[2] = {}, headers: Record<string, string> = {}): Promise<{ response: Response; reader: Reader }> {
    let started = false
    const response = createEventStream(request(headers), channel, { ...options, onStart: () => (started = true) })
    await waitFor('the stream to begin', () => started, { withinMs: 4_000 })
    return { response, reader: response.body!.getReader() }
  }

  it('has the headers that keep anything in between from keeping it back', async () => {
    const response = createEventStream(request(), fresh('headers'), { headers: { 'x-own': '1', 'cache-control': 'no-store' } })
    expect(response.status).toBe(200)
    const headers: Record<string, string> = {}
    response.headers.forEach((value, name) => (headers[name] = value))
    expect(headers).toEqual({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-own': '1',
    })
    const plain = createEventStream(request(), fresh('headers'))
    expect(plain.headers.get('cache-control')).toBe('no-cache, no-transform')
    await Promise.all([response.body?.cancel(), plain.body?.cancel()])
  })

  it('says something at once, and then whole messages', async () => {
    const channel = fresh('whole')
    const { reader } = await begun(channel)
    await pubSubManager.publish(channel, { text: 'ä\nline\r\n\u2028' }, { userId: 'u' })
    const [first, message] = await read(reader, 1)
    expect(first).toEqual({ comment: 'connected' })
    expect(message).toEqual({ data: { id: expect.any(String), channel, data: { text: 'ä\nline\r\n\u2028' }, timestamp: expect.any(Number), userId: 'u' } })
    await reader.cancel()
  })

  it('sends what map makes of a message under the name that event gives it, and says when to come back', async () => {
    const channel = fresh('mapped')
    const map = ({ data }: { data: unknown }): unknown => (data === 1 ? undefined : { n: data })
    const event = ({ data }: { data: unknown }): string | undefined => (data === 2 ? 'two\nlines' : undefined)
    const { reader } = await begun(channel, { map, event, retryMs: 1_500 })
    for (const n of range(4)) await pubSubManager.publish(channel, n)
    expect(await read(reader, 3)).toEqual([{ retry: '1500' }, { data: { n: 0 } }, { comment: '' }, { event: 'two lines', data: { n: 2 } }, { data: { n: 3 } }])
    await reader.cancel()
  })

  it('tells of several channels', async () => {
    const channels = range(3).map((n) => fresh(`several ${n}`))
    const { reader } = await begun(channels)
    for (const [n, channel] of channels.entries()) await pubSubManager.publish(channel, n)
    expect(dataOf(await read(reader, 3))).toEqual([0, 1, 2])
    await reader.cancel()
  })

  it('tells the ids of persistent messages, and goes on behind Last-Event-ID exactly', async () => {
    const channel = fresh('last')
    const first = await begun(channel, { persistent: true })
    for (const n of range(10)) await pubSubManager.publish(channel, n, { persistent: true })
    const sent = (await read(first.reader, 4)).filter(({ data }) => data !== undefined)
    expect(sent.map(({ id }) => id)).toEqual(sent.map(({ data }) => (data as { eventId: string }).eventId))
    const id = sent[3]?.id
    expect(id).toMatch(/^\d+-4$/)
    await first.reader.cancel()
    const second = await begun(channel, { persistent: true }, { 'Last-Event-ID': id! })
    await pubSubManager.publish(channel, 10, { persistent: true })
    expect(dataOf(await read(second.reader, 7))).toEqual([4, 5, 6, 7, 8, 9, 10])
    await second.reader.cancel()
  })

  it("begins where from says without that, and with what comes where the client's id is none", async () => {
    const channel = fresh('from')
    for (const n of range(3)) await pubSubManager.publish(channel, n, { persistent: true })
    const all = await begun(channel, { persistent: true, from: '0-0' })
    expect(dataOf(await read(all.reader, 3))).toEqual([0, 1, 2])
    const none = await begun(channel, { persistent: true }, { 'Last-Event-ID': "'; --" })
    await pubSubManager.publish(channel, 3, { persistent: true })
    expect(dataOf(await read(none.reader, 1))).toEqual([3])
    await Promise.all([all.reader.cancel(), none.reader.cancel()])
  })

  it('goes on behind an id although more was missed than may wait', async () => {
    const channel = fresh('long')
    await Promise.all(range(600).map((n) => pubSubManager.publish(channel, n, { persistent: true, maxLength: 10_000 })))
    const response = createEventStream(request({ 'Last-Event-ID': '0-0' }), channel, { persistent: true, maxQueue: 20 })
    const reader = response.body!.getReader()
    expect(dataOf(await read(reader, 600))).toEqual(range(600))
    await reader.cancel()
  })

  it('goes on behind an id although very much was missed', async () => {
    const channel = fresh('longer')
    await Promise.all(range(3_000).map((n) => pubSubManager.publish(channel, n, { persistent: true, maxLength: 10_000 })))
    const response = createEventStream(request({ 'Last-Event-ID': '0-0' }), channel, { persistent: true })
    const reader = response.body!.getReader()
    let seen = 0
    const reading = read(reader, 3_000).then((sent) => (seen = dataOf(sent).length))
    await waitFor('all to be read', () => seen === 3_000, { withinMs: 6_000 }).finally(() => reader.cancel().catch(() => {}))
    await reading
  })

  it('sends a comment now and then', async () => {
    const { reader } = await begun(fresh('heartbeat'), { heartbeat: 0.02 })
    const comments: string[] = []
    while (comments.length < 4) comments.push(new TextDecoder().decode((await reader.read()).value))
    expect(comments).toEqual([': connected\n\n', ':\n\n', ':\n\n', ':\n\n'])
    await reader.cancel()
  })

  it('whose comments are months apart sends none at once', async () => {
    const { reader } = await begun(fresh('rare'), { heartbeat: 40 * 86_400 })
    await reader.read()
    let more = 0
    const next = reader.read().then(({ done }) => (more += done ? 0 : 1))
    const end = performance.now() + 200
    await waitFor('some time to pass', () => performance.now() > end)
    expect(more).toBe(0)
    await reader.cancel()
    await next
  })

  it('whose client does not read ends, bounded, and what had found room is there', async () => {
    const channel = fresh('full')
    const ended: string[] = []
    const { reader } = await begun(channel, { maxQueue: 10, onEnd: () => ended.push('end') })
    for (const n of range(50)) await pubSubManager.publish(channel, n)
    await waitFor('the end', () => ended.length === 1)
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
    expect(dataOf(await read(reader, 50))).toEqual(range(10))
    expect(await reader.read()).toEqual({ done: true, value: undefined })
  })

  it.each(['drop-oldest', 'drop-newest'] as const)('whose client does not read says that some are missing, with %s', async (onOverflow) => {
    const channel = fresh('drops')
    const { reader } = await begun(channel, { maxQueue: 10, onOverflow })
    for (const n of range(50)) await pubSubManager.publish(channel, n)
    await waitFor('them to come', () => pubSubManager.getChannelStats(channel)[0]?.messagesReceived === 50)
    await pubSubManager.publish(channel, 'end')
    const sent: Sent[] = []
    while (sent.length < 11) {
      const next = await Promise.race([read(reader, 1), new Promise<Sent[]>((resolve) => setTimeout(() => resolve([]), 500))])
      if (next.length === 0) break
      sent.push(...next)
    }
    expect(sent.filter(({ data }) => data !== undefined).length).toBeLessThanOrEqual(12)
    expect(sent.map(({ event }) => event)).toContain('gap')
    await reader.cancel()
  })

  it('of a persistent channel whose client does not read is bounded as well', async () => {
    const channel = fresh('persistent-full')
    const ended: string[] = []
    const { reader } = await begun(channel, { persistent: true, maxQueue: 10, onEnd: () => ended.push('end') })
    for (const _ of range(20)) {
      await Promise.all(range(100).map((n) => pubSubManager.publish(channel, n, { persistent: true, maxLength: 10_000 })))
      if (ended.length > 0) break
    }
    await waitFor('the end', () => ended.length === 1)
    await reader.cancel()
  })

  it.each([
    [false, 'drop-oldest'],
    [false, 'drop-newest'],
    [true, 'drop-oldest'],
    [true, 'drop-newest'],
  ] as const)('whose client does not read sends or counts each message (persistent: %s, %s)', async (persistent, onOverflow) => {
    const channel = fresh('counted')
    const { reader } = await begun(channel, { persistent, maxQueue: 10, onOverflow })
    await Promise.all(range(1_500).map((n) => pubSubManager.publish(channel, n, { persistent, ...(persistent ? { maxLength: 10_000 } : {}) })))
    await waitFor('them to come', () => pubSubManager.getChannelStats(channel)[0]?.messagesReceived === 1_500)
    const [seen, gaps]: [unknown[], unknown[]] = [[], []]
    let missed = 0
    while (seen.length + missed < 1_500) {
      const sent = await read(reader, 1)
      expect(sent, `${seen.length} sent, ${missed} counted, and the stream ended`).not.toEqual([])
      for (const { event, data } of sent) {
        if (event === 'gap') {
          gaps.push(data)
          missed += (data as { missed: number }).missed
        } else if (data !== undefined) seen.push((data as { data: unknown }).data)
      }
    }
    expect(seen.length + missed).toBe(1_500)
    expect(seen.length).toBeLessThanOrEqual(22)
    expect(seen).toEqual([...seen].sort((one, other) => Number(one) - Number(other)))
    for (const gap of gaps) expect(gap).toEqual({ reason: 'overflow', since: expect.any(Number), missed: expect.any(Number) })
    await reader.cancel()
  })

  it('of a persistent channel that overflows ends soon, and its client goes on where it was', async () => {
    const channel = fresh('comes-back')
    const ended: string[] = []
    const first = await begun(channel, { persistent: true, maxQueue: 10, onEnd: () => ended.push('end') })
    await Promise.all(range(50).map((n) => pubSubManager.publish(channel, n, { persistent: true })))
    await waitFor('the end', () => ended.length === 1)
    const sent = (await read(first.reader, 50)).filter(({ data }) => data !== undefined)
    expect(await first.reader.read()).toEqual({ done: true, value: undefined })
    const second = await begun(channel, { persistent: true, maxQueue: 10 }, { 'Last-Event-ID': sent.at(-1)!.id! })
    expect([...dataOf(sent), ...dataOf(await read(second.reader, 50 - sent.length))]).toEqual(range(50))
    await second.reader.cancel()
  })

  it('whose client names an event that the channel does not have is told so, and hears what is kept', async () => {
    const channel = fresh('unknown')
    for (const n of range(3)) await pubSubManager.publish(channel, n, { persistent: true })
    const { reader } = await begun(channel, { persistent: true }, { 'Last-Event-ID': '9999999999999999-1' })
    const [, gap, ...messages] = await read(reader, 4)
    expect(gap).toEqual({ event: 'gap', data: { reason: 'trimmed', since: expect.any(Number), missed: null } })
    expect(dataOf(messages)).toEqual([0, 1, 2])
    await reader.cancel()
  })

  it('ends with the signal of its request, and with its body', async () => {
    const [aborted, cancelled] = [fresh('abort'), fresh('cancel')]
    const controller = new AbortController()
    const ended: string[] = []
    const first = createEventStream(request({}, controller.signal), aborted, { onEnd: () => ended.push('aborted') })
    const second = createEventStream(request(), cancelled, { onEnd: () => ended.push('cancelled') })
    await waitFor('both', () => pubSubManager.getSubscriberCount(aborted) + pubSubManager.getSubscriberCount(cancelled) === 2)
    controller.abort()
    await second.body?.cancel()
    expect(ended).toEqual(['aborted', 'cancelled'])
    expect(pubSubManager.getSubscriberCount(aborted) + pubSubManager.getSubscriberCount(cancelled)).toBe(0)
    const reader = first.body!.getReader()
    await read(reader, 1)
    expect(await reader.read()).toEqual({ done: true, value: undefined })
  })

  it('of a request that was aborted before never begins', async () => {
    const channel = fresh('before')
    const calls: string[] = []
    const response = createEventStream(request({}, AbortSignal.abort()), channel, { onStart: () => calls.push('start'), onEnd: () => calls.push('end') })
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
    expect(await response.text()).toBe('')
    expect(calls).not.toContain('start')
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
  })

  it('takes requests that are none of the web, too', async () => {
    const channel = fresh('plain')
    const response = createEventStream({ headers: { get: () => null } }, channel)
    await waitFor('it to begin', () => pubSubManager.getSubscriberCount(channel) === 1)
    await response.body?.cancel()
    expect(pubSubManager.getSubscriberCount(channel)).toBe(0)
  })

  it.each([
    ['map', () => ({ map: () => { throw new Error('of map') } })],
    ['event', () => ({ event: () => { throw new Error('of event') } })],
    ['JSON', () => ({ map: () => 1n })],
  ])('ends where %s fails, and leaves no subscription', async (_, options) => {
    const channel = fresh('fails')
    const { reader } = await begun(channel, options())
    await reader.read()
    const next = reader.read().then(
      () => 'read',
      () => 'failed',
    )
    await pubSubManager.publish(channel, 1)
    expect(await next).toBe('failed')
    await waitFor('the subscription to end', () => pubSubManager.getSubscriberCount(channel) === 0, { withinMs: 2_000 })
  })

  it('that can not be answered leaves no subscription', async () => {
    const channel = fresh('headers-fail')
    expect(() => createEventStream(request(), channel, { headers: { 'x-own': 'two\nlines' } })).toThrow()
    await turn()
    await waitFor('the subscription to end', () => pubSubManager.getSubscriberCount(channel) === 0, { withinMs: 2_000 })
  })
})

describe('event streams that are given up', () => {
  const { outside, open } = onOwnServer()
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

  it('a thousand, in every way, leave no subscription, no channel, no connection and no timer', async () => {
    const { createEventStream, pubSubManager } = open({ keyPrefix: 'given-up:' })
    await pubSubManager.publish('room', 1)
    const before = timers()
    let ended = 0
    const unhandled = await unhandledDuring(async () => {
      for (const round of range(10)) {
        const controllers = range(100).map(() => new AbortController())
        const responses = controllers.map(({ signal }, n) => createEventStream(request({}, signal), [`room:${n % 7}`, `other:${n % 3}`], { heartbeat: '5s', onEnd: () => ended++ }))
        if (round % 3 === 1) await waitFor('some to begin', () => pubSubManager.getSubscriberCount('room:1') > 0)
        else if (round % 3 === 2) for (const _ of range(round)) await turn()
        for (const [n, controller] of controllers.entries()) {
          if (n % 2 === 0) controller.abort()
          else void responses[n]!.body!.cancel()
        }
      }
    })
    expect(ended).toBe(1_000)
    expect(unhandled).toEqual([])
    expect(pubSubManager.getActiveChannels()).toEqual([])
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'given-up:')).length === 0, { withinMs: 5_000 })
    await waitFor('the connection to go', async () => (await listening(outside())).length === 0, { withinMs: 5_000 })
    // The reply of this look is awaited without a timer.
    await outside().call('PING')
    expect(timers()).toBeLessThanOrEqual(before)
  })

  it('after they had begun leave nothing either', async () => {
    const { createEventStream, pubSubManager } = open({ keyPrefix: 'begun:' })
    const keeps = await pubSubManager.subscribe('keeps', () => {})
    for (const round of range(5)) {
      let started = 0
      const controllers = range(200).map(() => new AbortController())
      for (const { signal } of controllers) createEventStream(request({}, signal), `room:${round}`, { onStart: () => started++ })
      await waitFor('all to begin', () => started === 200)
      expect(pubSubManager.getSubscriberCount(`room:${round}`)).toBe(200)
      for (const controller of controllers) controller.abort()
    }
    expect(pubSubManager.getActiveChannels()).toEqual(['keeps'])
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'begun:')).length === 1, { withinMs: 5_000 })
    await keeps.unsubscribe()
  })

  it('by an instance that is closed end', async () => {
    const instance = open({ keyPrefix: 'closed:' })
    let started = false
    const response = instance.createEventStream(request(), 'room', { onStart: () => (started = true) })
    await waitFor('it to begin', () => started)
    const text = response.text()
    await instance.close()
    expect(await text).toBe(': connected\n\n')
  })

  it('of an interrupted connection tell of the gap', async () => {
    const { createEventStream } = open({ keyPrefix: 'interrupted:' })
    let started = false
    const response = createEventStream(request(), 'room', { onStart: () => (started = true) })
    await waitFor('it to begin', () => started)
    const reader = response.body!.getReader()
    await outside().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const sent = await read(reader, 1)
    expect(sent.at(-1)).toEqual({ event: 'gap', data: { reason: 'reconnected', since: expect.any(Number), missed: null } })
    await reader.cancel()
  })
})
