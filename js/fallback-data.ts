// What memory and the journal hold, as data that a file can keep. The format has a name and a version; what
// is not of it is refused with the path of what is wrong.

import { describe, invalid, type HoldfastError } from './errors.js'
import { FORMAT_JSON, FORMAT_TEXT } from './generated/operations.js'
import { checkKey } from './keys.js'
import { toJson } from './values.js'

/** One value. Times are ms since 1970. */
export interface FallbackDataEntry {
  /** Whose value it is: `fallback`, `cache`, `memoized`, ... */
  family: string
  key: string
  /** What `get` would answer; for `encoding: 'text'` the stored text, for `'hex'` the stored bytes. */
  value: unknown
  /** How `value` stands for what is stored. */
  encoding: 'json' | 'text' | 'hex'
  /** How JS reads the stored bytes; only where it isn't JSON or text. */
  format?: number
  /** Absent: it never expires. */
  expiry?: number
  /** Until when it is fresh; absent: as long as it lives. */
  freshUntil?: number
  /** What its load took, ms. */
  loadMs?: number
  /** Names of the markers that it depends on: `t:` before a tag, `n:` before a namespace. */
  tags?: readonly string[]
  /** Its place in the order of writes; absent: as if it were written when it is imported. */
  stamp?: readonly [micros: number, process: number]
  /** Acknowledged, and not in Redis yet. */
  pending: boolean
}

/** A delete that had not reached Redis; without a key it is of the whole family. */
export interface FallbackDataRemoval {
  family: string
  key?: string
  stamp?: readonly [micros: number, process: number]
}

/** A raw change that had not reached Redis, with `fallback.rawChanges: 'merge'`. */
export interface FallbackDataChange {
  /** The raw key, without the key prefix; in hex digits where it is no text. */
  key: string
  hex: boolean
  /** The change and its id, as a journal file holds them, in hex digits. */
  record: string
}

/** What `exportFallbackData` answers. */
export interface FallbackData {
  format: 'holdfast-fallback'
  version: 1
  /** ms since 1970. */
  exportedAt: number
  /** The machine's boot: by it stamps are understood that were taken before Redis was reached for the first time. */
  boot: string
  entries: FallbackDataEntry[]
  removals: FallbackDataRemoval[]
  /** Absent: there are none. */
  changes?: FallbackDataChange[]
  /** Invalidations of tags, namespaces and patterns, and keys made stale, as a journal file holds them, in hex digits. */
  invalidations?: string[]
}

/** Values by key, without a version: each counts as written when it is imported. `expiry` is ms since 1970. */
export interface LooseFallbackData {
  [key: string]: { value: unknown; expiry?: number; timestamp?: number }
}

/** @internal */
export interface NativeRows {
  boot: string
  values: NativeRow[]
  removals: { family: string; key: string | null; stamp: readonly [number, number] | null }[]
  changes: FallbackDataChange[]
  invalidations: string[]
}

interface NativeRow {
  family: string
  key: string
  payload: string
  hex: boolean
  format: number
  ttl_ms: number | null
  fresh_ms: number | null
  load_ms: number
  tags: readonly string[]
  stamp: readonly [number, number] | null
  pending: boolean
}

const FORMAT = 'holdfast-fallback'
const VERSION = 1
const HEX = /^(?:[0-9a-f]{2})*$/i

export function exported(rows: NativeRows): FallbackData {
  const now = Date.now()
  const entries = rows.values.map((row) => {
    const entry: FallbackDataEntry = { family: row.family, key: row.key, ...readable(row), pending: row.pending }
    if (row.ttl_ms !== null) entry.expiry = now + row.ttl_ms
    if (row.fresh_ms !== null) entry.freshUntil = now + row.fresh_ms
    if (row.load_ms > 0) entry.loadMs = row.load_ms
    if (row.tags.length > 0) entry.tags = row.tags
    if (row.stamp !== null) entry.stamp = row.stamp
    return entry
  })
  const removals = rows.removals.map(({ family, key, stamp }) => ({
    family,
    ...(key === null ? {} : { key }),
    ...(stamp === null ? {} : { stamp }),
  }))
  const { boot, changes, invalidations } = rows
  const data: FallbackData = { format: FORMAT, version: VERSION, exportedAt: now, boot, entries, removals }
  if (changes.length > 0) data.changes = changes
  if (invalidations.length > 0) data.invalidations = invalidations
  return data
}

