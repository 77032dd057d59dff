// A subscription: messages of a channel or a pattern, by a handler or one after the other, and what it missed.

import { KIND_PATTERN } from '../generated/operations.js'
import type { Channels, Taker, Topic } from './channels.js'
import { isBehind, messageOf, placeOf, type Place, type PubSubMessage } from './message.js'
import { Queue, type OverflowPolicy } from './queue.js'

/** Takes a message. What it answers may be a promise: the next message waits for it. */
export type MessageHandler<Data = unknown> = (message: PubSubMessage<Data>) => unknown

/** What a subscription may have missed. */
export interface Gap {
  /**
   * `'reconnected'`: the connection was gone. `'overflow'`: more came than could be taken. `'trimmed'`: the channel no
   * longer keeps what was missed.
   */
  reason: 'reconnected' | 'overflow' | 'trimmed'
  /** Since when, ms since 1970 on this host's clock. */
  since: number
  /** How many messages are missing; null: nobody knows. Of a persistent channel those that it keeps come behind this. */
  missed: number | null
}

/** What happens to a subscription. */
export interface SubscriptionEvents {
  gap: (gap: Gap) => void
  /** A handler threw, or what was missed could not be read yet. */
  error: (error: unknown) => void
  /** It ended: left, its instance closed, or by its policy. */
  end: () => void
}

/** Counts of a subscription. */
export interface SubscriptionStats {
  received: number
  delivered: number
  dropped: number
  queued: number
}

/** How a subscription is decided. */
export interface SubscriptionPlan {
  readonly persistent: boolean
  /** How much of a channel's whole name its users don't see. */
  readonly prefixLength: number
  /** Behind which event it begins; null: with what comes. */
  readonly from: string | null
  readonly maxQueue: number
  readonly onOverflow: OverflowPolicy
  readonly keepAlive: boolean
  /** Whether memory answers for a server that doesn't. */
  readonly isAlone: () => boolean
  /** Reads what the channel keeps behind an event, or, without one, its newest. */
  readonly read: (after: string | null, count: number) => Promise<PubSubMessage[]>
}

const PAGE = 500
/** So many ids of messages that came without an event id are known, until they come with one. */
const MOST_LOCAL = 262_144

export class Subscription<Data = unknown> implements AsyncIterable<PubSubMessage<Data>> {
  private readonly queue: Queue<PubSubMessage>
  private readonly heard: { [Name in keyof SubscriptionEvents]: Set<SubscriptionEvents[Name]> } = {
    gap: new Set(),
    error: new Set(),
    end: new Set(),
  }
  private received = 0
  private delivered = 0
  private running = false
  private isEnded = false
  private alive: NodeJS.Timeout | null = null
  private dropsTold = false
  // Of a persistent channel: the last event that was handed on, and what comes while those before it are read.
  private last: Place | null = null
  private lastId: string | null = null
  private catching = false
  private again = false
  private held: PubSubMessage[] = []
  private readonly caught = new Set<string>()
  private readonly local = new Set<string>()

  /** @internal */
  constructor(
    private readonly channels: Channels,
    /** @internal */
    readonly topic: Topic,
    /** As it was asked for. */
    readonly channel: string,
    private readonly handler: MessageHandler<Data> | null,
    private readonly plan: SubscriptionPlan,
  ) {
    this.queue = new Queue(plan.maxQueue, plan.onOverflow, () => this.overflown())
    if (plan.from !== null) this.seen(plan.from)
  }

  /** The event id of the last message that was handed on, to go on from there another time; null: none. */
  get lastEventId(): string | null {
    return this.lastId
  }

  /** @internal Whether this is its handler. */
  isOf(handler: MessageHandler): boolean {
    return this.handler === handler
  }

  get ended(): boolean {
    return this.isEnded
  }

  get stats(): SubscriptionStats {
    const { received, delivered, queue } = this
    return { received, delivered, dropped: queue.dropped, queued: queue.length }
  }

  /** Hears what happens to it. */
  on<Name extends keyof SubscriptionEvents>(event: Name, listener: SubscriptionEvents[Name]): this {
    ;(this.heard[event] as Set<unknown>).add(listener)
    return this
  }

