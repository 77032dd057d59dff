// Reads what the native side answers: rows of numbers, one text from which the strings are cut in
// order, and extras for what is neither. Each kind of call has a decoder; an unknown row is skipped
// whole, so that the text stays in step.

import { HoldfastError, fromRecord, type ErrorRecord } from './errors.js'
import {
  FORMAT_TEXT,
  REPLY_ARRAY,
  REPLY_BOOLEAN,
  REPLY_DOUBLE,
  REPLY_ENTRY,
  REPLY_ERROR,
  REPLY_EXTRA,
  REPLY_INTEGER,
  REPLY_MAP,
  REPLY_NULL,
  REPLY_TEXT,
  SOURCE_REDIS,
} from './generated/operations.js'

/** Where the rows start. */
export const FIRST_ROW = 4

/** A raw reply as it is. */
export const DECODE_RAW = 0
/** The value of an entry; null for a miss. */
export const DECODE_VALUE = 1
/** An entry with its source and lifetime, as `CachedEntry`; null for a miss. */
export const DECODE_ENTRY = 2
/** A `Hit` or the token of a lease, a string. */
export const DECODE_LOAD = 3
/** Added to one of the above: text that is no JSON is a value, not an error. */
export const DECODE_LENIENT = 8

/** A loaded value: an object of its own, so that no value can be taken for a token. */
export class Hit {
  constructor(readonly value: unknown) {}
}

/** An entry with where it came from. */
export interface DecodedEntry {
  value: unknown
  source: 'redis' | 'memory'
  ttlMs: number | null
}

const NO_EXTRAS: unknown[] = []
/** A string cut from a text longer than this keeps the whole text alive, so it is copied. */
const PINNING_TEXT = 1024
/** V8 copies shorter strings by itself. */
const SHORTEST_SLICE = 13

export class Inbox {
  numbers = new Float64Array(8192)
  private at = FIRST_ROW
  private text = ''
  private cursor = 0
  private extras: unknown[] = NO_EXTRAS

  /** Starts on the answer of one native call. */
  begin(text: string | null, extras: unknown[] | null): void {
    this.at = FIRST_ROW
    this.text = text ?? ''
    this.cursor = 0
    this.extras = extras ?? NO_EXTRAS
  }

  /** Lets go of the texts of the last answer. */
  end(): void {
    this.text = ''
    this.extras = NO_EXTRAS
  }

  get hasRow(): boolean {
    return this.at < (this.numbers[0] as number)
  }

  next(): number {
    return this.numbers[this.at++] as number
  }

  /** The kind of the value that comes next. */
  get kind(): number {
    return this.numbers[this.at] as number
  }

  /** For a row that alone is larger than the inbox. */
  growTo(size: number): void {
    this.numbers = new Float64Array(Math.max(size, this.numbers.length))
  }

  /** The error that comes next. */
  readRecord(): ErrorRecord {
    this.at++
    return JSON.parse(this.extras[this.next()] as string) as ErrorRecord
  }

  /** The event that comes next. */
  readEvent(): { type: string } {
    this.at++
    return JSON.parse(this.extras[this.next()] as string) as { type: string }
  }

  /** The value that comes next, as its decoder has it. Throws `E_DATA` for a value it can't read. */
  decode(decoder: number): unknown {
    if (this.kind !== REPLY_ENTRY) {
      // A miss is null and a lease its token: both are what they are.
      return this.readValue()
    }
    this.at++
    const source = this.next()
    const format = this.next()
    const ttlMs = this.next()
    const value = this.readStored(format, decoder >= DECODE_LENIENT)
    const shape = decoder & (DECODE_LENIENT - 1)
    if (shape === DECODE_VALUE) return value
    if (shape === DECODE_LOAD) return new Hit(value)
    const entry: DecodedEntry = {
      value,
      source: source === SOURCE_REDIS ? 'redis' : 'memory',
      ttlMs: ttlMs < 0 ? null : ttlMs,
    }
    return entry
  }

  private readStored(format: number, lenient: boolean): unknown {
    const inText = this.kind === REPLY_TEXT
    if (format === FORMAT_TEXT) return this.readValue()
    // JSON needs no copy: what is parsed from a slice does not hold it.
    const stored = inText ? this.slice() : this.readValue()
    if (typeof stored === 'string') {
      try {
        return JSON.parse(stored)
      } catch {
        if (lenient) return inText ? own(stored, this.text) : stored
      }
    } else if (lenient) {
      return stored
    }
    throw new HoldfastError({
      code: 'E_DATA',
      message: 'what is stored under this key is no JSON; it was not written by this package and was left as it is',
    })
  }

  private readValue(): unknown {
    switch (this.next()) {
      case REPLY_NULL:
        return null
      case REPLY_TEXT:
        this.at--
        return own(this.slice(), this.text)
      case REPLY_INTEGER:
      case REPLY_DOUBLE:
        return this.next()
      case REPLY_BOOLEAN:
        return this.next() === 1
      case REPLY_ARRAY: {
        const count = this.next()
        const values: unknown[] = []
        for (let index = 0; index < count; index++) values.push(this.readValue())
        return values
      }
      case REPLY_MAP: {
        const count = this.next()
        const map: Record<string, unknown> = {}
        for (let index = 0; index < count; index++) {
          const key = String(this.readValue())
          const value = this.readValue()
          // A plain assignment to this one name would change the object's prototype.
          if (key === '__proto__')
            Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true })
          else map[key] = value
        }
        return map
      }
      case REPLY_EXTRA:
        return this.extras[this.next()]
      case REPLY_ERROR:
        this.at--
        return fromRecord(this.readRecord(), '')
      case REPLY_ENTRY:
        this.at += 3
        return this.readValue()
      default:
        throw new HoldfastError({ code: 'E_INTERNAL', message: 'a defect in holdfast: a reply of an unknown kind' })
    }
  }

  /** The text value that comes next, as a slice of the answer's text. */
  private slice(): string {
    this.at++
    const start = this.cursor
    this.cursor = start + this.next()
    return this.text.substring(start, this.cursor)
  }
}

/** The string, no longer tied to the text it was cut from. */
function own(slice: string, text: string): string {
  if (slice.length < SHORTEST_SLICE || text.length < PINNING_TEXT || slice.length * 2 > text.length) return slice
  // The native side puts one-byte text only into the answer's text.
  return Buffer.from(slice, 'latin1').toString('latin1')
}
