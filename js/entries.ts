// The operations on managed values, as the managers use them: written into the batch, answered by a
// promise. While nobody can serve, a read is a miss and a write is not kept; neither is an error, unless the
// call asked for Redis itself.

import type { Batch } from './batch.js'
import { NO_EXPIRY } from './durations.js'
import {
  FLAG_OWNER,
  FLAG_REQUIRE_REDIS,
  encodeEntryClear,
  encodeEntryClearPattern,
  encodeEntryDelete,
  encodeEntryExists,
  encodeEntryExpire,
  encodeEntryFill,
  encodeEntryGet,
  encodeEntryHold,
  encodeEntryLoad,
  encodeEntrySet,
  encodeTagInvalidate,
  type RawArgument,
} from './generated/operations.js'
import { DECODE_RAW } from './inbox.js'
import type { Serializer } from './serializers.js'
import { SOFT_FALSE, SOFT_NEVER, SOFT_NULL, SOFT_ZERO, type KeepFor, type Slot } from './slots.js'

/** Where a value stands. */
export interface Place {
  readonly family: string
  readonly key: string
  readonly flags: number
}

/** The number of the namespace that it is counted for; 0: none. */
export function ownerOf({ flags }: Place): number {
  return Math.floor(flags / FLAG_OWNER)
}

/** A value as it crosses. */
export interface Written {
  readonly data: RawArgument
  readonly format: number
}

/** How long a value lives and is fresh, ms, and its tags. */
export interface Terms {
  /** -1: for good. */
  readonly ttlMs: number
  /** -1: as long as it lives. */
  readonly freshMs: number
  readonly tags: readonly string[]
}

/** What answers are read by, and who may keep their text. */
export interface Reader {
  readonly decoder: number
  readonly serializer?: Serializer | undefined
  readonly keeper?: KeepFor | null | undefined
}

export const NO_TAGS: readonly string[] = []

/** No tags, and fresh as long as it lives. */
export function plainTerms(ttlMs: number): Terms {
  return { ttlMs, freshMs: NO_EXPIRY, tags: NO_TAGS }
}

function soft(answer: number, flags: number): number {
  return (flags & FLAG_REQUIRE_REDIS) === 0 ? answer : SOFT_NEVER
}

function read(batch: Batch, reader: Reader, { key, flags }: Place, operation: string): Slot {
  const slot = batch.begin(reader.decoder, soft(SOFT_NULL, flags), operation, key.length)
  slot.serializer = reader.serializer
  slot.keeper = reader.keeper ?? null
  slot.key = key
  return slot
}

/** Reads; the reader decides the shape. */
export function getEntry(batch: Batch, reader: Reader, place: Place, operation: string): Promise<unknown> {
  const slot = read(batch, reader, place, operation)
  encodeEntryGet(batch.outbox, slot.id, place.family, place.key, place.flags)
  return batch.commitRead(slot)
}

/** The same for one of many; `take` gets the answer or a `Failed`. */
export function getEntryFor(
  batch: Batch,
  reader: Reader,
  place: Place,
  operation: string,
  take: (answer: unknown) => void,
): void {
  const slot = read(batch, reader, place, operation)
  encodeEntryGet(batch.outbox, slot.id, place.family, place.key, place.flags)
  batch.commitFor(slot, take)
}

/** Writes. True when Redis or memory has the value. */
export function setEntry(
  batch: Batch,
  { family, key, flags }: Place,
  { data, format }: Written,
  { ttlMs, freshMs, tags }: Terms,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft(SOFT_FALSE, flags), operation, key.length + data.length)
  encodeEntrySet(batch.outbox, slot.id, family, key, format, ttlMs, freshMs, flags, data, tags)
  return batch.commit(slot)
}

/** Removes. True when there was something. */
export function deleteEntry(batch: Batch, { family, key, flags }: Place, operation: string): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft(SOFT_FALSE, flags), operation, key.length)
  encodeEntryDelete(batch.outbox, slot.id, family, key, flags)
  return batch.commit(slot)
}

/** Makes stale. True when there was something. */
export function expireEntry(batch: Batch, { family, key, flags }: Place, operation: string): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft(SOFT_FALSE, flags), operation, key.length)
  encodeEntryExpire(batch.outbox, slot.id, family, key, flags)
  return batch.commit(slot)
}

/** Tells whether there is something fresh. */
export function hasEntry(batch: Batch, { family, key, flags }: Place, operation: string): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft(SOFT_FALSE, flags), operation, key.length)
  encodeEntryExists(batch.outbox, slot.id, family, key, flags)
  return batch.commitRead(slot)
}

/** Removes everything of a family, or what matches in it. Answers how much. */
export function clearFamily(
  batch: Batch,
  family: string,
  pattern: string | null,
  flags: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft(SOFT_ZERO, flags), operation, family.length)
  if (pattern === null) encodeEntryClear(batch.outbox, slot.id, family, flags)
  else encodeEntryClearPattern(batch.outbox, slot.id, family, pattern, flags)
  return batch.commit(slot)
}

/** Removes what has a tag, or makes it stale. */
export function invalidateTag(
  batch: Batch,
  tag: string,
  expire: boolean,
  flags: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft(SOFT_FALSE, flags), operation, tag.length)
  encodeTagInvalidate(batch.outbox, slot.id, tag, expire ? 1 : 0, flags)
  return batch.commit(slot)
}

/** Reads what is fresh, or asks for the right to load it. */
export function loadEntry(
  batch: Batch,
  reader: Reader,
  place: Place,
  leaseMs: number,
  { ttlMs, tags }: Terms,
  operation: string,
): Promise<unknown> {
  const slot = read(batch, reader, place, operation)
  const lastsMs = ttlMs < 0 ? 0 : ttlMs
  encodeEntryLoad(batch.outbox, slot.id, place.family, place.key, leaseMs, lastsMs, place.flags, tags)
  return batch.commitRead(slot)
}

/** Writes what was loaded. True when it was kept. */
export function fillEntry(
  batch: Batch,
  { family, key, flags }: Place,
  token: string,
  { data, format }: Written,
  { ttlMs, freshMs, tags }: Terms,
  loadMs: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, SOFT_FALSE, operation, key.length + data.length)
  encodeEntryFill(batch.outbox, slot.id, family, key, token, format, ttlMs, freshMs, loadMs, flags, data, tags)
  return batch.commit(slot)
}

/** Keeps the right to load for longer; 0 gives it back. True when it stood. */
export function holdLease(
  batch: Batch,
  { family, key, flags }: Place,
  token: string,
  leaseMs: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, SOFT_FALSE, operation, key.length)
  encodeEntryHold(batch.outbox, slot.id, family, key, token, leaseMs, flags)
  return batch.commit(slot)
}

/** Under which name the loads of a key run. */
export function flightKey(family: string, key: string): string {
  return `${family}:${key}`
}
