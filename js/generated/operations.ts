// Written by scripts/generate-operations.mjs from src/node/operations.json. Not to be edited.
//
// The operations that cross to the native module: opcodes, constants and one encoder for each.

import type { Outbox } from '../outbox.js'

/** One argument of a raw command, ready to cross: text, or bytes. */
export type RawArgument = string | Uint8Array

export const OPCODE_ENTRY_GET = 0
export const OPCODE_ENTRY_SET = 1
export const OPCODE_ENTRY_DELETE = 2
export const OPCODE_ENTRY_EXISTS = 3
export const OPCODE_ENTRY_LOAD = 4
export const OPCODE_ENTRY_FILL = 5
export const OPCODE_ENTRY_CLEAR = 6
export const OPCODE_COMMAND = 7
export const OPCODE_PIPELINE = 8
export const OPCODE_VERDICT = 9
export const OPCODE_RECONNECT = 10
export const OPCODE_RESYNC = 11

// bits of a `flags` field
export const FLAG_NO_MEMORY = 1
export const FLAG_HASH_KEY = 2
export const FLAG_NO_COMPRESS = 4
export const FLAG_SKIP_L1 = 8
export const FLAG_UNCOUNTED = 16

// how a value is written
export const FORMAT_JSON = 0
export const FORMAT_TEXT = 1

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

// who answered
export const SOURCE_REDIS = 0
export const SOURCE_MEMORY = 1

/** Each operation with its fields in order, as the native side reads them. */
export const OPERATIONS: readonly (readonly [name: string, fields: readonly string[]])[] = [
  ['entryGet', ['text', 'text', 'number']],
  ['entrySet', ['text', 'text', 'text', 'number', 'number', 'number']],
  ['entryDelete', ['text', 'text', 'number']],
  ['entryExists', ['text', 'text', 'number']],
  ['entryLoad', ['text', 'text', 'number']],
  ['entryFill', ['text', 'text', 'text', 'text', 'number', 'number', 'number']],
  ['entryClear', ['text', 'number']],
  ['command', ['args', 'number']],
  ['pipeline', ['argsList', 'number']],
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
export function encodeEntrySet(to: Outbox, id: number, family: string, key: string, value: string, format: number, ttlMs: number, flags: number): void {
  const at = to.reserve(8)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_SET
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = value.length
  meta[at + 5] = format
  meta[at + 6] = ttlMs
  meta[at + 7] = flags
  to.used = at + 8
  to.text += family + key + value
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
export function encodeEntryLoad(to: Outbox, id: number, family: string, key: string, flags: number): void {
  const at = to.reserve(5)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_LOAD
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = flags
  to.used = at + 5
  to.text += family + key
}

/** writes a loaded value if its lease still stands. */
export function encodeEntryFill(to: Outbox, id: number, family: string, key: string, token: string, value: string, format: number, ttlMs: number, flags: number): void {
  const at = to.reserve(9)
  const meta = to.meta
  meta[at] = OPCODE_ENTRY_FILL
  meta[at + 1] = id
  meta[at + 2] = family.length
  meta[at + 3] = key.length
  meta[at + 4] = token.length
  meta[at + 5] = value.length
  meta[at + 6] = format
  meta[at + 7] = ttlMs
  meta[at + 8] = flags
  to.used = at + 9
  to.text += family + key + token + value
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