function readable({ payload, hex, format }: NativeRow): Pick<FallbackDataEntry, 'value' | 'encoding' | 'format'> {
  if (hex) return { value: payload, encoding: 'hex', format }
  if (format === FORMAT_JSON) {
    try {
      return { value: JSON.parse(payload) as unknown, encoding: 'json' }
    } catch {
      // Something else wrote it; the text says what it is.
    }
  }
  return format === FORMAT_TEXT
    ? { value: payload, encoding: 'text' }
    : { value: payload, encoding: 'text', format }
}

/** Everything is checked before anything is changed. */
export function imported(data: unknown, family: string, operation: string): NativeRows {
  const root = object(data, 'data', operation)
  if (!('format' in root) || typeof (root as { format: unknown }).format === 'object') {
    return { boot: '', values: loose(root, family, operation), removals: [], changes: [], invalidations: [] }
  }
  if (root['format'] !== FORMAT) {
    throw wrong('data.format', root['format'], `'${FORMAT}'`, operation)
  }
  if (root['version'] !== VERSION) throw wrong('data.version', root['version'], String(VERSION), operation)
  const now = Date.now()
  const values = list(root['entries'], 'data.entries', operation).map((entry, at) =>
    row(object(entry, `data.entries[${at}]`, operation), `data.entries[${at}]`, now, operation),
  )
  const removals = list(root['removals'], 'data.removals', operation).map((removal, at) => {
    const path = `data.removals[${at}]`
    const fields = object(removal, path, operation)
    const { key } = fields
    if (key !== undefined) checkKey(key, `${path}.key`, operation)
    return {
      family: name(fields['family'], `${path}.family`, operation),
      key: (key as string | undefined) ?? null,
      stamp: stamp(fields['stamp'], `${path}.stamp`, operation),
    }
  })
  const boot = root['boot'] ?? ''
  if (typeof boot !== 'string') throw wrong('data.boot', boot, 'a text', operation)
  const changes = list(root['changes'] ?? [], 'data.changes', operation).map((given, at) =>
    change(object(given, `data.changes[${at}]`, operation), `data.changes[${at}]`, operation),
  )
  const invalidations = list(root['invalidations'] ?? [], 'data.invalidations', operation).map((given, at) => {
    const path = `data.invalidations[${at}]`
    if (typeof given !== 'string' || !HEX.test(given)) throw wrong(path, given, 'hex digits', operation)
    return given
  })
  return { boot, values: values.filter((one) => one !== null), removals, changes, invalidations }
}

function change(fields: Record<string, unknown>, path: string, operation: string): FallbackDataChange {
  const { key, hex, record } = fields
  if (typeof hex !== 'boolean') throw wrong(`${path}.hex`, hex, 'true or false', operation)
  if (typeof key !== 'string' || (hex && !HEX.test(key))) throw wrong(`${path}.key`, key, 'a key', operation)
  if (typeof record !== 'string' || !HEX.test(record)) throw wrong(`${path}.record`, record, 'hex digits', operation)
  return { key, hex, record }
}

function loose(root: Record<string, unknown>, family: string, operation: string): NativeRow[] {
  const now = Date.now()
  return Object.entries(root).flatMap(([key, given]) => {
    const path = `data[${JSON.stringify(key)}]`
    const fields = object(given, path, operation)
    checkKey(key, path, operation)
    if (fields['value'] === undefined) throw wrong(`${path}.value`, undefined, 'what JSON can hold', operation)
    const lifetime = ttl(fields['expiry'], `${path}.expiry`, now, operation)
    if (lifetime === 0) return []
    const { value } = fields
    const isText = typeof value === 'string'
    return [
      {
        family,
        key,
        payload: isText ? value : toJson(value, `${path}.value`, operation),
        hex: false,
        format: isText ? FORMAT_TEXT : FORMAT_JSON,
        ttl_ms: lifetime,
        fresh_ms: null,
        load_ms: 0,
        tags: [],
        stamp: null,
        pending: true,
      },
    ]
  })
}

