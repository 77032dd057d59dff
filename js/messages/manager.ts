// Messages between processes: published on channels, and told to whoever listens.

import { flag, named } from '../checks.js'
import type { Connection } from '../connection.js'
import { lifetimeMs } from '../durations.js'
import { HoldfastError, describe, invalid } from '../errors.js'
import {
  KIND_CHANNEL,
  KIND_PATTERN,
  KIND_SHARD,
  encodePresence,
  encodePublish,
  encodeStream,
} from '../generated/operations.js'
import { DECODE_RAW } from '../inbox.js'
import { SOFT_NEVER } from '../slots.js'
import { AbortWait, signalOf, type Abortable } from './abort.js'
import type { Topic } from './channels.js'
import { checkCount, checkFrom, checkFunction, checkPolicy, checkSignal, checkText } from './checks.js'
import { messageOf, restOf, type Place, type PublishOptions, type PubSubMessage } from './message.js'
import type { OverflowPolicy } from './queue.js'
import { Subscription, type Gap, type MessageHandler } from './subscription.js'

/** Options of `createPubSubManager`. */
export interface PubSubManagerOptions {
  /** What channels begin with, in place of the key prefix; `''` for nothing, as other publishers may name them. */
  channelPrefix?: string | undefined
  /** Whether channels are those of shards (`SPUBLISH`): in a cluster they don't reach every node. Default: false. */
  sharded?: boolean | undefined
  /** How many messages of a channel wait for a Redis that does not answer. Default: 100 (`REDIS_PUBSUB_BUFFER_SIZE`). */
  bufferSize?: number | undefined
  /** How many of all channels do. Default: 1000 (`REDIS_PUBSUB_MAX_BUFFER`). */
  maxBuffer?: number | undefined
}

/** Options of `subscribe`. */
export interface PubSubOptions {
  /** Whether the channel is a pattern, as `SUBSCRIBE` of Redis takes them: `*`, `?`, `[abc]`. Default: false. */
  pattern?: boolean | undefined
  /**
   * Whether what the channel keeps is read after an interruption, so that no persistent message is missed. Default: false.
   */
  persistent?: boolean | undefined
  /** Behind which event of a persistent channel it begins: an `eventId`, or `'0-0'` for all it keeps. Default: with what comes. */
  from?: string | undefined
  /** How many messages wait while a handler is busy. Default: 1000. */
  maxQueue?: number | undefined
  /** What becomes of those that find no room. Default: `'drop-oldest'`. */
  onOverflow?: OverflowPolicy | undefined
  /** Ends it. A request counts for its signal, and is kept: Node does not abort the signal of one that was collected. */
  signal?: Abortable | undefined
  /** Hears what may have been missed. */
  onGap?: ((gap: Gap) => void) | undefined
  /** Whether it keeps the process running. Default: true. */
  keepAlive?: boolean | undefined
  /** Whether messages wait at all. Default: true. */
  buffer?: boolean | undefined
  /** The same as `maxQueue`. */
  maxBuffer?: number | undefined
  /** Accepted; how long a channel keeps messages is `publish`'s to say. */
  ttl?: number | undefined
}

/** How a channel stands in this process. */
export interface ChannelStats {
  channel: string
  subscribers: number
  messagesPublished: number
  messagesReceived: number
  /** Those that found no room. */
  messagesDropped: number
  backend: 'redis' | 'memory'
}

/** Who is present. */
export interface Present {
  userId: string
  status: string
}

const MANAGER_NAMES: readonly string[] = ['channelPrefix', 'sharded', 'bufferSize', 'maxBuffer']
const SUBSCRIBE_NAMES: readonly string[] = [
  'pattern', 'persistent', 'from', 'maxQueue', 'onOverflow', 'signal', 'onGap', 'keepAlive', 'buffer', 'maxBuffer', 'ttl',
]
const PUBLISH_NAMES: readonly string[] = ['userId', 'sessionId', 'metadata', 'persistent', 'ttl', 'maxLength', 'buffer']
const HOUR_MS = 3_600_000
/** So many channels without subscribers are counted. */
const MOST_COUNTED = 10_000

interface Plan {
  readonly prefix: string | null
  readonly sharded: boolean
  readonly ofOne: number
  readonly ofAll: number
}

export class PubSubManager {
  private decided: Plan | null = null
  private readonly subscriptions = new Map<string, Set<Subscription>>()
  private readonly published = new Map<string, number>()

