// Written by scripts/generate-operations.mjs from src/node/operations.json. Not to be edited.
//
// The operations that cross to the native module: opcodes, constants and one encoder for each.

import type { Outbox } from '../outbox.js'

/** One argument of a raw command, ready to cross: text, or bytes. */
export type RawArgument = string | Uint8Array

export const OPCODE_ENTRY_GET = 0
export const OPCODE_ENTRY_SET = 1
export const OPCODE_ENTRY_DELETE = 2
export const OPCODE_ENTRY_EXPIRE = 3
export const OPCODE_ENTRY_EXISTS = 4
export const OPCODE_ENTRY_LOAD = 5
export const OPCODE_ENTRY_FILL = 6
export const OPCODE_ENTRY_HOLD = 7
export const OPCODE_ENTRY_CLEAR = 8
export const OPCODE_ENTRY_CLEAR_PATTERN = 9
export const OPCODE_TAG_INVALIDATE = 10
export const OPCODE_COMMAND = 11
export const OPCODE_PIPELINE = 12
export const OPCODE_RATE = 13
export const OPCODE_SESSION = 14
export const OPCODE_SESSIONS = 15
export const OPCODE_LISTEN = 16
export const OPCODE_PUBLISH = 17
export const OPCODE_STREAM = 18
export const OPCODE_PRESENCE = 19
export const OPCODE_VERDICT = 20
export const OPCODE_RECONNECT = 21
export const OPCODE_RESYNC = 22

// bits of a `flags` field
export const FLAG_NO_MEMORY = 1
export const FLAG_HASH_KEY = 2
export const FLAG_NO_COMPRESS = 4
export const FLAG_SKIP_L1 = 8
export const FLAG_UNCOUNTED = 16
export const FLAG_STALE = 32
export const FLAG_REQUIRE_REDIS = 64
export const FLAG_L1_ONLY = 128
export const FLAG_FORCE = 256
export const FLAG_SHARE = 512
export const FLAG_REFRESH = 1024
export const FLAG_OWNER = 65536

// how a value is written
export const FORMAT_JSON = 0
export const FORMAT_TEXT = 1
export const FORMAT_STRUCTURED = 2
export const FORMAT_FLOATS = 3
export const FORMAT_CUSTOM = 4

// what a value of a reply is
export const REPLY_NULL = 0
export const REPLY_TEXT = 1
export const REPLY_INTEGER = 2
export const REPLY_DOUBLE = 3
export const REPLY_BOOLEAN = 4
export const REPLY_ARRAY = 5
export const REPLY_MAP = 6
export const REPLY_EXTRA = 7
export const REPLY_ERROR = 8
export const REPLY_ENTRY = 9
export const REPLY_EVENT = 10
export const REPLY_LOADING = 11
export const REPLY_DECISION = 12
export const REPLY_SESSION = 13
export const REPLY_MESSAGE = 14
export const REPLY_MISSED = 15

// who answered
export const SOURCE_REDIS = 0
export const SOURCE_MEMORY = 1
export const SOURCE_NEAR = 2

// what is asked of a limiter
export const VERB_TAKE = 0
export const VERB_SETTLE = 1
export const VERB_RELEASE = 2
export const VERB_RENEW = 3
export const VERB_REFUND = 4
export const VERB_RESET = 5
export const VERB_PEEK = 6

// what is asked of sessions
export const DEED_READ = 0
export const DEED_CREATE = 1
export const DEED_CHANGE = 2
export const DEED_TOUCH = 3
export const DEED_END = 4
export const DEED_MOVE = 5
export const DEED_END_ALL = 6
export const DEED_LIST = 7
export const DEED_SWEEP = 8
export const DEED_COUNT = 9

// what sessions may do while no server answers; beside that, whether users may log in then, and whether only what became of one is asked
export const OUTAGE_LOCAL = 0
export const OUTAGE_READ_ONLY = 1
export const OUTAGE_FAIL = 2
export const OUTAGE_LOGINS = 4
export const OUTAGE_BRIEF = 8

