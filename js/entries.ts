// The operations on managed values, as the managers use them: written into the batch, answered by a
// promise. While nobody can serve, a read is a miss and a write is not kept; neither is an error.

import type { Batch } from './batch.js'
import type { Connection } from './connection.js'
import {
  encodeEntryClear,
  encodeEntryDelete,
  encodeEntryExists,
  encodeEntryFill,
  encodeEntryGet,
  encodeEntryLoad,
  encodeEntrySet,
} from './generated/operations.js'
import { DECODE_LENIENT, DECODE_LOAD, DECODE_RAW, Hit } from './inbox.js'
import { SOFT_FALSE, SOFT_NULL, SOFT_ZERO } from './slots.js'

/** Where a value stands. */
export interface Place {
  readonly family: string
  readonly key: string
  readonly flags: number
}

/** A value as it crosses. */
export interface Written {
  readonly text: string
  readonly format: number
}

/** Reads; `decoder` decides the shape. */
export function getEntry(
  batch: Batch,
  decoder: number,
  family: string,
  key: string,
  flags: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(decoder, SOFT_NULL, operation, key.length)
  encodeEntryGet(batch.outbox, slot.id, family, key, flags)
  return batch.commitRead(slot)
}

/** Writes. True when Redis or memory has the value. */
export function setEntry(
  batch: Batch,
  family: string,
  key: string,
  text: string,
  format: number,
  ttlMs: number,
  flags: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, SOFT_FALSE, operation, key.length + text.length)
  encodeEntrySet(batch.outbox, slot.id, family, key, text, format, ttlMs, flags)
  return batch.commit(slot)
}

/** Removes. True when there was something. */
export function deleteEntry(
  batch: Batch,
  family: string,
  key: string,
  flags: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, SOFT_FALSE, operation, key.length)
  encodeEntryDelete(batch.outbox, slot.id, family, key, flags)
  return batch.commit(slot)
}

/** Tells whether there is something. */
export function hasEntry(
  batch: Batch,
  family: string,
  key: string,
  flags: number,
  operation: string,
): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, SOFT_FALSE, operation, key.length)
  encodeEntryExists(batch.outbox, slot.id, family, key, flags)
  return batch.commitRead(slot)
}

/** Removes everything of a family. Answers how much. */
export function clearFamily(batch: Batch, family: string, flags: number, operation: string): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, SOFT_ZERO, operation, family.length)
  encodeEntryClear(batch.outbox, slot.id, family, flags)
  return batch.commit(slot)
}

/**
 * The value, or what the factory makes of its absence. One factory call for all callers of this process
 * who ask meanwhile. What it returns is kept only if nobody deleted the key or loaded it since the miss;
 * undefined is never kept. What it throws reaches every caller as it is.
 */
export function loadEntry<Value>(
  connection: Connection,
  place: Place,
  ttlMs: number,
  factory: () => Value | Promise<Value>,
  write: (value: unknown) => Written,
  lenient: boolean,
  operation: string,
): Promise<Value> {
  const decoder = lenient ? DECODE_LOAD + DECODE_LENIENT : DECODE_LOAD
  return connection.flights.run(flightKey(place.family, place.key), place.flags, async () => {
    const { family, key, flags } = place
    const answer = await load(connection.batch(operation), decoder, place, operation)
    if (answer instanceof Hit) return answer.value as Value
    const value = await factory()
    // Without a token nobody could serve the miss, and nobody would keep the value either.
    if (value === undefined || typeof answer !== 'string') return value
    const { text, format } = write(value)
    await fill(connection, { family, key, flags }, answer, text, format, ttlMs, operation)
    return value
  })
}

/** Under which name the loads of a key run. */
export function flightKey(family: string, key: string): string {
  return `${family}:${key}`
}

function load(batch: Batch, decoder: number, { family, key, flags }: Place, operation: string): Promise<unknown> {
  const slot = batch.begin(decoder, SOFT_NULL, operation, key.length)
  encodeEntryLoad(batch.outbox, slot.id, family, key, flags)
  return batch.commitRead(slot)
}

async function fill(
  connection: Connection,
  { family, key, flags }: Place,
  token: string,
  text: string,
  format: number,
  ttlMs: number,
  operation: string,
): Promise<void> {
  try {
    const batch = connection.batch(operation)
    const slot = batch.begin(DECODE_RAW, SOFT_FALSE, operation, key.length + text.length)
    encodeEntryFill(batch.outbox, slot.id, family, key, token, text, format, ttlMs, flags)
    await batch.commit(slot)
  } catch {
    // The caller has his value. That it was not kept (too large, closed meanwhile) shows in the statistics.
  }
}