  /** @internal */
  constructor(
    private readonly connection: Connection,
    private readonly options: PubSubManagerOptions = {},
    private readonly name = 'pubSubManager',
  ) {}

  /** @internal */
  decide(): Plan {
    if (this.decided !== null) return this.decided
    const given = named(this.options, 'options', MANAGER_NAMES, this.name)
    const prefix = given['channelPrefix']
    if (prefix !== undefined && (typeof prefix !== 'string' || prefix.length > 512 || !prefix.isWellFormed()))
      throw invalid('options.channelPrefix', `options.channelPrefix is ${describe(prefix)}; allowed: a text`, this.name)
    this.decided = {
      prefix: prefix ?? null,
      sharded: flag(given['sharded'], 'options.sharded', this.name) ?? false,
      ofOne: bound(given['bufferSize'], 'options.bufferSize', 'REDIS_PUBSUB_BUFFER_SIZE', 100, this.name),
      ofAll: bound(given['maxBuffer'], 'options.maxBuffer', 'REDIS_PUBSUB_MAX_BUFFER', 1000, this.name),
    }
    return this.decided
  }

  /** Listens to a channel, and calls the handler for each message, one after the other. */
  subscribe<Data = unknown>(
    channel: string,
    handler: MessageHandler<Data>,
    options?: PubSubOptions,
  ): Promise<Subscription<Data>>
  /** Listens to a channel; `for await` takes its messages. */
  subscribe<Data = unknown>(channel: string, options?: PubSubOptions): Promise<Subscription<Data>>
  async subscribe<Data = unknown>(
    channel: string,
    handlerOrOptions?: MessageHandler<Data> | PubSubOptions,
    maybe?: PubSubOptions,
  ): Promise<Subscription<Data>> {
    const operation = `${this.name}.subscribe`
    const handler = typeof handlerOrOptions === 'function' ? handlerOrOptions : null
    if (handler === null && handlerOrOptions !== undefined && (typeof handlerOrOptions !== 'object' || handlerOrOptions === null))
      throw invalid('handler', `handler is ${describe(handlerOrOptions)}; allowed: a function`, operation)
    if (handlerOrOptions === undefined && maybe !== undefined)
      throw invalid('handler', 'handler is missing; allowed: a function, or options in its place', operation)
    const options = (handler === null ? (handlerOrOptions as PubSubOptions | undefined) : undefined) ?? maybe
    const given = named(options ?? {}, 'options', SUBSCRIBE_NAMES, operation)
    const { pattern = false, persistent = false, from, signal: source, onGap, keepAlive = true } = given as PubSubOptions
    checkChannel(channel, operation)
    for (const name of ['pattern', 'persistent', 'keepAlive', 'buffer']) flag(given[name], `options.${name}`, operation)
    if (pattern && this.decide().sharded)
      throw invalid('options.pattern', 'options.pattern is true; allowed: false for channels of shards, which know no patterns', operation)
    if (pattern && persistent)
      throw invalid('options.persistent', 'options.persistent is true; allowed: false for a pattern, of which nothing is kept', operation)
    checkFrom(from, persistent, operation)
    checkFunction(onGap, 'options.onGap', operation)
    const onOverflow = checkPolicy(given['onOverflow'], 'drop-oldest', operation)
    const most = checkCount(given['maxQueue'], checkCount(given['maxBuffer'], 1000, 'options.maxBuffer', operation), 'options.maxQueue', operation)
    if (source !== undefined) checkSignal(source, 'options.signal', operation)
    const signal = source && signalOf(source)
    if (signal?.aborted) throw aborted(signal, operation)
    const subscription = new Subscription<Data>(this.connection.channels, this.topicOf(channel, pattern), channel, handler, {
      persistent,
      from: from ?? null,
      prefixLength: (this.decide().prefix ?? this.connection.view(operation).keyPrefix).length,
      isAlone: () => this.isAlone(operation),
      maxQueue: Math.max(given['buffer'] === false ? 0 : most, handler === null || persistent ? 1 : 0),
      onOverflow,
      keepAlive,
      read: (after, size) => this.read(channel, after, size, operation),
    })
    if (onGap !== undefined) subscription.on('gap', onGap)
    const end = (): void => subscription.end(true)
    const wait = source && new AbortWait(source, end)
    this.note(channel, subscription as Subscription)
    subscription.on('end', () => {
      wait?.stop()
      this.forget(channel, subscription as Subscription)
    })
    try {
      await subscription.start(operation)
    } catch (thrown) {
      end()
      throw signal?.aborted ? aborted(signal, operation) : thrown
    }
    if (signal?.aborted) throw aborted(signal, operation)
    return subscription
  }

