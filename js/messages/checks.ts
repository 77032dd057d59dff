// Arguments as they are given: texts, counts, policies, places and signals.

import { describe, invalid } from '../errors.js'
import type { Abortable } from './abort.js'
import { placeOf } from './message.js'
import type { OverflowPolicy } from './queue.js'

/** Channels, rooms, users and statuses. */
export function checkText(value: unknown, path: string, operation: string): asserts value is string {
  if (typeof value === 'string' && value !== '' && value.length <= 1024 && value.isWellFormed()) return
  const problem = typeof value === 'string' ? (value === '' ? 'empty' : 'too long, or no well-formed text') : describe(value)
  throw invalid(path, `${path} is ${problem}; allowed: a text of 1 to 1024 characters`, operation)
}

export function checkCount(value: unknown, preset: number, path: string, operation: string, least = 0): number {
  if (value === undefined) return preset
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number
  throw invalid(path, `${path} is ${describe(value)}; allowed: a whole number, ${least} or above`, operation)
}

const POLICIES: readonly unknown[] = ['drop-oldest', 'drop-newest', 'disconnect']

export function checkPolicy(value: unknown, preset: OverflowPolicy, operation: string): OverflowPolicy {
  if (value === undefined) return preset
  if (POLICIES.includes(value)) return value as OverflowPolicy
  throw invalid('options.onOverflow', `options.onOverflow is ${describe(value)}; allowed: 'drop-oldest', 'drop-newest' or 'disconnect'`, operation)
}

/** Where a persistent subscription begins. */
export function checkFrom(value: unknown, persistent: boolean, operation: string): asserts value is string | undefined {
  if (value === undefined || (persistent && typeof value === 'string' && placeOf(value) !== null)) return
  throw invalid('options.from', `options.from is ${describe(value)}; allowed: an eventId, with persistent`, operation)
}

export function checkFunction(value: unknown, path: string, operation: string): void {
  if (value !== undefined && typeof value !== 'function')
    throw invalid(path, `${path} is ${describe(value)}; allowed: a function`, operation)
}

export function checkSignal(value: unknown, path: string, operation: string): asserts value is Abortable {
  const given = value as Partial<AbortSignal & { signal: AbortSignal }> | null | undefined
  if (typeof given?.addEventListener === 'function' || typeof given?.signal?.addEventListener === 'function') return
  throw invalid(path, `${path} is ${describe(value)}; allowed: an AbortSignal, or a request that has one`, operation)
}