// what is listened to
export const KIND_CHANNEL = 0
export const KIND_PATTERN = 1
export const KIND_SHARD = 2

// what became of a session
export const FATE_DONE = 0
export const FATE_ABSENT = 1
export const FATE_MOVED = 2
export const FATE_CONFLICT = 3

// what it came to
export const OUTCOME_DONE = 0
export const OUTCOME_REFUSED = 1
export const OUTCOME_KNOWN = 2
export const OUTCOME_UNAVAILABLE = 3

// who decided a limit
export const DECIDER_REDIS = 0
export const DECIDER_LOCAL = 1
export const DECIDER_DENY_CACHE = 2

/** Each operation with its fields in order, as the native side reads them. */
export const OPERATIONS: readonly (readonly [name: string, fields: readonly string[]])[] = [
  ['entryGet', ['text', 'text', 'number']],
  ['entrySet', ['text', 'text', 'number', 'number', 'number', 'number', 'value', 'args']],
  ['entryDelete', ['text', 'text', 'number']],
  ['entryExpire', ['text', 'text', 'number']],
  ['entryExists', ['text', 'text', 'number']],
  ['entryLoad', ['text', 'text', 'number', 'number', 'number', 'args']],
  ['entryFill', ['text', 'text', 'text', 'number', 'number', 'number', 'number', 'number', 'value', 'args']],
  ['entryHold', ['text', 'text', 'text', 'number', 'number']],
  ['entryClear', ['text', 'number']],
  ['entryClearPattern', ['text', 'text', 'number']],
  ['tagInvalidate', ['text', 'number', 'number']],
  ['command', ['args', 'number']],
  ['pipeline', ['argsList', 'number']],
  ['rate', ['number', 'number', 'text', 'text', 'number', 'number', 'args']],
  ['session', ['number', 'text', 'text', 'text', 'number', 'number', 'number', 'number', 'number', 'args']],
  ['sessions', ['number', 'text', 'text', 'text', 'number', 'number', 'number', 'number', 'number', 'args']],
  ['listen', ['number', 'number', 'number', 'text']],
  ['publish', ['number', 'number', 'number', 'number', 'number', 'number', 'text', 'value']],
  ['stream', ['number', 'text', 'text', 'number']],
  ['presence', ['text', 'text', 'text', 'number']],
  ['verdict', []],
  ['reconnect', []],
  ['resync', []],
]

/** reads a managed value. */
export function encodeEntryGet(to: Outbox, id: number, family: string, key: string, flags: number): void {
  const at = to.reserve(5)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_GET
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = flags
  to.used = at + 5
  to.text += family + key
}

/** writes a managed value. */
export function encodeEntrySet(to: Outbox, id: number, family: string, key: string, format: number, ttlMs: number, freshMs: number, flags: number, value: RawArgument, tags: readonly RawArgument[]): void {
  const at = to.reserve(10)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_SET
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = format
  meta[at + 5] = ttlMs
  meta[at + 6] = freshMs
  meta[at + 7] = flags
  to.used = at + 8
  to.text += family + key
  to.writeValue(value)
  to.writeArguments(tags)
}

/** removes a managed value and leaves a tombstone. */
export function encodeEntryDelete(to: Outbox, id: number, family: string, key: string, flags: number): void {
  const at = to.reserve(5)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_DELETE
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = flags
  to.used = at + 5
  to.text += family + key
}

/** makes a managed value stale. */
export function encodeEntryExpire(to: Outbox, id: number, family: string, key: string, flags: number): void {
  const at = to.reserve(5)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_EXPIRE
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = flags
  to.used = at + 5
  to.text += family + key
}

/** tells whether a managed value is there. */
export function encodeEntryExists(to: Outbox, id: number, family: string, key: string, flags: number): void {
  const at = to.reserve(5)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_EXISTS
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = flags
  to.used = at + 5
  to.text += family + key
}