  off<Name extends keyof SubscriptionEvents>(event: Name, listener: SubscriptionEvents[Name]): this {
    ;(this.heard[event] as Set<unknown>).delete(listener)
    return this
  }

  /** Ends it. What waits is not handed on any more. */
  unsubscribe(): Promise<void> {
    this.end(true)
    return Promise.resolve()
  }

  /** The messages one after the other, if it has no handler. Leaving the loop ends it. */
  [Symbol.asyncIterator](): AsyncIterator<PubSubMessage<Data>, undefined> {
    return {
      next: async () => {
        const result = await this.queue.next()
        if (!result.done) this.delivered++
        return result as IteratorResult<PubSubMessage<Data>, undefined>
      },
      return: () => {
        this.end(true)
        return Promise.resolve({ value: undefined, done: true as const })
      },
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unsubscribe()
  }

  /** @internal Begins. */
  async start(operation: string): Promise<this> {
    // What comes before the beginning is known waits for it.
    this.catching = this.plan.persistent && this.plan.from !== null
    await this.channels.join(this.topic, this as Taker, operation)
    if (this.isEnded) return this
    if (this.plan.keepAlive) this.alive = setInterval(() => {}, 2 ** 30)
    if (!this.plan.persistent) return this
    if (this.plan.from === null) await this.findPlace()
    else {
      this.catching = false
      // Whoever waits for this reads what comes of it.
      void this.catchUp()
    }
    return this
  }

  /** @internal */
  take(text: unknown, channel: string | null): void {
    this.received++
    this.accept(messageOf(text, channel === null ? this.channel : channel.slice(this.plan.prefixLength)))
  }

  /** @internal */
  missed(ms: number, count: number): void {
    const reason = count > 0 ? 'overflow' : 'reconnected'
    this.tell('gap', { reason, since: Date.now() - ms, missed: count > 0 ? count : null })
    if (this.plan.persistent) void this.catchUp()
  }

  /** @internal */
  closed(): void {
    this.end(false)
  }

  /** @internal Ends, and hands on what waits unless it is to be forgotten. */
  end(forget: boolean): void {
    if (this.isEnded) return
    this.isEnded = true
    this.channels.leave(this.topic, this as Taker)
    this.queue.end(forget)
    if (this.alive !== null) clearInterval(this.alive)
    this.tell('end')
  }

  private accept(message: PubSubMessage): void {
    if (!this.plan.persistent || this.topic.kind === KIND_PATTERN) return this.put(message)
    if (this.catching) return this.hold(message)
    const { eventId } = message
    if (eventId === undefined) {
      // It may come again with its place.
      this.local.add(message.id)
      if (this.local.size > MOST_LOCAL) this.local.delete(this.local.keys().next().value as string)
      return this.put(message)
    }
    const place = placeOf(eventId)
    if (place === null || this.last === null) return this.hand(message)
    if (!isBehind(place, this.last)) return
    if (follows(place, this.last)) return this.hand(message)
    // Some are missing between both.
    void this.catchUp()
  }

  /** It comes behind those that are read now. What finds no room is read again. */
  private hold(message: PubSubMessage): void {
    if (this.held.length < Math.max(this.plan.maxQueue, 1)) this.held.push(message)
    else this.again = true
  }

  /** One of a persistent channel, in its place. */
  private hand(message: PubSubMessage): void {
    this.seen(message.eventId as string)
    if (this.catching) this.caught.add(message.id)
    if (this.local.delete(message.id)) return
    this.put(message)
  }

  private seen(eventId: string): void {
    this.last = placeOf(eventId) ?? this.last
    this.lastId = eventId
  }

  /** Where the channel stands as it begins. */
  private async findPlace(): Promise<void> {
    try {
      const [newest] = await this.plan.read(null, 1)
      if (this.last !== null) return
      if (newest?.eventId !== undefined) this.seen(newest.eventId)
      // Who begins without a server does not know what it keeps.
      else if (!this.plan.isAlone()) this.last = { began: 0, number: 0 }
    } catch (error) {
      this.tell('error', error)
    }
  }

  /** Hands on what the channel keeps behind the last one, and then what came meanwhile. */
  private async catchUp(): Promise<void> {
    if (this.catching) {
      this.again = true
      return
    }
    // Where it stood when this began nobody knew: it begins with what comes.
    if (this.last === null) return await this.findPlace()
    this.catching = true
    try {
      do {
        this.again = false
        await this.readBehind()
      } while (this.again && !this.isEnded)
    } catch (error) {
      // It is tried again when the connection is back.
      this.tell('error', error)
    }
    this.catching = false
    // One that this process told itself has no place: it may have been read with one.
    for (const message of this.held.splice(0))
      if (message.eventId !== undefined || !this.caught.has(message.id)) this.accept(message)
    this.caught.clear()
  }

  private async readBehind(): Promise<void> {
    for (;;) {
      const room = await this.queue.room()
      if (room === 0) return
      const count = Math.min(PAGE, room)
      const found = await this.plan.read(this.lastId ?? '0-0', count)
      if (this.isEnded) return
      for (const message of found) {
        const place = placeOf(message.eventId ?? '')
        if (place !== null && this.last !== null && !isBehind(place, this.last)) continue
        this.tellTrimmed(place)
        this.hand(message)
      }
      if (found.length < count) return
    }
  }

  /** Tells whether some between the last one and this are kept no longer. */
  private tellTrimmed(place: Place | null): void {
    const { last } = this
    if (place === null || last === null) return
    if (follows(place, last)) return
    const missed = place.began === last.began ? place.number - last.number - 1 : null
    this.tell('gap', { reason: 'trimmed', since: Date.now(), missed })
  }

  private put(message: PubSubMessage): void {
    if (this.isEnded) return
    if (this.handler === null || this.running) {
      this.queue.push(message)
      return
    }
    this.run(message)
  }

  private run(message: PubSubMessage): void {
    const result = this.call(message)
    if (result === null) return
    this.running = true
    void this.runOn(result)
  }

  /** Hands on what waits, one after the other. */
  private async runOn(first: PromiseLike<unknown>): Promise<void> {
    let pending: PromiseLike<unknown> | null = first
    for (;;) {
      if (pending !== null) {
        try {
          await pending
        } catch (error) {
          this.failed(error)
        }
      }
      const next = this.queue.shift()
      if (next === undefined) break
      pending = this.call(next)
    }
    this.running = false
  }

  /** What a handler answers, if that is a promise. */
  private call(message: PubSubMessage): PromiseLike<unknown> | null {
    this.delivered++
    try {
      const result = (this.handler as MessageHandler)(message)
      return typeof (result as PromiseLike<unknown> | undefined)?.then === 'function'
        ? (result as PromiseLike<unknown>)
        : null
    } catch (error) {
      this.failed(error)
      return null
    }
  }

  private failed(error: unknown): void {
    if (this.heard.error.size > 0) this.tell('error', error)
    else process.emitWarning(`a handler of channel ${this.channel} failed: ${String(error)}`, { type: 'HoldfastWarning', code: 'HOLDFAST_HANDLER' })
  }

  private overflown(): void {
    if (this.plan.onOverflow === 'disconnect') return this.end(false)
    // Once for all that are dropped before others listen again.
    if (this.dropsTold) return
    this.dropsTold = true
    queueMicrotask(() => {
      this.dropsTold = false
    })
    this.tell('gap', { reason: 'overflow', since: Date.now(), missed: null })
  }

  private tell<Name extends keyof SubscriptionEvents>(event: Name, ...about: Parameters<SubscriptionEvents[Name]>): void {
    for (const listener of [...this.heard[event]]) {
      try {
        ;(listener as (...about: unknown[]) => void)(...about)
      } catch (error) {
        process.emitWarning(`a listener of channel ${this.channel} failed: ${String(error)}`, { type: 'HoldfastWarning', code: 'HOLDFAST_HANDLER' })
      }
    }
  }
}

/** Whether nothing stands between both, as far as anybody knows: a channel that kept nothing any more begins anew. */
function follows(place: Place, last: Place): boolean {
  return place.began === last.began ? place.number === last.number + 1 : place.number === 1
}
