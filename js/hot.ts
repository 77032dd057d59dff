// The hot tier: texts of a few answers in front of the native side, so that a hit costs neither a crossing nor
// the making of a string. An entry answers only while its marks say what they said when it was answered; the
// native side changes them with everything that may change the answer, and closes the table with one word when
// its copies may not answer at all. So the table is as fresh as the copies behind it.

import type { Inbox } from './inbox.js'
import type { KeepFor } from './slots.js'

const MOST_ENTRIES = 1024
/** Characters of all texts together. */
const MOST_TEXT = 4 * 1024 * 1024
const LARGEST_TEXT = 64 * 1024
const MOST_TABLES = 64
/** A read after so long asks the native side. */
const LONGEST_GAP_MS = 500

/** The words before the marks: whether copies may answer, and the mark of all that is known of tags. */
const OPEN = 0
const TAGS = 1
const ECHO = 2

// The clock as it was before a test runner put its own in its place: the native side has that one, too.
const now = performance.now.bind(performance)

/** A text that was answered for a key. */
export class HotEntry {
  /** What was made of it for those who share it. */
  shared: unknown = undefined

  constructor(
    readonly text: string,
    readonly format: number,
    readonly place: number,
    readonly mark: number,
    /** -1: it has no tags. */
    readonly tags: number,
    readonly since: number,
    /** Infinity: it has no end. */
    readonly until: number,
    readonly loadMs: number,
  ) {}

  /** Whether so much of its freshness is over. */
  isOlderThan(fraction: number): boolean {
    return now() >= this.since + fraction * (this.until - this.since)
  }
}

/** The hot entries of a family. */
export class HotTable implements KeepFor {
  /** When anything was read here last. */
  private readAt = 0
  private readonly entries = new Map<string, HotEntry>()
  private text = 0
  /** Keys whose texts were answered once of late: the second time they are kept. */
  private recent = new Set<string>()
  private former = new Set<string>()

  constructor(private readonly marks: Uint32Array) {}

  read(key: string): HotEntry | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    const { marks } = this
    const at = now()
    const gap = at - this.readAt
    this.readAt = at
    // After a pause nobody knows whether this process ran: the native side's clock does.
    if (gap > LONGEST_GAP_MS) return undefined
    if (
      marks[OPEN] === 1 &&
      marks[entry.place] === entry.mark &&
      (entry.tags < 0 || marks[TAGS] === entry.tags) &&
      at < entry.until
    ) {
      return entry
    }
    this.drop(key)
    return undefined
  }

  keep(key: string, inbox: Inbox): void {
    const { stored, format, place, mark, tags, ageMs, lasts, loadMs } = inbox
    if (stored === null || stored.length > LARGEST_TEXT || !this.isAskedAgain(key)) return
    this.drop(key)
    const at = now()
    const until = lasts < 0 ? Infinity : at + lasts
    this.entries.set(
      key,
      new HotEntry(inbox.storedAlone(), format, place, mark, tags, at - ageMs, until, loadMs),
    )
    this.text += stored.length
    while (this.entries.size > MOST_ENTRIES || this.text > MOST_TEXT) {
      // The first one: kept longest ago.
      this.drop(this.entries.keys().next().value as string)
    }
  }

  /** Where more keys are asked for than fit, keeping each text would cost more than it saves. */
  private isAskedAgain(key: string): boolean {
    if (this.recent.has(key) || this.former.has(key)) return true
    if (this.recent.size >= MOST_ENTRIES) {
      this.former = this.recent
      this.recent = new Set()
    }
    this.recent.add(key)
    return false
  }

  drop(key: string): void {
    const entry = this.entries.get(key)
    if (entry === undefined) return
    this.text -= entry.text.length
    this.entries.delete(key)
  }

  clear(): void {
    this.entries.clear()
    this.text = 0
  }
}

/** The tables of an instance, by family. */
export class Hot {
  private readonly tables = new Map<string, HotTable>()

  private constructor(private readonly marks: Uint32Array) {}

  /** Null where the two sides can't see the same memory. */
  static over(marks: Uint32Array | null, echo: () => void): Hot | null {
    if (marks === null) return null
    const before = marks[ECHO]
    echo()
    return marks[ECHO] === before ? null : new Hot(marks)
  }

  of(family: string): HotTable {
    let table = this.tables.get(family)
    if (table === undefined) {
      table = new HotTable(this.marks)
      this.tables.set(family, table)
      // The first one: made longest ago. Whoever uses it still has it.
      if (this.tables.size > MOST_TABLES) this.tables.delete(this.tables.keys().next().value as string)
    }
    return table
  }

  /** Lets go of a key's text. */
  drop(family: string, key: string): void {
    this.tables.get(family)?.drop(key)
  }

  /** Lets go of everything, whatever its family. */
  clear(): void {
    for (const table of this.tables.values()) table.clear()
  }
}
