// A bounded queue between who brings messages and who takes them, and what becomes of those that find no room.

/**
 * What becomes of a message that finds the queue full: the one that waits longest goes (`'drop-oldest'`), it goes itself
 * (`'drop-newest'`), or the subscription ends (`'disconnect'`).
 */
export type OverflowPolicy = 'drop-oldest' | 'drop-newest' | 'disconnect'

export class Queue<Item> {
  /** How many found no room. */
  dropped = 0
  private items: Item[] = []
  private head = 0
  private takers: ((result: IteratorResult<Item, undefined>) => void)[] = []
  private roomFor: (() => void)[] = []
  private ended = false

  constructor(
    private readonly most: number,
    private readonly policy: OverflowPolicy,
    /** Told when one was dropped; where the policy is to end, it ends. */
    private readonly overflown: () => void,
  ) {}

  get length(): number {
    return this.items.length - this.head
  }

  get isFull(): boolean {
    return this.length >= this.most
  }

  get isEnded(): boolean {
    return this.ended
  }

  /** Whether somebody waits for the next. */
  get isAwaited(): boolean {
    return this.takers.length > 0
  }

  /** Takes an item in. */
  push(item: Item): void {
    if (this.ended) return
    const taker = this.takers.shift()
    if (taker !== undefined) {
      taker({ value: item, done: false })
      return
    }
    if (this.isFull) {
      if (this.policy === 'drop-oldest' && this.most > 0) this.shift()
      this.drop()
      if (this.policy !== 'drop-oldest' || this.most === 0) return
    }
    this.items.push(item)
  }

  /** One found no room. */
  drop(): void {
    if (this.ended) return
    this.dropped++
    this.overflown()
  }

  /** The next, if there is one. */
  shift(): Item | undefined {
    if (this.head === this.items.length) return undefined
    const item = this.items[this.head] as Item
    this.items[this.head++] = undefined as Item
    if (this.head > 1024 || this.head === this.items.length) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
    if (this.length * 2 <= this.most) for (const go of this.roomFor.splice(0)) go()
    return item
  }

  /** The next, when there is one. */
  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.length > 0) return Promise.resolve({ value: this.shift() as Item, done: false })
    if (this.ended) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve) => this.takers.push(resolve))
  }

  /** Resolves to how many fit, when some do, or to 0 when it has ended. */
  async room(): Promise<number> {
    if (!this.ended && this.isFull) await new Promise<void>((resolve) => this.roomFor.push(resolve))
    return this.ended ? 0 : Math.max(1, this.most - this.length)
  }

  /** Takes nothing in any more. What waits can be taken still, unless it is to be forgotten. */
  end(forget: boolean): void {
    if (this.ended) return
    this.ended = true
    if (forget) {
      this.items = []
      this.head = 0
    }
    for (const go of this.roomFor.splice(0)) go()
    for (const taker of this.takers.splice(0)) taker({ value: undefined, done: true })
  }
}
