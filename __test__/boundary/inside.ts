// A look at the boundary from inside: what crossed, what is in flight, and switches that only tests have.
// The public types hide all this; the built package has it, and these tests are about the built package.

import { createRequire } from 'node:module'

import type { Instance } from '../cache/stores'
import { waitFor } from '../support/wait-for'

export interface Counters {
  /** Batches handed over. */
  submits: number
  /** Times the native side woke this environment. */
  wakes: number
  /** Operations handed over. */
  operations: number
  /** Operations whose answers have not been taken yet. */
  pending: number
}

interface Hidden {
  connection: { inspect(what: string, argument: string, operation: string): unknown }
}

/** A question to the native side. What was called on this instance before is handed over first. */
export function ask<Answer>(instance: Instance, what: string): Answer {
  return (instance as unknown as Hidden).connection.inspect(what, '', 'test') as Answer
}

/**
 * What crossed in this whole environment. Asked through an instance other than the one that is watched,
 * the question itself hands nothing over.
 */
export function counters(instance: Instance): Counters {
  return ask<Counters>(instance, 'counters')
}

/** How the counts moved. */
export function since(before: Counters, instance: Instance): Counters {
  const now = counters(instance)
  return {
    submits: now.submits - before.submits,
    wakes: now.wakes - before.wakes,
    operations: now.operations - before.operations,
    pending: now.pending,
  }
}

interface HiddenBridge {
  slots: unknown[]
  unused: unknown[]
  hotRoom: { bytes: number }
}

function bridge(): HiddenBridge {
  const addon = createRequire(import.meta.url)('../../native.js') as object
  const bridges = (globalThis as unknown as Record<symbol, WeakMap<object, HiddenBridge>>)[Symbol.for('holdfast.bridge')]
  const own = bridges?.get(addon)
  if (own === undefined) throw new Error('nothing was called in this environment yet')
  return own
}

/** How many slots of this environment are taken: calls in flight and aborted ones whose reply is owed. */
export function slotsTaken(): number {
  const { slots, unused } = bridge()
  return slots.length - unused.length
}

/** What the texts at hand of this environment take. */
export function hotBytes(): number {
  return bridge().hotRoom.bytes
}

/** Waits until the instance has the text of this key at hand, so that reading it crosses nothing. */
export async function untilHot({ cacheManager }: Instance, key: string): Promise<void> {
  const hits = (): number => cacheManager.getStats().layers.hot
  await waitFor(`the text of ${key} at hand`, async () => {
    const before = hits()
    await cacheManager.get(key)
    return hits() > before
  })
}

export const range = (length: number): number[] => Array.from({ length }, (_, index) => index)

/** The event loop goes round once, and with it nextTick and promises. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
