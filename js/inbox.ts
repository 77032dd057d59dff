// Reads what the native side answers: rows of numbers, one text from which the strings are cut in
// order, and extras for what is neither. Each kind of call has a decoder; an unknown row is skipped
// whole, so that the text stays in step.

import { HoldfastError, fromRecord, type ErrorRecord } from './errors.js'
import {
  FATE_MOVED,
  FORMAT_JSON,
  FORMAT_TEXT,
  REPLY_ARRAY,
  REPLY_BOOLEAN,
  REPLY_DECISION,
  REPLY_DOUBLE,
  REPLY_ENTRY,
  REPLY_ERROR,
  REPLY_EXTRA,
  REPLY_INTEGER,
  REPLY_LOADING,
  REPLY_MAP,
  REPLY_MESSAGE,
  REPLY_NULL,
  REPLY_SESSION,
  REPLY_TEXT,
  SOURCE_MEMORY,
  SOURCE_NEAR,
} from './generated/operations.js'
import { NUMBERS_OF_A_LIMIT, type Decision } from './limits/result.js'
import type { SessionFields } from './sessions/options.js'
import type { Told } from './sessions/store.js'
import { decodeValue, unreadable, type Serializer } from './serializers.js'

/** Where the rows start. */
export const FIRST_ROW = 4

/** A raw reply as it is. */
export const DECODE_RAW = 0
/** The value of an entry; null for a miss. */
export const DECODE_VALUE = 1
/** A `Found`, for a load that goes on a `Loading`; null for a miss. */
export const DECODE_FOUND = 2
/** Added to one of the above: text that is no JSON is a value, not an error. */
export const DECODE_LENIENT = 8

/** A message for a subscription. */
export interface Heard {
  readonly type: 'message'
  readonly number: number
  /** Where it is another than what was listened to. */
  readonly channel: string | null
  /** Bytes where it is no UTF-8. */
  readonly text: unknown
}

/** A subscription was told nothing since then, ms since 1970, or so many found no room. */
export interface Missed {
  readonly type: 'missed'
  readonly number: number
  readonly since: number
  readonly count: number
}

/** Who answered. */
export type Source = 'redis' | 'near' | 'memory'

const SOURCES: Readonly<Record<number, Source>> = { [SOURCE_MEMORY]: 'memory', [SOURCE_NEAR]: 'near' }

// All copies of this module in one environment share what reads the answers: what it makes is known by its mark, since
// `instanceof` alone would know what the own copy made, and no other.
const FOUND = Symbol.for('holdfast.found')
const LOADING = Symbol.for('holdfast.loading')

/** Whether it has this mark. */
export function isMarked(value: unknown, mark: symbol): boolean {
  return typeof value === 'object' && value !== null && mark in value
}

/** A value with what is known of it. */
export class Found {
  static [Symbol.hasInstance](value: unknown): boolean {
    return isMarked(value, FOUND)
  }

  value: unknown = undefined

  constructor(
    readonly source: Source,
    /** What is left of its life; null: it never expires. */
    readonly ttlMs: number | null,
    /** What is left of its freshness; null: it is fresh as long as it lives. 0: it is stale. */
    readonly freshMs: number | null,
    readonly ageMs: number,
    /** What its load took. */
    readonly loadMs: number,
  ) {}

  get stale(): boolean {
    return this.freshMs === 0
  }
}

/** A load that found nothing fresh. */
export class Loading {
  static [Symbol.hasInstance](value: unknown): boolean {
    return isMarked(value, LOADING)
  }

  constructor(
    /** For how long somebody else has the right to load. */
    readonly waitMs: number,
    /** Memory answered for a server that doesn't. */
    readonly degraded: boolean,
    /** The right to load, if it was given. */
    readonly token: string | null,
    /** By what somebody else is known who has it. */
    readonly holder: string,
    /** What is there, though not fresh. */
    readonly stale: Found | null,
  ) {}
}

Object.defineProperty(Found.prototype, FOUND, { value: true })
Object.defineProperty(Loading.prototype, LOADING, { value: true })

/** Takes texts of answers that may be kept in front of the native side. */
export interface Keeper {
  keep(inbox: Inbox): void
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

  // What the last entry said of itself, for whoever keeps a copy of it.
  /** Where its mark stands; 0: it may not be kept. */
  place = 0
  mark = 0
  /** The mark of all that is known of tags; -1: it has none. */
  tags = -1
  format = 0
  ageMs = 0
  /** For how long it may be kept, ms; -1: no limit. */
  lasts = -1
  /** For how long its value is fresh, or there where nothing is said of that, ms; -1: for good. */
  fresh = -1
  loadMs = 0
  /** Its text, as it was stored; null where it is none. Who keeps it takes `storedAlone`. */
  stored: string | null = null
  /** Whether it was cut from the answer's text, which has one byte for each character. */
  isCut = false

  /** Starts on the answer of one native call. */
  begin(text: string | null, extras: unknown[] | null): void {
    this.at = FIRST_ROW
    this.text = text ?? ''
    this.cursor = 0
    this.extras = extras ?? NO_EXTRAS
  }

