// A subscription: messages of a channel or a pattern, by a handler or one after the other, and what it missed.

import { describe, invalid } from '../errors.js'
import { microtask } from '../timing.js'
import type { Channels, Taker, Topic } from './channels.js'
import { Follower } from './follower.js'
import { messageOf, type Place, type PubSubMessage } from './message.js'
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
  readonly read: (after: Place | null, count: number) => Promise<PubSubMessage[]>
}

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
  /** How many found no room since that was told. */
  private untold = 0
  private lastId: string | null = null
  /** Of a persistent channel. */
  private readonly follower: Follower | null

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
    this.lastId = plan.from
    this.follower = plan.persistent
      ? new Follower(plan, this.queue, {
          put: (message) => this.put(message),
          tell: (gap) => this.tell('gap', gap),
          failed: (error) => this.tell('error', error),
          stands: (eventId) => {
            this.lastId = eventId
          },
        })
      : null
  }

  /**
   * The event id of the last message that the handler or the loop was given, or where it began, to go on from there
   * another time; null: none.
   */
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
    if (!Object.hasOwn(this.heard, event))
      throw invalid('event', `event is ${typeof event === 'string' ? `'${String(event)}'` : describe(event)}; allowed: ${Object.keys(this.heard).join(', ')}`, 'Subscription.on')
    if (typeof listener !== 'function')
      throw invalid('listener', `listener is ${describe(listener)}; allowed: a function`, 'Subscription.on')
    ;(this.heard[event] as Set<unknown>).add(listener)
    return this
  }

  off<Name extends keyof SubscriptionEvents>(event: Name, listener: SubscriptionEvents[Name]): this {
    ;(this.heard[event] as Set<unknown> | undefined)?.delete(listener)
    return this
  }

  /** Ends it. What waits is not handed on any more. */
  unsubscribe(): Promise<void> {
    this.end(true)
    return Promise.resolve()
  }

  /** The messages one after the other, if it has no handler. Leaving the loop ends it. */
  [Symbol.asyncIterator](): AsyncIterator<PubSubMessage<Data>, undefined> {
    if (this.handler !== null)
      throw invalid('handler', 'handler was given, and gets the messages; allowed: none, for a loop over them', 'Subscription')
    return {
      next: async () => {
        const result = await this.queue.next()
        if (!result.done) this.given(result.value)
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
    this.follower?.prepare()
    await this.channels.join(this.topic, this as Taker, operation)
    if (this.isEnded) return this
    if (this.plan.keepAlive) this.alive = setInterval(() => {}, 2 ** 30)
    await this.follower?.begin()
    return this
  }

  /** @internal */
  take(text: unknown, channel: string | null): void {
    this.received++
    const message = messageOf(text, channel === null ? this.channel : channel.slice(this.plan.prefixLength))
    if (this.follower === null) this.put(message)
    else this.follower.accept(message)
  }

  /** @internal */
  missed(since: number, count: number): void {
    const reason = count > 0 ? 'overflow' : 'reconnected'
    this.tell('gap', { reason, since, missed: count > 0 ? count : null })
    this.follower?.interrupted()
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

  private given(message: PubSubMessage): void {
    this.delivered++
    if (this.plan.persistent) this.lastId = message.eventId ?? this.lastId
  }

  /** What a handler answers, if that is a promise. */
  private call(message: PubSubMessage): PromiseLike<unknown> | null {
    this.given(message)
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
    // Once for all that are dropped in one go.
    if (this.untold++ > 0) return
    const since = Date.now()
    microtask(() => {
      const missed = this.untold
      this.untold = 0
      if (!this.isEnded) this.tell('gap', { reason: 'overflow', since, missed })
    })
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
