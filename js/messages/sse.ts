// Messages as server-sent events: a Response for a route handler, and nothing left of it when the client has gone.

import { flag, named } from '../checks.js'
import { lifetimeMs } from '../durations.js'
import { describe, invalid } from '../errors.js'
import type { PubSubManager, PubSubOptions } from './manager.js'
import { AbortWait } from './abort.js'
import { checkCount, checkFrom, checkFunction, checkPolicy, checkText } from './checks.js'
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

const HEARTBEAT_MS = 15_000
const LONGEST_TIMER = 2 ** 31 - 1
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
  const maxQueue = checkCount(options.maxQueue, 256, 'options.maxQueue', operation, 1)
  const onOverflow = checkPolicy(options.onOverflow, 'disconnect', operation)
  checkCount(options.retryMs, 0, 'options.retryMs', operation)
  for (const name of ['map', 'onStart', 'onEnd'] as const) checkFunction(options[name], `options.${name}`, operation)
  const { event } = options
  if (event !== undefined && typeof event !== 'function' && typeof event !== 'string')
    throw invalid('options.event', `options.event is ${describe(event)}; allowed: a text, or a function of a message`, operation)
  const persistent = flag(options.persistent, 'options.persistent', operation) ?? false
  checkFrom(options.from, persistent, operation)
  if (typeof request?.headers?.get !== 'function')
    throw invalid('request', `request is ${describe(request)}; allowed: a request`, operation)
  const names = typeof channels === 'string' ? [channels] : channels
  if (!Array.isArray(names) || names.length === 0)
    throw invalid('channels', `channels is ${describe(channels)}; allowed: a channel, or some`, operation)
  names.forEach((name, index) => checkText(name, typeof channels === 'string' ? 'channels' : `channels[${index}]`, operation))
  if (persistent && names.length > 1)
    throw invalid('options.persistent', 'options.persistent is true; allowed: false for several channels, since what a client has left off with is known of one', operation)
  const heartbeatMs = Math.min(lifetimeMs(options.heartbeat, HEARTBEAT_MS, 'options.heartbeat', operation), LONGEST_TIMER)
  const stream = new EventStream(manager, request, names, options, { persistent, maxQueue, onOverflow, heartbeatMs })
  // Before anything begins: what can't be answered leaves nothing behind.
  const headers = headersOf(options.headers, operation)
  return new Response(stream.open(), { headers })
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

/** Options, with what stands for those that are missing. */
interface Decided {
  readonly persistent: boolean
  readonly maxQueue: number
  readonly onOverflow: OverflowPolicy
  readonly heartbeatMs: number
}

class EventStream {
  /** Messages; null tells whoever waits for one that there are gaps. */
  private readonly queue: Queue<PubSubMessage | null>
  /** What is told before the next message: of each reason one. */
  private readonly gaps = new Map<Gap['reason'], Gap>()
  private readonly stop = new AbortController()
  private readonly subscriptions: Subscription[] = []
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null
  private timer: NodeJS.Timeout | null = null
  private wait: AbortWait | null = null
  private isOver = false

  constructor(
    private readonly manager: PubSubManager,
    /** Kept as long as this lives: Node does not abort the signal of a Request that was collected. */
    private readonly request: EventStreamRequest,
    private readonly channels: readonly string[],
    private readonly options: EventStreamOptions,
    private readonly decided: Decided,
  ) {
    this.queue = new Queue(decided.maxQueue, decided.onOverflow, () => {
      if (decided.onOverflow === 'disconnect') this.end()
      else this.tell({ reason: 'overflow', since: Date.now(), missed: 1 })
    })
  }

  open(): ReadableStream<Uint8Array> {
    const end = (): void => this.end()
    const { signal } = this.request
    return new ReadableStream<Uint8Array>({
      start: async (controller) => {
        this.controller = controller
        if (signal?.aborted) return this.end()
        if (signal != null) this.wait = new AbortWait(signal, end)
        const { retryMs } = this.options
        // Something is sent at once, so that the client knows that it is connected.
        controller.enqueue(encode(retryMs === undefined ? ': connected\n\n' : `retry: ${retryMs}\n\n`))
        this.timer = setInterval(this.beat, this.decided.heartbeatMs)
        this.timer.unref()
        await this.subscribe(controller)
      },
      pull: async (controller) => {
        const isGap = this.gaps.size > 0 && this.queue.length === 0
        const { value, done } = isGap ? { value: null, done: false } : await this.queue.next()
        if (done) return this.close(controller)
        try {
          for (const gap of this.gaps.values()) controller.enqueue(encode(`event: gap\ndata: ${JSON.stringify(gap)}\n\n`))
          this.gaps.clear()
          if (value != null) controller.enqueue(encode(this.textOf(value)))
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
        if (subscription.ended) return this.end()
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
    const { persistent, maxQueue, onOverflow } = this.decided
    const base: PubSubOptions = { signal: this.stop.signal, onGap: this.tell, keepAlive: false, maxQueue, onOverflow }
    if (!persistent) return base
    const last = this.request.headers.get('last-event-id')
    return { ...base, persistent, from: last !== null && placeOf(last) !== null ? last : this.options.from }
  }

  /** What a persistent channel keeps waits in its subscription as long as there is no room. */
  private readonly take = (message: PubSubMessage): Promise<unknown> | undefined => {
    this.queue.push(message)
    return this.decided.persistent && this.queue.isFull ? this.queue.room() : undefined
  }

  /** Gaps take no room: those of one reason are told as one. */
  private readonly tell = (gap: Gap): void => {
    const before = this.gaps.get(gap.reason)
    const { since, missed } = before ?? { since: gap.since, missed: 0 }
    this.gaps.set(gap.reason, { ...gap, since, missed: missed === null || gap.missed === null ? null : missed + gap.missed })
    if (this.queue.isAwaited) this.queue.push(null)
  }

  private textOf(message: PubSubMessage): string {
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
    this.wait?.stop()
    this.stop.abort()
    for (const subscription of this.subscriptions) subscription.end(true)
    this.queue.end(false)
    try {
      this.options.onEnd?.()
    } catch (error) {
      process.emitWarning(`onEnd of an event stream failed: ${String(error)}`, { type: 'HoldfastWarning', code: 'HOLDFAST_HANDLER' })
    }
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
