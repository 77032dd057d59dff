// The hot tier: texts of a few answers in front of the native side, so that a hit costs neither a crossing nor
// the making of a string. An entry answers only while its marks say what they said when it was answered; the
// native side changes them with everything that may change the answer, and closes the tier with one word when
// its copies may not answer at all. So it is as fresh as the copies behind it.
//
// All instances of an environment share one room. When it is full, a hand goes round and lets go of what was not used
// since it came by last: nearly the order of use, for which a hit only has to set a flag.

import type { Inbox } from './inbox.js'
import type { KeepFor } from './slots.js'
import { now } from './timing.js'

/** Bytes of all entries together: of their keys, their texts, and the objects that were made of them. */
const MOST_BYTES = 16 * 1024 * 1024
/** Characters. */
const LARGEST_TEXT = 64 * 1024
/** What an entry takes besides. */
const ENTRY_BYTES = 256
/** What an object takes for each character of its JSON, about. */
const OBJECT_BYTES = 4
/** So many answers ago counts as of late, at least. */
const RECENT = 4096
const LAST_GENERATION = 2 ** 16 - 1
/** How often everything is looked through for what answers no more. */
const SWEEP_MS = 30_000
/** A read after so long asks the native side. */
const LONGEST_GAP_MS = 500

/** The words before the marks: whether copies may answer, and the mark of all that is known of tags. */
const OPEN = 0
const TAGS = 1
const ECHO = 2

type Entries = Map<string, HotEntry>
/** The entries of a family that has none. */
const NONE: Entries = new Map()

/** A text that was answered for a key. */
export class HotEntry {
  /** What was made of it for those who share it. */
  shared: unknown = undefined
  /** Whether it was used, or is new, since the hand came by. */
  isUsed = true
  bytes: number
  readonly text: string
  readonly format: number
  private readonly place: number
  private readonly mark: number
  /** -1: it has no tags. */
  readonly tags: number
  private readonly since: number
  /** Until when it may answer; Infinity: it has no end. */
  private readonly until: number
  /** Until when its value is fresh, however long its text may answer; Infinity: for good. */
  private readonly freshUntil: number
  readonly loadMs: number

  /** Of the entry that the inbox read last. */
  constructor(
    private readonly hot: Hot,
    private readonly family: string,
    private readonly key: string,
    inbox: Inbox,
  ) {
    const at = now()
    this.text = inbox.storedAlone()
    this.format = inbox.format
    this.place = inbox.place
    this.mark = inbox.mark
    this.tags = inbox.tags
    this.since = at - inbox.ageMs
    this.until = inbox.lasts < 0 ? Infinity : at + inbox.lasts
    this.freshUntil = inbox.fresh < 0 ? Infinity : at + inbox.fresh
    this.loadMs = inbox.loadMs
    this.bytes = ENTRY_BYTES + 2 * key.length + (inbox.isCut ? 1 : 2) * this.text.length
  }

  /** Whether so much of its freshness is over. */
  isOlderThan(fraction: number): boolean {
    return now() >= this.since + fraction * (this.freshUntil - this.since)
  }

  mayAnswer(at: number): boolean {
    const { marks } = this.hot
    return (
      marks[OPEN] === 1 &&
      marks[this.place] === this.mark &&
      (this.tags < 0 || marks[TAGS] === this.tags) &&
      at < this.until
    )
  }

  /** Keeps what was made of the text. */
  share(value: unknown): void {
    this.shared = value
    if (typeof value === 'object' && value !== null) this.hot.room.grow(this, OBJECT_BYTES * this.text.length)
  }

  drop(): void {
    this.hot.forget(this, this.family, this.key)
  }
}

/** What the hot entries of all instances of an environment share: a bound. */
export class HotRoom {
  bytes = 0
  private readonly entries = new Set<HotEntry>()
  /** Where the hand stands. It passes over what is dropped and comes by what is added. */
  private hand = this.entries.values()
  private sweptAt = now()
  /** By mark, in which generation it was answered last; 0: never. Two keys may share one, which does no harm. */
  private answered = new Uint16Array(0)
  private generation = 1
  private inGeneration = 0

  constructor(private readonly mostBytes = MOST_BYTES) {}

  add(entry: HotEntry): void {
    this.entries.add(entry)
    this.bytes += entry.bytes
    this.shrink()
    const at = now()
    if (at - this.sweptAt >= SWEEP_MS) this.sweep(at)
  }

