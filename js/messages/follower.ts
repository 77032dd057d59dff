// A persistent subscription's place in its channel: what is kept is read where it was missed, everything in its order, and
// what is kept no longer is told.
//
// What the channel keeps decides. An event id that it does not know, whether a client named it or a message claims it,
// moves nothing.

import { later } from '../timing.js'
import { isAheadOfRedis, placeOf, type Place, type PubSubMessage } from './message.js'
import type { Queue } from './queue.js'
import type { Gap, SubscriptionPlan } from './subscription.js'

/** The subscription, as far as it is needed. */
export interface Owner {
  /** Takes the next message. */
  put(message: PubSubMessage): void
  tell(gap: Gap): void
  /** What was missed could not be read. */
  failed(error: unknown): void
  /** What is put from now on stands behind this event. */
  stands(eventId: string): void
}

const PAGE = 500
/** After so long it is tried again to read what could not be read, and then after twice as long, up to a bound. */
const AGAIN_MS = 1_000
const LONGEST_AGAIN_MS = 30_000
/** So many ids are known of messages that came ahead of their event id, or with it while what is kept was read. */
const MOST_KNOWN = 262_144
const BEGINNING: Place = { began: 0, number: 0 }

export class Follower {
  /** The last event that was put; null: nobody knows what the channel kept as this began. */
  private last: Place | null
  /** Where the channel stood as this found its place: what comes live and stands there or before was not put yet. */
  private found: Place | null = null
  /** When the stream began that stood here before. */
  private past: number | null = null
  /** Whether nothing can have been missed since it was known that the channel stands at the last one. */
  private isSure = false
  /** Whether it was told that what the last one stood in is gone. */
  private isGoneTold = false
  /** Whether what is kept is read. What comes meanwhile is held. */
  private catching = false
  private again = false
  private againMs = AGAIN_MS
  private held: PubSubMessage[] = []
  /** The held one for which those before it were read already. */
  private asked: PubSubMessage | null = null
  /** What was put while it was read, and what came ahead of its event id. */
  private readonly caught = new Set<string>()
  private readonly local = new Set<string>()

  constructor(
    private readonly plan: SubscriptionPlan,
    private readonly queue: Queue<PubSubMessage>,
    private readonly owner: Owner,
  ) {
    this.last = plan.from === null ? null : placeOf(plan.from)
  }

  /** What comes before the beginning is known waits for it. */
  prepare(): void {
    this.catching = this.last !== null
  }

  /** The channel is told of from now on. Whoever waits for this takes what is kept. */
  async begin(): Promise<void> {
    this.catching = false
    if (this.last === null) await this.findPlace()
    else void this.catchUp()
  }

  /** Something may have been missed. */
  interrupted(): void {
    this.isSure = false
    void this.catchUp()
  }

  /** What comes live. */
  accept(message: PubSubMessage): void {
    if (this.queue.isEnded) return
    if (this.catching) return this.hold(message)
    if (this.takeIn(message)) return
    this.hold(message)
    void this.catchUp()
  }

  /** It comes behind those that are read now. What finds no room is read again, if the channel keeps it. */
  private hold(message: PubSubMessage): void {
    this.held.push(message)
    if (this.held.length <= this.plan.maxQueue) return
    const gone = this.plan.onOverflow === 'drop-oldest' ? this.held.shift() : this.held.pop()
    if (gone?.eventId === undefined) this.queue.drop()
    else this.again = true
  }

  /** One that stands where the last one leaves off, or nowhere. False: what is kept must be read before it. */
  private takeIn(message: PubSubMessage): boolean {
    const { id, eventId } = message
    if (eventId === undefined) {
      // One that this process told itself may have been read with its place, or come with it later.
      if (this.caught.has(id)) return true
      if (isAheadOfRedis(message)) remember(this.local, id)
      this.owner.put(message)
      return true
    }
    const place = placeOf(eventId)
    if (place !== null && this.last !== null) {
      if (this.found !== null && place.began === this.found.began && place.number <= this.found.number) {
        // It was on its way on the connection that listens, and moves nothing.
        if (!this.local.delete(id)) this.owner.put(message)
        return true
      }
      if (!isBehind(place, this.last, this.past)) return true
      if (!follows(place, this.last)) return false
    }
    this.hand(message, place)
    return true
  }

  /** One of a persistent channel, in its place. */
  private hand(message: PubSubMessage, place: Place | null): void {
    if (place !== null) this.stand(place)
    if (this.catching) remember(this.caught, message.id)
    if (!this.local.delete(message.id)) this.owner.put(message)
    // It was given without its place, unless it waits still.
    else if (this.queue.length === 0) this.owner.stands(message.eventId as string)
  }

  private stand(place: Place): void {
    const { last } = this
    if (last !== null && last.began !== 0 && last.began !== place.began) this.past = last.began
    this.last = place
    this.found = null
    this.isGoneTold = false
  }