  /** The text of the last entry, not tied to anything longer. */
  storedAlone(): string {
    const stored = this.stored as string
    // What came aside is no part of the answer's text, and may have characters of two bytes.
    const isPart = this.isCut && stored.length >= SHORTEST_SLICE && stored.length < this.text.length
    return isPart ? copyOf(stored) : stored
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
  decode(decoder: number, serializer?: Serializer): unknown {
    const { kind } = this
    if (kind === REPLY_ENTRY) return this.readEntry(decoder, serializer)
    if (kind === REPLY_DECISION) return this.readDecision()
    if (kind === REPLY_SESSION) return this.readSession()
    if (kind !== REPLY_LOADING) return this.readValue()
    this.at++
    const waitMs = this.next()
    const degraded = this.next() === 1
    const token = this.readValue() as string | null
    const holder = this.readValue() as string
    return new Loading(waitMs, degraded, token, holder, this.readStale(decoder, serializer))
  }

  /** What is there though it is not fresh. What can't be read can't serve: it counts as nothing. */
  private readStale(decoder: number, serializer: Serializer | undefined): Found | null {
    if (this.kind !== REPLY_ENTRY) return this.readValue() as null
    try {
      return this.readEntry(decoder, serializer) as Found
    } catch (error) {
      if (HoldfastError.isInstance(error) && error.code === 'E_DATA') return null
      throw error
    }
  }

  /** An entry that is kept: `keeper` hears of its text, where it may be kept. */
  decodeKept(decoder: number, serializer: Serializer | undefined, keeper: Keeper): unknown {
    this.place = 0
    const value = this.decode(decoder, serializer)
    if (this.place > 0) keeper.keep(this)
    this.stored = null
    return value
  }

  private readEntry(decoder: number, serializer: Serializer | undefined): unknown {
    this.at++
    const source = this.next()
    const format = (this.format = this.next())
    const ttlMs = this.next()
    const freshMs = this.next()
    const ageMs = (this.ageMs = this.next())
    this.loadMs = this.next()
    const keepMs = this.next()
    this.place = this.next()
    this.mark = this.next()
    this.tags = this.next()
    this.fresh = freshMs < 0 ? ttlMs : freshMs
    this.lasts = shortest(shortest(freshMs, ttlMs), keepMs)
    const value = this.readStored(format, decoder >= DECODE_LENIENT, serializer)
    if ((decoder & (DECODE_LENIENT - 1)) === DECODE_VALUE) return value
    const found = new Found(
      SOURCES[source] ?? 'redis',
      ttlMs < 0 ? null : ttlMs,
      freshMs < 0 ? null : freshMs,
      ageMs,
      this.loadMs,
    )
    found.value = value
    return found
  }

  private readStored(format: number, lenient: boolean, serializer: Serializer | undefined): unknown {
    const inText = (this.isCut = this.kind === REPLY_TEXT)
    if (format === FORMAT_TEXT) return (this.stored = this.readValue() as string | null)
    // JSON needs no copy: what is parsed from a slice does not hold it.
    const stored = inText ? this.slice() : this.readValue()
    this.stored = typeof stored === 'string' ? stored : null
    if (format !== FORMAT_JSON) return decodeValue(stored as string | Uint8Array, format, serializer)
    if (typeof stored === 'string') {
      try {
        return JSON.parse(stored)
      } catch {
        if (lenient) return inText ? own(stored, this.text) : stored
      }
    } else if (lenient) {
      return stored
    }
    throw unreadable('is no JSON; it was not written by this package and was left as it is')
  }

  /** A message, or that some were missed: for which subscription, and what. */
  readHeard(): Heard | Missed {
    const isMessage = this.kind === REPLY_MESSAGE
    this.at++
    const number = this.next()
    if (!isMessage) return { type: 'missed', number, since: this.next(), count: this.next() }
    const channel = this.readValue() as string | null
    return { type: 'message', number, channel, text: this.readValue() }
  }

  private readSession(): Told {
    this.at++
    const fate = this.next()
    const degraded = this.next() === 1
    const leftMs = this.next()
    const unusedMs = this.next()
    const absoluteLeftMs = this.next()
    const version = this.next()
    const idleMs = this.next()
    const createdAt = this.next()
    const text = this.kind === REPLY_TEXT ? this.slice() : (this.readValue() as string)
    const spare = this.readValue() as string
    let told: [user: string, handle: string, data: SessionFields, ip: string | null, agent: string | null] = ['', '', {}, null, null]
    if (fate === FATE_MOVED) told[1] = text
    else if (text !== '') {
      try {
        told = JSON.parse(text) as typeof told
      } catch {
        throw new HoldfastError({
          code: 'E_DATA',
          message: 'a field of this session is no JSON; it was not written by this package and was left as it is',
        })
      }
    }
    const [user, handle, data, ip, agent] = told
    return { fate, degraded, leftMs, unusedMs, absoluteLeftMs, version, idleMs, createdAt, user, handle, data, ip, agent, spare }
  }

  private readDecision(): Decision {
    this.at++
    const outcome = this.next()
    const decider = this.next()
    const count = this.next() * NUMBERS_OF_A_LIMIT
    const { numbers: all, at } = this
    const numbers = new Array<number>(count)
    for (let index = 0; index < count; index++) numbers[index] = all[at + index] as number
    this.at = at + count
    return { outcome, decider, numbers, id: this.readValue() as string | null }
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
        this.at += 10
        return this.readValue()
      case REPLY_DECISION:
        this.at--
        return this.readDecision()
      case REPLY_SESSION:
        this.at--
        return this.readSession()
      case REPLY_LOADING:
        this.at += 2
        this.readValue()
        this.readValue()
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

/** The shorter of two times; -1: none. */
function shortest(one: number, other: number): number {
  return one < 0 ? other : other < 0 ? one : Math.min(one, other)
}

/** The string, no longer tied to the text it was cut from. */
export function own(slice: string, text: string): string {
  if (slice.length < SHORTEST_SLICE || text.length < PINNING_TEXT || slice.length * 2 > text.length) return slice
  return copyOf(slice)
}

/** Of a part of an answer's text: the native side puts one-byte text only there. */
function copyOf(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1')
}
