// One environment's side of the boundary: the slots of every instance, the one inbox, and the wake by
// which the native side says that replies wait. The batches (batch.ts) write, this reads.
//
// A bundler or a hot reload evaluates this module several times in one environment, so the bridge
// stands on globalThis. Where a test runner runs several globals in one thread, each has a bridge, and
// behind it a native environment, of its own.

import type { Batch } from './batch.js'
import { HoldfastError } from './errors.js'
import { HotRoom } from './hot.js'
import { DECODE_RAW, Inbox, type Heard, type Missed } from './inbox.js'
import { REPLY_EVENT, REPLY_MESSAGE, REPLY_MISSED } from './generated/operations.js'
import { Seats } from './limits/seats.js'
import type { NativeEnvironment, NativeModule } from './native-module.js'
import type { Outbox } from './outbox.js'
import { Slot } from './slots.js'
import { immediate, microtask } from './timing.js'

/** How many operations may be in flight at once. */
const MOST_SLOTS = 2 ** 20

/** After so many answers that are given at once, or so many ms of them, the event loop gets a turn. */
const ANSWERS_BEFORE_YIELD = 1000
const LONGEST_MS = 10
const FEW = 16

const OWN = Symbol.for('holdfast.bridge')

/** An event of an instance. */
export interface NativeEvent {
  readonly type: string
}

/** Who takes the events of an instance. */
export interface EventReceiver {
  receive(event: NativeEvent | Heard | Missed): void
}

export class Bridge {
  /** Answers given at once since the event loop last had its turn, and the ms that they took. */
  private streak = 0
  private spent = 0
  /** Whether its next turn is noticed. So few answers are not worth that. */
  private isTurning = false
  /** Where the hot entries of all instances stand. */
  readonly hotRoom = new HotRoom()
  private readonly inbox = new Inbox()
  private readonly slots: Slot[] = []
  private readonly unused: Slot[] = []
  private readonly receivers = new Map<number, WeakRef<EventReceiver>>()
  private events: [handle: number, event: NativeEvent | Heard | Missed][] = []
  /** Whether answers are being handed out. */
  private isReading = false

  private limited: Seats | null = null

  readonly native: NativeEnvironment

  constructor(addon: NativeModule) {
    // The native side holds the function for good: a global that a test runner dropped must not live on by it.
    const self = new WeakRef(this)
    this.native = new addon.Environment(() => self.deref()?.wake(), { hasRef: () => self.deref()?.isBusy ?? false })
  }

  /** The keys of limiters that are named by numbers, of all instances. */
  get seats(): Seats {
    return (this.limited ??= new Seats(this.native))
  }

  /** Whether operations are on their way; the process stays while they are. */
  private get isBusy(): boolean {
    return this.unused.length < this.slots.length
  }

  /** A slot that no reply is owed to. */
  take(operation: string): Slot {
    const slot = this.unused.pop()
    if (slot !== undefined) return slot
    const index = this.slots.length
    if (index >= MOST_SLOTS) {
      throw new HoldfastError({
        code: 'E_OVERLOADED',
        message: `${MOST_SLOTS} operations are in flight; nothing was sent`,
        retryable: true,
        operation,
      })
    }
    const fresh = new Slot(index)
    this.slots.push(fresh)
    return fresh
  }

  giveBack(slot: Slot): void {
    this.unused.push(slot)
  }

  slotsOf(batch: Batch): Slot[] {
    return this.slots.filter((slot) => slot.batch === batch)
  }

  /**
   * Hands a batch over and settles what was answered at once. Answers how many are pending. The box is empty before
   * anybody hears of an answer: what he calls then goes with the next batch.
   */
  submit(handle: number, outbox: Outbox): number {
    // Whoever takes an answer may call in: then the one inbox is still being read.
    const inbox = this.isReading ? new Inbox() : this.inbox
    let text: string | null
    try {
      text = this.native.submit(handle, outbox.meta, outbox.used, outbox.text, outbox.extras, inbox.numbers)
    } finally {
      outbox.clear()
    }
    const pending = inbox.numbers[3] as number
    if (this.receive(inbox, text)) this.drainAll(inbox)
    return pending
  }

  /** Counts answers given at once, and the time that they took in the native side. */
  answered(count: number, ms: number): void {
    this.streak += count
    this.spent += ms
    if (this.isTurning || (this.streak < FEW && this.spent < LONGEST_MS / 10)) return
    this.isTurning = true
    immediate(this.turn)
  }

  /** Whether the event loop is owed a turn: answers that come at once would starve it. */
  get owesTurn(): boolean {
    return this.streak >= ANSWERS_BEFORE_YIELD || this.spent >= LONGEST_MS
  }

  /** What it is owed is on its way. */
  turned(): void {
    this.streak = 0
    this.spent = 0
  }

  private readonly turn = (): void => {
    this.isTurning = false
    this.turned()
  }

  /** Takes the replies that wait. */
  wake(): void {
    this.turned()
    this.drainAll(this.inbox)
  }

  listen(handle: number, receiver: EventReceiver): void {
    this.receivers.set(handle, new WeakRef(receiver))
  }

  forget(handle: number): void {
    this.receivers.delete(handle)
  }

  private drainAll(inbox: Inbox): void {
    while (this.receive(inbox, this.native.drain(inbox.numbers))) {
      // One inbox was full; the next one waits.
    }
  }

  /** Settles the rows in the inbox. Answers whether more wait. */
  private receive(inbox: Inbox, text: string | null): boolean {
    const isInner = this.isReading
    this.isReading = true
    // How many numbers the next row takes; 0 when none waits.
    const wanted = inbox.numbers[2] as number
    inbox.begin(text, inbox.numbers[1] === 1 ? this.native.takeExtras() : null)
    const empty = !inbox.hasRow
    while (inbox.hasRow) {
      const id = inbox.next()
      if (inbox.kind === REPLY_EVENT) this.keep(id, inbox.readEvent())
      else if (inbox.kind === REPLY_MESSAGE || inbox.kind === REPLY_MISSED) this.keep(id, inbox.readHeard())
      else this.settle(inbox, id)
    }
    inbox.end()
    this.isReading = isInner
    if (empty && wanted > 0) inbox.growTo(wanted)
    return wanted > 0
  }

  /** Never throws: the rows behind this one are other calls' answers. */
  private settle(inbox: Inbox, id: number): void {
    const slot = this.slots[id]
    if (slot !== undefined && slot.batch !== null) slot.settle(inbox)
    else skip(inbox)
  }

  // Listeners are users' code, which may call in again: they run when the inbox is done with.
  private keep(handle: number, event: NativeEvent | Heard | Missed): void {
    if (this.events.push([handle, event]) === 1) microtask(this.deliver)
  }

  private readonly deliver = (): void => {
    const { events } = this
    this.events = []
    for (const [handle, event] of events) this.receivers.get(handle)?.deref()?.receive(event)
  }
}

function skip(inbox: Inbox): void {
  try {
    inbox.decode(DECODE_RAW)
  } catch {
    // A late reply that nobody waits for, and that can't be read: it was passed over all the same.
  }
}

/** The bridge of this global to the addon. */
export function bridgeTo(addon: NativeModule): Bridge {
  const world = globalThis as { [OWN]?: WeakMap<NativeModule, Bridge> }
  const own = (world[OWN] ??= new WeakMap())
  let bridge = own.get(addon)
  if (bridge === undefined) {
    bridge = new Bridge(addon)
    own.set(addon, bridge)
  }
  return bridge
}