  /** Where the channel stands as it begins. */
  private async findPlace(): Promise<void> {
    try {
      const [newest] = await this.plan.read(null, 1)
      if (this.last !== null) return
      const place = placeOf(newest?.eventId ?? '')
      // Who begins without a server does not know what it keeps.
      if (place === null && this.plan.isAlone()) return
      this.last = place ?? BEGINNING
      this.found = place
      if (newest?.eventId !== undefined) this.owner.stands(newest.eventId)
      this.isSure = true
    } catch (error) {
      this.owner.failed(error)
    }
  }

  /** Hands on what the channel keeps behind the last one, and then what came meanwhile. */
  private async catchUp(): Promise<void> {
    if (this.queue.isEnded) return
    if (this.catching) {
      this.again = true
      return
    }
    // Where it stood when this began nobody knew: it begins with what comes.
    if (this.last === null) return await this.findPlace()
    this.catching = true
    try {
      let isKnown = false
      do {
        this.again = false
        isKnown = await this.readBehind()
        await this.takeHeld(isKnown)
      } while ((this.again || this.held.length > 0) && !this.queue.isEnded)
      this.isSure = isKnown
      this.againMs = AGAIN_MS
    } catch (error) {
      this.owner.failed(error)
      this.isSure = false
      // What does not follow is read when it is tried again.
      for (const message of this.held.splice(0)) this.takeIn(message)
      later(() => void this.catchUp(), this.againMs).unref()
      this.againMs = Math.min(2 * this.againMs, LONGEST_AGAIN_MS)
    }
    this.catching = false
    this.caught.clear()
    this.asked = null
  }

  /** Reads on until nothing more is kept. Answers whether the channel stands where this does. */
  private async readBehind(): Promise<boolean> {
    for (;;) {
      const room = await this.queue.room()
      if (room === 0) return false
      const count = Math.min(PAGE, room)
      const before = this.last
      const found = await this.plan.read(before, count)
      if (this.queue.isEnded) return false
      for (const message of found) {
        const place = placeOf(message.eventId ?? '')
        if (place !== null && this.last !== null) {
          if (place.began === this.last.began && place.number <= this.last.number) continue
          this.tellTrimmed(place, this.last)
        }
        this.hand(message, place)
      }
      if (found.length === 0) {
        const known = await this.isKnown()
        if (known !== null) return known
      } else if (found.length < count || this.last === before) return true
    }
  }

  /**
   * Where nothing is kept behind the last one: whether the channel stands there, as far as anybody knows. Null: it does
   * not, and is read from its beginning.
   */
  private async isKnown(): Promise<boolean | null> {
    const last = this.last as Place
    if (last.began === 0) return true
    const [newest] = await this.plan.read(null, 1)
    const place = placeOf(newest?.eventId ?? '')
    // Memory that answers for a server keeps nothing.
    if (place === null && this.plan.isAlone()) return false
    if (place !== null && place.began === last.began && place.number >= last.number) return true
    if (!this.isSure) this.tellGone()
    if (place === null) return true
    if (place.began !== last.began) this.past = last.began
    this.last = BEGINNING
    return null
  }

  /** Hands on what came meanwhile as there is room, until something before it must be read. */
  private async takeHeld(isKnown: boolean): Promise<void> {
    while (this.held.length > 0) {
      if ((await this.queue.room()) === 0) return
      const message = this.held.shift()
      if (message === undefined || this.takeIn(message)) continue
      // It is read when the server is back.
      if (!isKnown) continue
      if (this.asked !== message) {
        this.asked = message
        this.held.unshift(message)
        this.again = true
        return
      }
      // The channel does not keep it, nor what stood before it.
      const place = placeOf(message.eventId as string) as Place
      if (place.began === this.last?.began) this.tellTrimmed(place, this.last)
      this.owner.put(message)
    }
  }

  /** Tells whether some between the last one and this are kept no longer. */
  private tellTrimmed(place: Place, last: Place): void {
    if (follows(place, last) || (place.number === 1 && this.isSure)) return
    if (place.began !== last.began) this.tellGone()
    else this.owner.tell({ reason: 'trimmed', since: Date.now(), missed: place.number - last.number - 1 })
  }

  /** How much is kept no longer nobody knows. */
  private tellGone(): void {
    if (this.isGoneTold) return
    this.isGoneTold = true
    this.owner.tell({ reason: 'trimmed', since: Date.now(), missed: null })
  }
}

/** Whether nothing stands between both, as far as they say it. */
function follows({ began, number }: Place, last: Place): boolean {
  return last.began === 0 ? number === 1 : began === last.began && number === last.number + 1
}

/** Whether one stands behind the last one, and not in the stream that was there before. */
function isBehind({ began, number }: Place, last: Place, past: number | null): boolean {
  return began === last.began ? number > last.number : began !== past
}

/** The oldest goes when there are too many. A foreign message has no id. */
function remember(ids: Set<string>, id: string): void {
  if (id === '') return
  ids.add(id)
  if (ids.size > MOST_KNOWN) ids.delete(ids.values().next().value as string)
}
