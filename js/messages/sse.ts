// Messages as server-sent events: a Response for a route handler, and nothing left of it when the client has gone.

import { flag, named } from '../checks.js'
import { lifetimeMs } from '../durations.js'
import { describe, invalid } from '../errors.js'
import type { PubSubManager, PubSubOptions } from './manager.js'
import { placeOf, type PubSubMessage } from './message.js'
import { Queue, type OverflowPolicy } from './queue.js'
import type { Gap, Subscription } from './subscription.js'

/** Options of `createEventStream`. */
export interface EventStreamOptions {
  /**
   * Whether the channel's persistent messages are told from where the client has left off: the browser says so by itself
   * when it comes back (`Last-Event-ID`). Of one channel. Default: false.
   */
  persistent?: boolean | undefined
  /** Behind which event it begins where the client says nothing. Default: with what comes. */
  from?: string | undefined
  /** What of a message is sent, as JSON; undefined: nothing. Default: the whole message. */
  map?: ((message: PubSubMessage) => unknown) | undefined
  /** The name of the event. Default: none, so that `onmessage` hears it. */
  event?: string | ((message: PubSubMessage) => string | undefined) | undefined
  /** How often a comment is sent, so that nobody in between closes the connection. Default: 15 s. */
  heartbeat?: number | `${number}${'s' | 'm'}` | undefined
  /** How long the browser waits before it comes back, ms. Default: its own. */
  retryMs?: number | undefined
  /** How many messages wait for a slow client. Default: 256. */
  maxQueue?: number | undefined
  /** What becomes of those that find no room. Default: `'disconnect'`: the client comes back, and goes on where it was. */
  onOverflow?: OverflowPolicy | undefined
  /** Further headers of the response. */
  headers?: Record<string, string> | undefined
  /** Called when the stream begins, and with what ends it. */
  onStart?: (() => void) | undefined
  onEnd?: (() => void) | undefined
}

/** A request, as far as it is needed. */
export interface EventStreamRequest {
  readonly headers: { get(name: string): string | null }
  readonly signal?: AbortSignal | undefined
}

type Sent = { readonly message: PubSubMessage } | { readonly gap: Gap }

const HEARTBEAT_MS = 15_000
const LONGEST_TIMER = 2 ** 31 - 1
const POLICIES: readonly string[] = ['drop-oldest', 'drop-newest', 'disconnect']
const NAMES: readonly string[] = [
  'persistent', 'from', 'map', 'event', 'heartbeat', 'retryMs', 'maxQueue', 'onOverflow', 'headers', 'onStart', 'onEnd',
]

/** A Response that tells what comes on channels, until the client goes. */
export function eventStream(
  manager: PubSubManager,
  request: EventStreamRequest,
  channels: string | readonly string[],
  options: EventStreamOptions,
  operation: string,
): Response {
  named(options, 'options', NAMES, operation)
  if (options.maxQueue !== undefined && (!Number.isSafeInteger(options.maxQueue) || options.maxQueue < 1))
    throw invalid('options.maxQueue', `options.maxQueue is ${describe(options.maxQueue)}; allowed: a whole number, 1 or above`, operation)
  if (options.onOverflow !== undefined && !POLICIES.includes(options.onOverflow))
    throw invalid('options.onOverflow', `options.onOverflow is ${describe(options.onOverflow)}; allowed: ${POLICIES.join(', ')}`, operation)
  const { retryMs, map, event } = options
  if (retryMs !== undefined && (!Number.isSafeInteger(retryMs) || retryMs < 0))
    throw invalid('options.retryMs', `options.retryMs is ${describe(retryMs)}; allowed: a whole number of ms`, operation)
  if (map !== undefined && typeof map !== 'function')
    throw invalid('options.map', `options.map is ${describe(map)}; allowed: a function of a message`, operation)
  if (event !== undefined && typeof event !== 'function' && typeof event !== 'string')
    throw invalid('options.event', `options.event is ${describe(event)}; allowed: a text, or a function of a message`, operation)
  for (const name of ['onStart', 'onEnd'] as const)
    if (options[name] !== undefined && typeof options[name] !== 'function')
      throw invalid(`options.${name}`, `options.${name} is ${describe(options[name])}; allowed: a function`, operation)
  flag(options.persistent, 'options.persistent', operation)
  if (options.from !== undefined && (typeof options.from !== 'string' || placeOf(options.from) === null))
    throw invalid('options.from', `options.from is ${describe(options.from)}; allowed: an eventId`, operation)
  if (typeof request?.headers?.get !== 'function')
    throw invalid('request', `request is ${describe(request)}; allowed: a request`, operation)
  const names = typeof channels === 'string' ? [channels] : channels
  if (!Array.isArray(names) || names.length === 0 || names.some((name) => typeof name !== 'string' || name === '' || name.length > 1024 || !name.isWellFormed()))
    throw invalid('channels', `channels is ${describe(channels)}; allowed: a channel, or some`, operation)
  if (options.persistent === true && names.length > 1)
    throw invalid('options.persistent', 'options.persistent is true; allowed: false for several channels, since what a client has left off with is known of one', operation)
  const heartbeatMs = Math.min(lifetimeMs(options.heartbeat, HEARTBEAT_MS, 'options.heartbeat', operation), LONGEST_TIMER)
  const lastEventId = request.headers.get('last-event-id')
  const stream = new EventStream(manager, names, options, lastEventId, heartbeatMs)
  // Before anything begins: what can't be answered leaves nothing behind.
  const headers = headersOf(options.headers, operation)
  return new Response(stream.open(request.signal), { headers })
}

