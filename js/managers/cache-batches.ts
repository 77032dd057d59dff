// Reads and writes of many keys at once: one trip for all, and what fails for one key fails for it alone.

import { answered } from '../abort.js'
import { checkOptions, merged, type CacheOptions } from '../cache-options.js'
import { getEntryFor } from '../entries.js'
import { HoldfastError, describe, fromRecord, invalid } from '../errors.js'
import { hear } from '../events.js'
import { DECODE_VALUE } from '../inbox.js'
import { checkKey } from '../keys.js'
import { frozen } from '../shared.js'
import { Failed } from '../slots.js'
import type { CacheManager } from './cache.js'

/** Options of calls about many keys. */
export interface BatchOptions {
  /**
   * Hears of each key that failed; its answer is then what a miss or a write that was not kept answers. Without it the
   * call rejects with the first error, once all keys are through; `failures` has the others.
   */
  onError?: ((key: string, error: Error) => void) | undefined
}

/** One value of `setMany`. Its own options outrank those of the call. */
export interface CacheItem<T = unknown> {
  key: string
  value: T
  options?: CacheOptions | undefined
}

/** @internal */
export function checkKeys(keys: unknown, operation: string): asserts keys is readonly string[] {
  if (!Array.isArray(keys)) throw invalid('keys', `keys is ${describe(keys)}; allowed: an array of keys`, operation)
  // Not by forEach, which passes over holes.
  for (let index = 0; index < keys.length; index++) checkKey(keys[index], `keys[${index}]`, operation)
}

/** Gathers what became of each key. */
class Outcomes<Answer> {
  readonly answers: Answer[]
  private readonly failed: { readonly key: string; readonly error: Error }[] = []

  constructor(
    private readonly keys: readonly string[],
    private readonly onError: BatchOptions['onError'],
  ) {
    this.answers = new Array<Answer>(keys.length)
  }

  fail(index: number, error: Error, answer: Answer): void {
    this.answers[index] = answer
    this.failed.push({ key: this.keys[index] as string, error })
  }

  /** Once all keys are through: only then may users' code run. */
  end(operation: string): Answer[] {
    const { failed, onError } = this
    if (onError !== undefined) {
      for (const { key, error } of failed) hear(`onError of ${operation}`, () => onError(key, error))
      return this.answers
    }
    const failures = new Map(failed.map(({ key, error }) => [key, error]))
    const [first] = failures.values()
    if (first === undefined) return this.answers
    // A loader's own error stays what it is.
    if (!HoldfastError.isInstance(first)) throw first
    const { code, message, retryable, applied, path } = first
    const more = failures.size - 1
    throw new HoldfastError({
      code,
      message: more === 0 ? message : `${message} (and ${more} more of ${this.keys.length} keys failed)`,
      retryable,
      applied,
      operation,
      path,
      failures,
      cause: first,
    })
  }
}

/** @internal */
export async function getMany<T>(
  cache: CacheManager,
  keys: readonly string[],
  options: (CacheOptions & BatchOptions) | undefined,
): Promise<(T | null)[]> {
  const operation = 'cacheManager.getMany'
  checkKeys(keys, operation)
  const batch = cache.reach(operation)
  const all = cache.options(options)
  const family = cache.family(all, operation)
  const table = cache.hot(family, all)
  const reader = cache.reader(DECODE_VALUE, table, all, operation)
  const { flags } = cache.place(family, '', all, operation)
  const outcomes = new Outcomes<T | null>(keys, onErrorOf(all, operation))
  const { answers } = outcomes
  let left = 1
  let finish = (): void => {}
  const done = new Promise<void>((resolve) => (finish = resolve))
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string
    const hot = table?.read(key)
    if (hot !== undefined && batch.mayAnswer(hot.text.length)) {
      answers[index] = cache.served(hot, all) as T
      continue
    }
    left++
    getEntryFor(batch, reader, { family, key, flags }, operation, (answer) => {
      if (answer instanceof Failed) outcomes.fail(index, fromRecord(answer.record, operation), null)
      else answers[index] = answer as T | null
      if (--left === 0) finish()
    })
  }
  if (--left > 0) await answered(done, all, operation)
  if (all?.shared === true) answers.forEach(frozen)
  return outcomes.end(operation)
}

/** @internal Runs one call for each key, all in one trip. */
export async function forEach<Answer>(
  keys: readonly string[],
  options: BatchOptions | undefined,
  otherwise: Answer,
  operation: string,
  call: (index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const outcomes = new Outcomes<Answer>(keys, onErrorOf(options, operation))
  const settled = await Promise.allSettled(keys.map((_, index) => call(index)))
  settled.forEach((result, index) => {
    if (result.status === 'fulfilled') outcomes.answers[index] = result.value
    else outcomes.fail(index, result.reason as Error, otherwise)
  })
  return outcomes.end(operation)
}

/** @internal */
export async function setMany(
  cache: CacheManager,
  items: readonly CacheItem[],
  options: (CacheOptions & BatchOptions) | undefined,
): Promise<boolean[]> {
  const operation = 'cacheManager.setMany'
  if (!Array.isArray(items)) {
    throw invalid('items', `items is ${describe(items)}; allowed: an array of { key, value }`, operation)
  }
  checkOptions(options, operation)
  for (let index = 0; index < items.length; index++) {
    const item: unknown = items[index]
    const path = `items[${index}]`
    if (typeof item !== 'object' || item === null) {
      throw invalid(path, `${path} is ${describe(item)}; allowed: an object { key, value }`, operation)
    }
    checkKey((item as CacheItem).key, `${path}.key`, operation)
    checkOptions((item as CacheItem).options, operation, `${path}.options`)
  }
  const keys = items.map(({ key }) => key)
  return await forEach(keys, options, false, operation, (index) => {
    const item = items[index] as CacheItem
    return cache.set(item.key, item.value, merged(options, item.options))
  })
}

function onErrorOf(options: BatchOptions | undefined, operation: string): BatchOptions['onError'] {
  const onError = options?.onError
  if (onError === undefined || typeof onError === 'function') return onError
  throw invalid('options.onError', `options.onError is ${describe(onError)}; allowed: a function`, operation)
}
