// The operations of one instance in one tick: they leave together, in one native call.
//
// A call that is alone is handed over at once, where answers are known to come at once (memory): then
// it costs neither the tick nor a promise that waits. What is answered at once can starve I/O, so
// after many such answers in a row (bridge.ts) the next batch waits for the event loop.

import type { Bridge } from './bridge.js'
import { closed, fromThrown, invalid, toRecord } from './errors.js'
import type { Seats } from './limits/seats.js'
import { Outbox } from './outbox.js'
import type { Slot } from './slots.js'
import { immediate, nextTick, now } from './timing.js'

const MOST_OPERATIONS = 256
const MOST_TEXT = 64 * 1024
/** Above this a batch leaves even when the event loop is owed a turn. */
const TOO_MUCH_TEXT = 16 * 1024 * 1024
/** A little less than the longest string of the engine. */
const LARGEST_TEXT = 2 ** 29 - 2 ** 18

const settled = Promise.resolve()

export class Batch {
  readonly outbox = new Outbox()
  /** Operations written since the last turn. */
  private count = 0
  private turn = 0
  private scheduled = false
  /** Whether the last turn was one operation that was answered at once. */
  private alone = false
  /** Whether a call was already handed over directly in this run of the caller's code. */
  private inRun = false
  /** What is written next waits for the event loop, though more could be answered at once. */
  private owed = false
  private inFlight = 0
  private closed = false
  private idle: (() => void) | null = null

  /** `owner` stays reachable while operations are in flight. */
  constructor(
    private readonly bridge: Bridge,
    readonly handle: number,
    readonly owner: object,
  ) {}

  /** Whether nothing waits to be handed over. */
  get isEmpty(): boolean {
    return this.count === 0
  }

  /** The seats of limiters' keys. */
  get seats(): Seats {
    return this.bridge.seats
  }

  /**
   * Counts an answer that is given without asking the native side, of a text of so many characters: reading a long one
   * takes as long as many short ones. False when the event loop is owed a turn first.
   */
  mayAnswer(characters: number): boolean {
    const { bridge } = this
    if (this.closed) return false
    bridge.answered(1 + (characters >> 10), 0)
    if (!bridge.owesTurn) return true
    // This one waits for the event loop, and whoever awaits it; the others of its run don't have to.
    bridge.turned()
    this.owed = true
    return false
  }

  /** A slot for an operation that the caller writes next and then commits. Throws when closed. */
  begin(decoder: number, soft: number, operation: string, size: number): Slot {
    if (this.closed) throw closed(operation)
    if (size > LARGEST_TEXT)
      throw invalid('value', `value has ${size} characters; no more than ${LARGEST_TEXT} can cross`, operation)
    if (this.outbox.text.length + size > TOO_MUCH_TEXT) this.flush()
    const slot = this.bridge.take(operation)
    slot.batch = this
    slot.turn = this.turn
    slot.decoder = decoder
    slot.soft = soft
    slot.operation = operation
    this.inFlight++
    return slot
  }

  /** Queues what was written. */
  commit(slot: Slot): Promise<unknown> {
    const promise = slot.open()
    this.queue()
    return promise
  }

  /** Queues one of many that are awaited together. */
  commitFor(slot: Slot, take: (value: unknown) => void): void {
    slot.openFor(take)
    this.queue()
  }

  /** The same for a read, which is handed over at once where that is likely to be answered at once. */
  commitRead(slot: Slot): Promise<unknown> {
    if (!this.alone || this.inRun || this.count > 0 || this.isLate) {
      return this.commit(slot)
    }
    this.inRun = true
    void settled.then(this.endRun)
    slot.direct = true
    this.count = 1
    this.flush()
    if (slot.done) return slot.take()
    slot.direct = false
    return slot.open()
  }

  /** Hands over what is queued and settles what is answered at once. */
  readonly flush = (): void => {
    this.scheduled = false
    const count = this.count
    if (count === 0) return
    const { outbox, bridge } = this
    this.count = 0
    const turn = this.turn++
    const began = now()
    let pending: number
    try {
      pending = bridge.submit(this.handle, outbox)
    } catch (thrown) {
      this.failTurn(turn, thrown)
      pending = count
    }
    if (pending < count) bridge.answered(count - pending, now() - began)
    this.alone = count === 1 && pending === 0
  }

  /** Sends what is queued, lets what is in flight finish, and refuses everything else from now on. */
  async close(): Promise<void> {
    if (this.closed) return
    this.flush()
    this.closed = true
    if (this.inFlight > 0) await new Promise<void>((resolve) => (this.idle = resolve))
  }

  release(slot: Slot): void {
    this.bridge.giveBack(slot)
    this.inFlight--
    if (this.inFlight === 0 && this.idle !== null) this.idle()
  }

  private queue(): void {
    const outbox = this.outbox
    this.count++
    if (outbox.urgent) this.flush()
    else if (this.count >= MOST_OPERATIONS || outbox.text.length + outbox.extraBytes >= MOST_TEXT) this.leaveEarly()
    else if (!this.scheduled) this.schedule()
  }

  private schedule(): void {
    this.scheduled = true
    if (this.isLate) immediate(this.flushLate)
    else nextTick(this.flush)
  }

  private leaveEarly(): void {
    if (!this.isLate) this.flush()
    else if (!this.scheduled) this.schedule()
  }

  /** Whether the event loop is owed a turn. */
  private get isLate(): boolean {
    return this.owed || this.bridge.owesTurn
  }

  private readonly flushLate = (): void => {
    this.bridge.turned()
    this.owed = false
    this.flush()
  }

  private readonly endRun = (): void => {
    this.inRun = false
  }

  /** The native call itself failed: nothing of this turn was taken, and nobody else will answer. */
  private failTurn(turn: number, thrown: unknown): void {
    const record = toRecord(fromThrown(thrown, ''))
    for (const slot of this.bridge.slotsOf(this)) if (slot.turn === turn) slot.answer(undefined, record)
  }
}