function headersOf(given: unknown, operation: string): Headers {
  const headers = new Headers({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    // Asks nginx and those like it not to keep anything back.
    'x-accel-buffering': 'no',
  })
  if (given !== undefined && (typeof given !== 'object' || given === null))
    throw invalid('options.headers', `options.headers is ${describe(given)}; allowed: names and values`, operation)
  try {
    for (const [name, value] of Object.entries(given ?? {})) headers.set(name, String(value))
  } catch (cause) {
    throw invalid('options.headers', 'options.headers holds what is no header; allowed: names and values', operation, cause)
  }
  return headers
}

class EventStream {
  private readonly queue: Queue<Sent>
  private readonly stop = new AbortController()
  private readonly subscriptions: Subscription[] = []
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null
  private timer: NodeJS.Timeout | null = null
  private isOver = false
  /** How many found no room since that was told. */
  private lost = 0

  constructor(
    private readonly manager: PubSubManager,
    private readonly channels: readonly string[],
    private readonly options: EventStreamOptions,
    private readonly lastEventId: string | null,
    private readonly heartbeatMs: number,
  ) {
    const policy = options.onOverflow ?? 'disconnect'
    this.queue = new Queue(options.maxQueue ?? 256, policy, () => {
      if (policy === 'disconnect') this.end()
      else this.lost++
    })
  }

  open(signal: AbortSignal | undefined): ReadableStream<Uint8Array> {
    const end = (): void => this.end()
    return new ReadableStream<Uint8Array>({
      start: async (controller) => {
        this.controller = controller
        if (signal?.aborted) return this.end()
        signal?.addEventListener('abort', end, { once: true })
        this.stop.signal.addEventListener('abort', () => signal?.removeEventListener('abort', end), { once: true })
        const { retryMs } = this.options
        // Something is sent at once, so that the client knows that it is connected.
        controller.enqueue(encode(retryMs === undefined ? ': connected\n\n' : `retry: ${retryMs}\n\n`))
        this.timer = setInterval(this.beat, this.heartbeatMs)
        this.timer.unref()
        await this.subscribe(controller)
      },
      pull: async (controller) => {
        const { value, done } = await this.queue.next()
        if (done) return this.close(controller)
        try {
          // What found no room is told before what did.
          if (this.lost > 0) {
            const gap: Gap = { reason: 'overflow', since: Date.now(), missed: this.lost }
            this.lost = 0
            controller.enqueue(encode(this.textOf({ gap })))
          }
          controller.enqueue(encode(this.textOf(value)))
        } catch (error) {
          // What `map` or `event` throw ends the stream.
          this.end()
          controller.error(error)
        }
      },
      cancel: end,
    })
  }

  private async subscribe(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      for (const channel of this.channels) {
        const subscription = await this.manager.subscribe(channel, this.take, this.optionsOf())
        this.subscriptions.push(subscription as Subscription)
        subscription.on('end', () => this.end())
      }
      if (!this.isOver) this.options.onStart?.()
    } catch (error) {
      if (this.isOver) return
      this.end()
      controller.error(error)
    }
  }

  private optionsOf(): PubSubOptions {
    const { persistent, from } = this.options
    const onGap = (gap: Gap): void => this.queue.push({ gap })
    const base: PubSubOptions = { signal: this.stop.signal, onGap, keepAlive: false }
    if (persistent !== true) return base
    const began = this.lastEventId !== null && placeOf(this.lastEventId) !== null ? this.lastEventId : from
    return began === undefined ? { ...base, persistent } : { ...base, persistent, from: began }
  }

  // As long as there is no room the subscription waits, and what it can't keep it tells.
  private readonly take = async (message: PubSubMessage): Promise<void> => {
    this.queue.push({ message })
    if (this.options.persistent === true) await this.queue.room()
  }

  private textOf(sent: Sent): string {
    if ('gap' in sent) return `event: gap\ndata: ${JSON.stringify(sent.gap)}\n\n`
    const { message } = sent
    const { map, event } = this.options
    const data = map === undefined ? message : map(message)
    if (data === undefined) return ':\n\n'
    const name = typeof event === 'function' ? event(message) : event
    let text = ''
    if (message.eventId !== undefined) text += `id: ${message.eventId}\n`
    if (name !== undefined) text += `event: ${name.replace(/[\r\n]/g, ' ')}\n`
    // JSON has no line breaks of its own.
    return `${text}data: ${JSON.stringify(data)}\n\n`
  }

  private readonly beat = (): void => {
    const { controller } = this
    // A slow client is sent no more than it takes.
    if (controller !== null && !this.isOver && (controller.desiredSize ?? 0) > 0) controller.enqueue(encode(':\n\n'))
  }

  /** Nothing more comes; what waits is sent still, where anybody takes it. */
  private end(): void {
    if (this.isOver) return
    this.isOver = true
    if (this.timer !== null) clearInterval(this.timer)
    this.stop.abort()
    for (const subscription of this.subscriptions) subscription.end(true)
    this.queue.end(false)
    this.options.onEnd?.()
  }

  private close(controller: ReadableStreamDefaultController<Uint8Array>): void {
    try {
      controller.close()
    } catch {
      // The client has gone.
    }
  }
}

const encoder = new TextEncoder()

function encode(text: string): Uint8Array {
  return encoder.encode(text)
}