/** Null for a copy whose time is over; a pending write that expired still removes what is older. */
function row(fields: Record<string, unknown>, path: string, now: number, operation: string): NativeRow | null {
  const { key, value, encoding, format, pending } = fields
  checkKey(key, `${path}.key`, operation)
  if (encoding !== 'json' && encoding !== 'text' && encoding !== 'hex') {
    throw wrong(`${path}.encoding`, encoding, "'json', 'text' or 'hex'", operation)
  }
  if (encoding !== 'json' && typeof value !== 'string') throw wrong(`${path}.value`, value, 'a text', operation)
  if (encoding === 'hex' && !HEX.test(value as string)) {
    throw wrong(`${path}.value`, value, 'hex digits', operation)
  }
  if (format !== undefined && !(Number.isInteger(format) && (format as number) >= 0 && (format as number) < 256)) {
    throw wrong(`${path}.format`, format, 'a whole number below 256', operation)
  }
  if (typeof pending !== 'boolean') throw wrong(`${path}.pending`, pending, 'true or false', operation)
  const lifetime = ttl(fields['expiry'], `${path}.expiry`, now, operation)
  if (lifetime === 0 && !pending) return null
  return {
    family: name(fields['family'], `${path}.family`, operation),
    key: key as string,
    payload: encoding === 'json' ? toJson(value, `${path}.value`, operation) : (value as string),
    hex: encoding === 'hex',
    format: (format as number | undefined) ?? (encoding === 'text' ? FORMAT_TEXT : FORMAT_JSON),
    ttl_ms: lifetime,
    fresh_ms: ttl(fields['freshUntil'], `${path}.freshUntil`, now, operation),
    load_ms: loadMs(fields['loadMs'], `${path}.loadMs`, operation),
    tags: list(fields['tags'] ?? [], `${path}.tags`, operation).map((tag, at) =>
      name(tag, `${path}.tags[${at}]`, operation),
    ),
    stamp: stamp(fields['stamp'], `${path}.stamp`, operation),
    pending,
  }
}

/** ms that are left; null = for ever; 0 = it is over. */
function ttl(expiry: unknown, path: string, now: number, operation: string): number | null {
  if (expiry === undefined || expiry === null) return null
  if (typeof expiry !== 'number' || !Number.isFinite(expiry)) throw wrong(path, expiry, 'ms since 1970', operation)
  return Math.max(0, Math.ceil(expiry - now))
}

function loadMs(given: unknown, path: string, operation: string): number {
  if (given === undefined) return 0
  if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given < 2 ** 32) return given
  throw wrong(path, given, 'whole ms', operation)
}

function stamp(given: unknown, path: string, operation: string): readonly [number, number] | null {
  if (given === undefined || given === null) return null
  const whole = (number: unknown): boolean => Number.isSafeInteger(number) && (number as number) >= 0
  if (!Array.isArray(given) || given.length !== 2 || !given.every(whole)) {
    throw wrong(path, given, 'two whole numbers', operation)
  }
  return given as unknown as readonly [number, number]
}

function name(given: unknown, path: string, operation: string): string {
  if (typeof given !== 'string' || given === '') throw wrong(path, given, 'a name', operation)
  return given
}

function list(given: unknown, path: string, operation: string): unknown[] {
  if (!Array.isArray(given)) throw wrong(path, given, 'an array', operation)
  return given
}

function object(given: unknown, path: string, operation: string): Record<string, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw wrong(path, given, 'an object', operation)
  return given as Record<string, unknown>
}

function wrong(path: string, given: unknown, allowed: string, operation: string): HoldfastError {
  return invalid(path, `${path} is ${describe(given)}; allowed: ${allowed}`, operation)
}