  grow(entry: HotEntry, bytes: number): void {
    entry.bytes += bytes
    this.bytes += bytes
    this.shrink()
  }

  remove(entry: HotEntry): void {
    this.entries.delete(entry)
    this.bytes -= entry.bytes
  }

  /** Lets go of what answers no more, though nobody asks for it. */
  sweep(at = now()): void {
    this.sweptAt = at
    for (const entry of this.entries) if (!entry.mayAnswer(at)) entry.drop()
  }

  /** Where more keys are asked for than fit, keeping each text would cost more than it saves. */
  isAskedAgain(place: number): boolean {
    const { answered, generation } = this
    const last = answered[place] as number
    if (last > 0 && generation - last <= 1) return true
    answered[place] = generation
    if (++this.inGeneration >= RECENT) this.age()
    return false
  }

  /** Makes room for so many marks. */
  holdMarks(count: number): void {
    if (this.answered.length < count) this.answered = new Uint16Array(count)
  }

  private age(): void {
    this.inGeneration = 0
    if (++this.generation <= LAST_GENERATION) return
    this.answered.fill(0)
    this.generation = 1
  }

  private shrink(): void {
    while (this.bytes > this.mostBytes && this.entries.size > 0) {
      const { done, value } = this.hand.next()
      if (done === true) this.hand = this.entries.values()
      else if (value.isUsed) value.isUsed = false
      else value.drop()
    }
  }
}

/**
 * The hot entries of a family, as one of its managers sees them: one that has none may miss the first ones that another
 * manager keeps, and sees them all when it keeps one itself.
 */
export class HotTable implements KeepFor {
  constructor(
    private readonly hot: Hot,
    private readonly family: string,
    private entries: Entries,
  ) {}

  read(key: string): HotEntry | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    const { hot } = this
    const at = now()
    const gap = at - hot.readAt
    hot.readAt = at
    // After a pause nobody knows whether this process ran: the native side's clock does.
    if (gap > LONGEST_GAP_MS) return undefined
    if (entry.mayAnswer(at)) {
      entry.isUsed = true
      return entry
    }
    entry.drop()
    return undefined
  }

  keep(key: string, inbox: Inbox): void {
    const { stored, place } = inbox
    const { hot, family } = this
    if (stored === null || stored.length > LARGEST_TEXT || !hot.room.isAskedAgain(place)) return
    this.entries = hot.put(new HotEntry(hot, family, key, inbox), family, key)
  }
}

/** The hot entries of an instance. */
export class Hot {
  /** When anything was read here last. */
  readAt = 0
  /** Families that have entries. */
  private readonly families = new Map<string, Entries>()
  private readonly tagged = new Set<HotEntry>()

  private constructor(
    readonly marks: Uint32Array,
    readonly room: HotRoom,
  ) {
    room.holdMarks(marks.length)
  }

  /** Null where the two sides can't see the same memory. */
  static over(marks: Uint32Array | null, echo: () => void, room: HotRoom): Hot | null {
    if (marks === null) return null
    const before = marks[ECHO]
    echo()
    return marks[ECHO] === before ? null : new Hot(marks, room)
  }

  of(family: string): HotTable {
    return new HotTable(this, family, this.families.get(family) ?? NONE)
  }

  /** Lets go of a key's text. */
  drop(family: string, key: string): void {
    this.families.get(family)?.get(key)?.drop()
  }

  /** Lets go of everything that has tags, or stands in a namespace. */
  dropTagged(): void {
    for (const entry of this.tagged) entry.drop()
  }

  /** Lets go of everything, whatever its family. */
  clear(): void {
    for (const entries of this.families.values()) for (const entry of entries.values()) entry.drop()
  }

  /** Puts an entry in the place of what stands under its name, and answers its family. */
  put(entry: HotEntry, family: string, key: string): Entries {
    this.drop(family, key)
    let entries = this.families.get(family)
    if (entries === undefined) this.families.set(family, (entries = new Map()))
    entries.set(key, entry)
    if (entry.tags >= 0) this.tagged.add(entry)
    this.room.add(entry)
    return entries
  }

  /** What `drop` of an entry does; nobody else calls it. */
  forget(entry: HotEntry, family: string, key: string): void {
    const entries = this.families.get(family)
    entries?.delete(key)
    if (entries?.size === 0) this.families.delete(family)
    this.tagged.delete(entry)
    this.room.remove(entry)
  }
}