/** reads a managed value, or takes the lease to load it. */
export function encodeEntryLoad(to: Outbox, id: number, family: string, key: string, leaseMs: number, lastsMs: number, flags: number, tags: readonly RawArgument[]): void {
  const at = to.reserve(8)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_LOAD
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = leaseMs
  meta[at + 5] = lastsMs
  meta[at + 6] = flags
  to.used = at + 7
  to.text += family + key
  to.writeArguments(tags)
}

/** writes a loaded value if its lease still stands. */
export function encodeEntryFill(to: Outbox, id: number, family: string, key: string, token: string, format: number, ttlMs: number, freshMs: number, loadMs: number, flags: number, value: RawArgument, tags: readonly RawArgument[]): void {
  const at = to.reserve(12)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_FILL
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = token.length
  meta[at + 5] = format
  meta[at + 6] = ttlMs
  meta[at + 7] = freshMs
  meta[at + 8] = loadMs
  meta[at + 9] = flags
  to.used = at + 10
  to.text += family + key + token
  to.writeValue(value)
  to.writeArguments(tags)
}

/** keeps a lease for longer, or gives it back. */
export function encodeEntryHold(to: Outbox, id: number, family: string, key: string, token: string, leaseMs: number, flags: number): void {
  const at = to.reserve(7)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_HOLD
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = token.length
  meta[at + 5] = leaseMs
  meta[at + 6] = flags
  to.used = at + 7
  to.text += family + key + token
}

/** removes every managed value of a family. */
export function encodeEntryClear(to: Outbox, id: number, family: string, flags: number): void {
  const at = to.reserve(4)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_CLEAR
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = flags
  to.used = at + 4
  to.text += family
}

/** removes the managed values of a family whose keys match. */
export function encodeEntryClearPattern(to: Outbox, id: number, family: string, pattern: string, flags: number): void {
  const at = to.reserve(5)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_CLEAR_PATTERN
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = pattern.length
  meta[at + 4] = flags
  to.used = at + 5
  to.text += family + pattern
}

/** removes what has a tag, or makes it stale. */
export function encodeTagInvalidate(to: Outbox, id: number, tag: string, expire: number, flags: number): void {
  const at = to.reserve(5)
  const meta = to.meta
  meta[at] = OPCODE_TAG_INVALIDATE
  meta[at + 1] = id
  meta[at + 2] = tag.length
  meta[at + 3] = expire
  meta[at + 4] = flags
  to.used = at + 5
  to.text += tag
}

/** one raw Redis command. */
export function encodeCommand(to: Outbox, id: number, args: readonly RawArgument[], flags: number): void {
  const at = to.reserve(4)
  const meta = to.meta
  meta[at] = OPCODE_COMMAND
  meta[at + 1] = id
  to.used = at + 2
  to.writeArguments(args)
  to.writeNumber(flags)
}

/** raw Redis commands in one go. */
export function encodePipeline(to: Outbox, id: number, commands: readonly (readonly RawArgument[])[], flags: number): void {
  const at = to.reserve(4)
  const meta = to.meta
  meta[at] = OPCODE_PIPELINE
  meta[at + 1] = id
  to.used = at + 2
  to.writeArgumentLists(commands)
  to.writeNumber(flags)
}

/** decides or changes what a key of a limiter is charged. */
export function encodeRate(to: Outbox, id: number, limiter: number, verb: number, key: string, holdId: string, holdMs: number, cost: number, costs: readonly RawArgument[]): void {
  const at = to.reserve(9)
  const meta = to.meta
  meta[at] = OPCODE_RATE
  meta[at + 1] = id
  meta[at + 2] = limiter
  meta[at + 3] = verb
  meta[at + 4] = key.length
  meta[at + 5] = holdId.length
  meta[at + 6] = holdMs
  meta[at + 7] = cost
  to.used = at + 8
  to.text += key + holdId
  to.writeArguments(costs)
}