  /** Ends the subscriptions of a channel: all of them, or those of this handler. */
  async unsubscribe(channel: string, handler?: MessageHandler<never>): Promise<void> {
    checkChannel(channel, `${this.name}.unsubscribe`)
    checkFunction(handler, 'handler', `${this.name}.unsubscribe`)
    for (const subscription of [...(this.subscriptions.get(channel) ?? [])])
      if (handler === undefined || subscription.isOf(handler as MessageHandler)) await subscription.unsubscribe()
  }

  /**
   * Publishes a message. While Redis does not answer it reaches this process at once and the others when Redis is back,
   * marked late; so many wait, and then the oldest go. True: it was taken.
   */
  publish(channel: string, data: unknown, options: PublishOptions = {}): Promise<boolean> {
    const operation = `${this.name}.publish`
    try {
      checkChannel(channel, operation)
      const plan = this.decide()
      named(options, 'options', PUBLISH_NAMES, operation)
      const rest = restOf(data, options, operation)
      const isKept = flag(options.persistent, 'options.persistent', operation) === true
      const [ttlMs, length] = [lifetimeMs(options.ttl, HOUR_MS, 'options.ttl', operation), checkCount(options.maxLength, 1000, 'options.maxLength', operation, 1)]
      const [lastsMs, most] = isKept ? [ttlMs, length] : [0, 0]
      const waits = flag(options.buffer, 'options.buffer', operation) !== false
      this.count(channel)
      const batch = this.connection.batch(operation)
      const slot = batch.begin(DECODE_RAW, SOFT_NEVER, operation, rest.length)
      const { name, whole } = this.topicOf(channel, false)
      encodePublish(batch.outbox, slot.id, whole ? 1 : 0, plan.sharded ? 1 : 0, lastsMs, most, plan.ofOne, waits ? plan.ofAll : 0, name, rest)
      return batch.commit(slot) as Promise<boolean>
    } catch (thrown) {
      return Promise.reject(thrown as Error)
    }
  }

  /** What a channel keeps of its persistent messages, the newest first. `limit`: at most so many (default: 50). */
  async getPersistentMessages<Data = unknown>(channel: string, limit = 50): Promise<PubSubMessage<Data>[]> {
    const operation = `${this.name}.getPersistentMessages`
    checkChannel(channel, operation)
    const most = checkCount(limit, 50, 'limit', operation)
    return most === 0 ? [] : ((await this.read(channel, null, most, operation)) as PubSubMessage<Data>[])
  }

  /** How channels stand in this process: one, or all that have subscribers or were published to. */
  getChannelStats(channel?: string): ChannelStats[] {
    if (channel !== undefined) checkChannel(channel, `${this.name}.getChannelStats`)
    const names = channel === undefined ? new Set([...this.subscriptions.keys(), ...this.published.keys()]) : [channel]
    const { isConnected } = this.connection.look<{ isConnected: boolean }>('connection', `${this.name}.getChannelStats`)
    return Array.from(names, (name) => {
      const stats = [...(this.subscriptions.get(name) ?? [])].map((each) => each.stats)
      return {
        channel: name,
        subscribers: stats.length,
        messagesPublished: this.published.get(name) ?? 0,
        messagesReceived: stats.reduce((most, { received }) => Math.max(most, received), 0),
        messagesDropped: stats.reduce((sum, { dropped }) => sum + dropped, 0),
        backend: isConnected ? 'redis' : 'memory',
      }
    })
  }

  /** The channels and patterns that have subscribers in this process. */
  getActiveChannels(): string[] {
    return [...this.subscriptions.keys()]
  }

  /** How many subscribers a channel has in this process. */
  getSubscriberCount(channel: string): number {
    checkChannel(channel, `${this.name}.getSubscriberCount`)
    return this.subscriptions.get(channel)?.size ?? 0
  }

  /** Ends all subscriptions. */
  async clearSubscriptions(): Promise<void> {
    for (const all of [...this.subscriptions.values()]) for (const each of [...all]) await each.unsubscribe()
  }

