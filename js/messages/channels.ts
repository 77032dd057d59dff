// The channels that an instance listens to: one word to the native side for each, however many subscriptions it has.

import type { Batch } from '../batch.js'
import { KIND_CHANNEL, KIND_PATTERN, KIND_SHARD, encodeListen } from '../generated/operations.js'
import { DECODE_RAW } from '../inbox.js'
import { SOFT_NEVER } from '../slots.js'

/** Whoever takes what comes on a channel. */
export interface Taker {
  take(text: unknown, channel: string | null): void
  /** Since then, ms since 1970, nobody was told anything, or so many found no room. */
  missed(since: number, count: number): void
  /** The instance was closed. */
  closed(): void
}

/** What is listened to. */
export interface Topic {
  readonly kind: typeof KIND_CHANNEL | typeof KIND_PATTERN | typeof KIND_SHARD
  /** Whether the name has its prefix already. */
  readonly whole: boolean
  readonly name: string
}

/** What channels need of their instance. */
export interface Ground {
  batch(operation: string): Batch
  /** A question or a switch, after what was called before it. */
  inspect<Answer>(what: string, argument: string, operation: string): Answer
  readonly isOpen: boolean
  /** Whether it is used has changed. */
  heed(): void
}

interface Entry {
  readonly topic: Topic
  number: number
  readonly takers: Set<Taker>
  /** Resolves when the server tells of it, to whether it does. */
  joined: Promise<boolean>
}

export class Channels {
  private readonly entries = new Map<string, Entry>()
  private readonly byNumber = new Map<number, Entry>()
  private nextNumber = 1

  constructor(private readonly ground: Ground) {}

  /** Whether anybody listens. */
  get isUsed(): boolean {
    return this.entries.size > 0
  }

  /** Adds a taker; resolves, once it is told of what comes, to whether Redis tells it. */
  async join(topic: Topic, taker: Taker, operation: string): Promise<boolean> {
    const key = keyOf(topic)
    let entry = this.entries.get(key)
    if (entry === undefined) {
      entry = { topic, number: 0, takers: new Set(), joined: Promise.resolve(false) }
      this.entries.set(key, entry)
      this.ground.heed()
      this.listen(entry, operation)
    }
    entry.takers.add(taker)
    try {
      return await entry.joined
    } catch (thrown) {
      entry.takers.delete(taker)
      if (this.entries.get(key) === entry) this.forget(entry)
      throw thrown
    }
  }

  /** Nothing is listened to for the last one that leaves. */
  leave(topic: Topic, taker: Taker): void {
    const entry = this.entries.get(keyOf(topic))
    if (entry === undefined || !entry.takers.delete(taker) || entry.takers.size > 0) return
    this.forget(entry)
    this.unlisten(entry)
  }

  take(number: number, channel: string | null, text: unknown): void {
    const entry = this.byNumber.get(number)
    if (entry === undefined) return
    // Who leaves meanwhile gets nothing more, who joins nothing yet.
    for (const taker of entry.takers.size === 1 ? entry.takers : [...entry.takers]) {
      if (entry.takers.has(taker)) taker.take(text, channel)
    }
  }

  missed(number: number, since: number, count: number): void {
    for (const taker of [...(this.byNumber.get(number)?.takers ?? [])]) taker.missed(since, count)
  }

  /** The instance goes on with other settings: everything is listened to again. */
  rejoin(operation: string): void {
    for (const entry of this.entries.values()) {
      this.byNumber.delete(entry.number)
      this.listen(entry, operation)
      entry.joined.then(
        () => entry.takers.forEach((taker) => taker.missed(Date.now(), 0)),
        () => this.end(entry),
      )
    }
  }

  /** The instance is closed. */
  close(): void {
    for (const entry of [...this.entries.values()]) this.end(entry)
  }

  private end(entry: Entry): void {
    const takers = [...entry.takers]
    entry.takers.clear()
    this.forget(entry)
    this.unlisten(entry)
    for (const taker of takers) taker.closed()
  }

  private listen(entry: Entry, operation: string): void {
    const { kind, whole, name } = entry.topic
    entry.number = this.nextNumber++
    this.byNumber.set(entry.number, entry)
    try {
      const batch = this.ground.batch(operation)
      const slot = batch.begin(DECODE_RAW, SOFT_NEVER, operation, name.length)
      encodeListen(batch.outbox, slot.id, kind, whole ? 1 : 0, entry.number, name)
      entry.joined = batch.commit(slot) as Promise<boolean>
    } catch (thrown) {
      entry.joined = Promise.reject(thrown as Error)
    }
    // Whoever waits for it hears of it.
    entry.joined.catch(() => {})
  }

  /** What was called before is handed over first: it may be the word that is taken back. */
  private unlisten({ topic: { kind, whole, name }, number }: Entry): void {
    if (this.ground.isOpen)
      this.ground.inspect('unlisten', JSON.stringify([kind, whole, number, name]), 'pubSubManager.unsubscribe')
  }

  private forget(entry: Entry): void {
    this.entries.delete(keyOf(entry.topic))
    this.byNumber.delete(entry.number)
    this.ground.heed()
  }
}

function keyOf({ kind, whole, name }: Topic): string {
  return `${kind}${whole ? 'w' : 'p'}${name}`
}
