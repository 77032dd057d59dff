// One environment's side of the boundary: the slots of every instance, the one inbox, and the wake by
// which the native side says that replies wait. The batches (batch.ts) write, this reads.
//
// A bundler or a hot reload evaluates this module several times in one environment, so the bridge
// stands on globalThis. A test runner runs several globals in one environment, with one native module
// for them all; there each bridge has ids of its own, and whoever drains serves the others.

import type { Batch } from './batch.js'
import { HoldfastError } from './errors.js'
import { DECODE_RAW, Inbox } from './inbox.js'
import { REPLY_EVENT } from './generated/operations.js'
import type { NativeModule } from './native-module.js'
import type { Outbox } from './outbox.js'
import { Slot } from './slots.js'

/** Ids of one bridge; its first is a multiple of this. They all stay under 2^32. */
const IDS = 2 ** 20
const BRIDGES = 4096

const OWN = Symbol.for('holdfast.bridge')
const ALL = Symbol.for('holdfast.bridges')

/** An event of an instance. */
export interface NativeEvent {
  readonly type: string
}

/** Who takes the events of an instance. */
export interface EventReceiver {
  receive(event: NativeEvent): void
}

/** The bridges of all globals that share a native module. */
interface Neighbours {
  next: number
  readonly bridges: Map<number, WeakRef<Bridge>>
}

export class Bridge {
  /** Answers given at once since the event loop last had its turn. */
  streak = 0
  private readonly inbox = new Inbox()
  private readonly slots: Slot[] = []
  private readonly unused: Slot[] = []
  private readonly receivers = new Map<number, WeakRef<EventReceiver>>()
  private events: [handle: number, event: NativeEvent][] = []

  constructor(
    readonly native: NativeModule,
    private readonly number: number,
    private readonly neighbours: Neighbours,
  ) {}

  /** A slot that no reply is owed to. */
  take(operation: string): Slot {
    const slot = this.unused.pop()
    if (slot !== undefined) return slot
    const index = this.slots.length
    if (index >= IDS) {
      throw new HoldfastError({
        code: 'E_OVERLOADED',
        message: `${IDS} operations are in flight; nothing was sent`,
        retryable: true,
        operation,
      })
    }
    const fresh = new Slot(this.number * IDS + index)
    this.slots.push(fresh)
    return fresh
  }

  giveBack(slot: Slot): void {
    this.unused.push(slot)
  }

  slotsOf(batch: Batch): Slot[] {
    return this.slots.filter((slot) => slot.batch === batch)
  }

  /** Hands a batch over and settles what was answered at once. Answers how many are pending. */
  submit(handle: number, outbox: Outbox): number {
    const { inbox, native } = this
    const text = native.submit(handle, outbox.meta, outbox.used, outbox.text, outbox.extras, inbox.numbers)
    const pending = inbox.numbers[3] as number
    if (this.receive(text)) this.drainAll()
    return pending
  }

  /** What the native side calls when replies wait. */
  readonly wake = (): void => {
    this.streak = 0
    this.drainAll()
  }

  listen(handle: number, receiver: EventReceiver): void {
    this.receivers.set(handle, new WeakRef(receiver))
  }

  forget(handle: number): void {
    this.receivers.delete(handle)
  }

  private drainAll(): void {
    while (this.receive(this.native.drain(this.inbox.numbers))) {
      // One inbox was full; the next one waits.
    }
  }

  /** Settles the rows in the inbox. Answers whether more wait. */
  private receive(text: string | null): boolean {
    const { inbox } = this
    const more = inbox.numbers[2] === 1
    inbox.begin(text, inbox.numbers[1] === 1 ? this.native.takeExtras() : null)
    const empty = !inbox.hasRow
    while (inbox.hasRow) {
      const id = inbox.next()
      if (inbox.kind === REPLY_EVENT) this.keep(id, inbox.readEvent())
      else this.settle(id)
    }
    inbox.end()
    if (more && empty) inbox.grow()
    return more
  }

  private settle(id: number): void {
    const slot = this.slots[id - this.number * IDS] ?? this.slotOfNeighbour(id)
    if (slot !== undefined && slot.batch !== null) slot.settle(this.inbox)
    else skip(this.inbox)
  }

  private slotOfNeighbour(id: number): Slot | undefined {
    return this.neighbours.bridges.get(Math.floor(id / IDS))?.deref()?.slots[id % IDS]
  }

  // Listeners are users' code, which may call in again: they run when the inbox is done with.
  private keep(handle: number, event: NativeEvent): void {
    if (this.events.push([handle, event]) === 1) queueMicrotask(this.deliver)
  }

  private readonly deliver = (): void => {
    const { events } = this
    this.events = []
    for (const [handle, event] of events) this.receiver(handle)?.receive(event)
  }

  private receiver(handle: number): EventReceiver | undefined {
    const own = this.receivers.get(handle)?.deref()
    if (own !== undefined) return own
    for (const bridge of this.neighbours.bridges.values()) {
      const receiver = bridge.deref()?.receivers.get(handle)?.deref()
      if (receiver !== undefined) return receiver
    }
    return undefined
  }
}

function skip(inbox: Inbox): void {
  try {
    inbox.decode(DECODE_RAW)
  } catch {
    // A late reply that nobody waits for, and that can't be read: it was passed over all the same.
  }
}

/** The bridge of this global to a native module. */
export function bridgeTo(native: NativeModule): Bridge {
  const world = globalThis as { [OWN]?: WeakMap<NativeModule, Bridge> }
  const own = (world[OWN] ??= new WeakMap())
  const present = own.get(native)
  if (present !== undefined) return present
  const shared = native as NativeModule & { [ALL]?: Neighbours }
  const neighbours = (shared[ALL] ??= { next: 0, bridges: new Map() })
  const number = neighbours.next
  neighbours.next = (number + 1) % BRIDGES
  const bridge = new Bridge(native, number, neighbours)
  neighbours.bridges.set(number, new WeakRef(bridge))
  own.set(native, bridge)
  native.attach(bridge.wake)
  return bridge
}