/** asks something of a session. */
export function encodeSession(to: Outbox, id: number, deed: number, family: string, sessionId: string, other: string, ms: number, version: number, most: number, knownMs: number, outage: number, fields: readonly RawArgument[]): void {
  const at = to.reserve(12)
  const meta = to.meta
  meta[at] = OPCODE_SESSION
  meta[at + 1] = id
  meta[at + 2] = deed
  meta[at + 3] = family.length
  meta[at + 4] = sessionId.length
  meta[at + 5] = other.length
  meta[at + 6] = ms
  meta[at + 7] = version
  meta[at + 8] = most
  meta[at + 9] = knownMs
  meta[at + 10] = outage
  to.used = at + 11
  to.text += family + sessionId + other
  to.writeArguments(fields)
}

/** asks something of a user's sessions, or of all. */
export function encodeSessions(to: Outbox, id: number, deed: number, family: string, user: string, keep: string, list: number, from: number, count: number, ms: number, outage: number, handles: readonly RawArgument[]): void {
  const at = to.reserve(12)
  const meta = to.meta
  meta[at] = OPCODE_SESSIONS
  meta[at + 1] = id
  meta[at + 2] = deed
  meta[at + 3] = family.length
  meta[at + 4] = user.length
  meta[at + 5] = keep.length
  meta[at + 6] = list
  meta[at + 7] = from
  meta[at + 8] = count
  meta[at + 9] = ms
  meta[at + 10] = outage
  to.used = at + 11
  to.text += family + user + keep
  to.writeArguments(handles)
}

/** listens to a channel or a pattern. */
export function encodeListen(to: Outbox, id: number, kind: number, whole: number, subscription: number, channel: string): void {
  const at = to.reserve(6)
  const meta = to.meta
  meta[at] = OPCODE_LISTEN
  meta[at + 1] = id
  meta[at + 2] = kind
  meta[at + 3] = whole
  meta[at + 4] = subscription
  meta[at + 5] = channel.length
  to.used = at + 6
  to.text += channel
}

/** publishes a message. */
export function encodePublish(to: Outbox, id: number, whole: number, sharded: number, lastsMs: number, most: number, ofOne: number, ofAll: number, channel: string, rest: RawArgument): void {
  const at = to.reserve(10)
  const meta = to.meta
  meta[at] = OPCODE_PUBLISH
  meta[at + 1] = id
  meta[at + 2] = whole
  meta[at + 3] = sharded
  meta[at + 4] = lastsMs
  meta[at + 5] = most
  meta[at + 6] = ofOne
  meta[at + 7] = ofAll
  meta[at + 8] = channel.length
  to.used = at + 9
  to.text += channel
  to.writeValue(rest)
}

/** reads what a channel keeps. */
export function encodeStream(to: Outbox, id: number, whole: number, channel: string, after: string, count: number): void {
  const at = to.reserve(6)
  const meta = to.meta
  meta[at] = OPCODE_STREAM
  meta[at + 1] = id
  meta[at + 2] = whole
  meta[at + 3] = channel.length
  meta[at + 4] = after.length
  meta[at + 5] = count
  to.used = at + 6
  to.text += channel + after
}

/** notes who is present in a room, or tells who is. */
export function encodePresence(to: Outbox, id: number, room: string, user: string, status: string, ms: number): void {
  const at = to.reserve(6)
  const meta = to.meta
  meta[at] = OPCODE_PRESENCE
  meta[at + 1] = id
  meta[at + 2] = room.length
  meta[at + 3] = user.length
  meta[at + 4] = status.length
  meta[at + 5] = ms
  to.used = at + 6
  to.text += room + user + status
}

/** waits until it is known whether Redis answers. */
export function encodeVerdict(to: Outbox, id: number): void {
  const at = to.reserve(2)
  const meta = to.meta
  meta[at] = OPCODE_VERDICT
  meta[at + 1] = id
  to.used = at + 2
}

/** drops the connections and dials anew. */
export function encodeReconnect(to: Outbox, id: number): void {
  const at = to.reserve(2)
  const meta = to.meta
  meta[at] = OPCODE_RECONNECT
  meta[at + 1] = id
  to.used = at + 2
}

/** replays the journal now. */
export function encodeResync(to: Outbox, id: number): void {
  const at = to.reserve(2)
  const meta = to.meta
  meta[at] = OPCODE_RESYNC
  meta[at + 1] = id
  to.used = at + 2
}