  /** Ends all subscriptions. The instance closes with `close()`. */
  async shutdown(): Promise<void> {
    await this.clearSubscriptions()
  }

  /** Notes for so long that a user is in a room; `null`: no longer. */
  async setPresence(room: string, userId: string, status: string | null, ttl: PublishOptions['ttl'] = 300): Promise<void> {
    const operation = `${this.name}.setPresence`
    checkText(room, 'room', operation)
    checkText(userId, 'userId', operation)
    if (status !== null) checkText(status, 'status', operation)
    const ms = lifetimeMs(ttl, 300_000, 'ttl', operation)
    this.connection.notes.keep(room, userId, status ?? '', ms, (...note) => this.presence(...note, operation))
    await this.presence(room, userId, status ?? '', ms, operation)
  }

  /** Who is in a room. While Redis does not answer: whom this process noted. */
  async getPresence(room: string): Promise<Present[]> {
    const all = (await this.presence(room, '', '', 0, `${this.name}.getPresence`)) as string[]
    const present: Present[] = []
    for (let at = 0; at + 1 < all.length; at += 2) present.push({ userId: all[at] as string, status: all[at + 1] as string })
    return present
  }

  private presence(room: string, userId: string, status: string, ms: number, operation: string): Promise<unknown> {
    checkText(room, 'room', operation)
    const batch = this.connection.batch(operation)
    const slot = batch.begin(DECODE_RAW, SOFT_NEVER, operation, room.length)
    encodePresence(batch.outbox, slot.id, room, userId, status, ms)
    return batch.commit(slot)
  }

  private async read(channel: string, after: Place | null, size: number, operation: string): Promise<PubSubMessage[]> {
    const batch = this.connection.batch(operation)
    const slot = batch.begin(DECODE_RAW, SOFT_NEVER, operation, channel.length)
    const { name, whole } = this.topicOf(channel, false)
    encodeStream(batch.outbox, slot.id, whole ? 1 : 0, name, after === null ? '' : `${after.began}-${after.number}`, size)
    const texts = (await batch.commit(slot)) as unknown[]
    return texts.map((text) => messageOf(text, channel))
  }

  private topicOf(channel: string, pattern: boolean): Topic {
    const { prefix, sharded } = this.decide()
    const kind = pattern ? KIND_PATTERN : sharded ? KIND_SHARD : KIND_CHANNEL
    // What the prefix holds stands for itself.
    const before = pattern ? (prefix ?? '').replace(/[\\*?[\]]/g, '\\$&') : (prefix ?? '')
    return { kind, whole: prefix !== null, name: before + channel }
  }

  /** Whether memory stands in for a server. Where it is all there is, it knows what is kept. */
  private isAlone(operation: string): boolean {
    if (this.connection.view(operation).memoryOnly) return false
    return this.connection.look<{ isUsingFallback: boolean }>('fallback', operation).isUsingFallback
  }

  private count(channel: string): void {
    const before = this.published.get(channel)
    if (before === undefined && this.published.size >= MOST_COUNTED) {
      // The one that was published to first among those that have no subscribers.
      for (const name of this.published.keys()) {
        if (this.subscriptions.has(name)) continue
        this.published.delete(name)
        break
      }
    }
    this.published.set(channel, (before ?? 0) + 1)
  }

  private note(channel: string, subscription: Subscription): void {
    const all = this.subscriptions.get(channel)
    if (all === undefined) this.subscriptions.set(channel, new Set([subscription]))
    else all.add(subscription)
  }

  private forget(channel: string, subscription: Subscription): void {
    const all = this.subscriptions.get(channel)
    if (all?.delete(subscription) && all.size === 0) this.subscriptions.delete(channel)
  }
}

function aborted(signal: AbortSignal, operation: string): HoldfastError {
  return new HoldfastError({ code: 'E_TIMEOUT', message: 'the subscription was aborted', operation, cause: signal.reason })
}

function checkChannel(channel: unknown, operation: string): asserts channel is string {
  checkText(channel, 'channel', operation)
}

/** A bound by option, or by variable. */
function bound(given: unknown, path: string, variable: string, preset: number, operation: string): number {
  return given === undefined
    ? checkCount(environment(variable), preset, variable, operation)
    : checkCount(given, preset, path, operation)
}

function environment(name: string): unknown {
  const text = process.env[name]
  return text === undefined || text === '' ? undefined : /^\d+$/.test(text) ? Number(text) : text
}
