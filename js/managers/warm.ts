// Filling the cache ahead of time, from a list or from whatever comes one by one.

import { abortable, answered, checkIsSignal } from '../abort.js'
import { checkOptions, merged, type LoadOptions } from '../cache-options.js'
import { HoldfastError, describe, invalid, shown } from '../errors.js'
import { hear } from '../events.js'
import { checkKey } from '../keys.js'
import type { LoadContext } from '../load-context.js'
import type { Ended } from '../load.js'
import { Ask } from './cache-loads.js'
import type { CacheManager } from './cache.js'

/** A value to be cached, or how it is loaded. */
export type WarmEntry<T = unknown> = {
  key: string
  options?: LoadOptions | undefined
} & ({ value: T; load?: undefined } | { load: (context: LoadContext<T>) => T | Promise<T>; value?: undefined })

/** A list, or what comes one by one. */
export type WarmEntries = Iterable<WarmEntry> | AsyncIterable<WarmEntry>

/** How far a warm-up has come. */
export interface WarmProgress {
  /** Entries that were looked at. */
  done: number
  /** How many there are; null while nobody knows. */
  total: number | null
  /** Those that were written, those that were there already or not kept, and those that failed. */
  warmed: number
  skipped: number
  failed: number
}

export interface WarmOptions extends LoadOptions {
  /** Entries at once, 1 to 1000. Default: 8. */
  concurrency?: number | undefined
  /** Hears of each entry that is done. */
  onProgress?: ((progress: WarmProgress) => void) | undefined
}

/** What became of a warm-up. */
export interface WarmResult extends WarmProgress {
  /** Whether its signal ended it before all was done. */
  aborted: boolean
  /** What failed; the first 1,000. */
  failures: { key: string; error: Error }[]
}

const MOST_FAILURES = 1000

/** The warm-up was ended. */
const OVER = Symbol('over')

/** @internal */
export async function warm(
  cache: CacheManager,
  entries: WarmEntries,
  options: WarmOptions = {},
): Promise<WarmResult> {
  const operation = 'cacheManager.warm'
  checkOptions(options, operation)
  const { concurrency = 8, onProgress, signal, ...each } = options
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 1000) {
    throw invalid('options.concurrency', `options.concurrency is ${shown(concurrency)}; allowed: 1 to 1000`, operation)
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalid('options.onProgress', `options.onProgress is ${describe(onProgress)}; allowed: a function`, operation)
  }
  if (signal !== undefined) checkIsSignal(signal, operation)
  askFor(cache, 'any', () => null, each, operation)
  const source = new Source(entries, operation)
  const total = Array.isArray(entries) ? entries.length : null
  const result: WarmResult = { done: 0, total, warmed: 0, skipped: 0, failed: 0, aborted: false, failures: [] }
  const isAborted = (): boolean => signal?.aborted === true
  /** What is waited for, unless the warm-up is ended. */
  const unlessOver = async <Value>(promise: Promise<Value>): Promise<Value | typeof OVER> => {
    if (signal === undefined) return await promise
    try {
      return await abortable(promise, signal, operation)
    } catch (error) {
      if (isAborted()) return OVER
      throw error
    }
  }
  let isOver = false
  let index = 0
  const worker = async (): Promise<void> => {
    while (!isOver && !isAborted()) {
      const next = await unlessOver(source.next())
      if (next === OVER || next.done === true || isOver || isAborted()) return
      const path = `entries[${index++}]`
      const given: unknown = next.value
      try {
        const isWarmed = await unlessOver(one(cache, given, path, each, operation))
        if (isWarmed === OVER || isOver) return
        if (isWarmed) result.warmed++
        else result.skipped++
      } catch (error) {
        if (isOver) return
        result.failed++
        const key = String((given as { key?: unknown } | null)?.key ?? path)
        if (result.failures.length < MOST_FAILURES) result.failures.push({ key, error: error as Error })
        // Whoever closed the cache wants no more of it.
        if (HoldfastError.isInstance(error) && error.code === 'E_CLOSED') throw error
      }
      result.done++
      const { done, warmed, skipped, failed } = result
      hear(`onProgress of ${operation}`, () => onProgress?.({ done, total, warmed, skipped, failed }))
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, worker))
    result.aborted = isAborted() && !(source.hasEnded && result.done === index)
  } finally {
    isOver = true
    await source.close()
  }
  result.total ??= result.aborted ? null : result.done
  return result
}

/** Answers whether it was written. */
async function one(
  cache: CacheManager,
  given: unknown,
  path: string,
  each: LoadOptions,
  operation: string,
): Promise<boolean> {
  if (typeof given !== 'object' || given === null) {
    throw invalid(path, `${path} is ${describe(given)}; allowed: an object { key, value } or { key, load }`, operation)
  }
  const { key, value, load, options } = given as WarmEntry
  checkKey(key, `${path}.key`, operation)
  if (load !== undefined && typeof load !== 'function') {
    throw invalid(`${path}.load`, `${path}.load is ${describe(load)}; allowed: a function`, operation)
  }
  if (load === undefined && value === undefined) {
    throw invalid(`${path}.value`, `${path} has neither a value nor load; allowed: one of them`, operation)
  }
  checkOptions(options, operation, `${path}.options`)
  let isOwn = false
  let how: Ended | null = null
  const loader = (context: LoadContext): unknown => {
    isOwn = true
    return load === undefined ? value : load(context)
  }
  const { ask, all } = askFor(cache, key, loader, merged(each, options), operation)
  const ended = (end: Ended | null): void => void (how = end)
  await answered(ask.answer(cache.reach(operation), { ended }), all, operation)
  const end = how as Ended | null
  // An old value served: the warm-up failed all the same.
  if (end !== null && 'error' in end) throw end.error
  return isOwn && end !== null && 'kept' in end && end.kept
}

function askFor(
  cache: CacheManager,
  key: string,
  load: (context: LoadContext) => unknown,
  options: LoadOptions | undefined,
  operation: string,
) {
  cache.reach(operation)
  const all = cache.options(options)
  const family = cache.family(all, operation)
  const table = cache.hot(family, all)
  return { ask: new Ask(cache, family, key, load, all, table, operation), all }
}

/** One item at a time, in whatever order its takers come. */
class Source {
  hasEnded = false
  private readonly inner: AsyncIterator<unknown> | Iterator<unknown>
  private turn: Promise<unknown> = Promise.resolve()
  private asked = 0

  constructor(entries: WarmEntries, operation: string) {
    const from = (typeof entries === 'object' ? entries : null) as Partial<AsyncIterable<unknown> & Iterable<unknown>> | null
    const inner = from?.[Symbol.asyncIterator]?.() ?? from?.[Symbol.iterator]?.()
    if (inner === undefined) {
      const allowed = 'an array, an iterable or an async iterable'
      throw invalid('entries', `entries is ${describe(entries)}; allowed: ${allowed}`, operation)
    }
    this.inner = inner
  }

  next(): Promise<IteratorResult<unknown>> {
    // Not every async iterator may be asked for a second item before it gave the first.
    const next = this.turn.then(() => this.take())
    this.turn = next.catch(() => {})
    return next
  }

  /** Tells it that no more is wanted, unless it has come to its end. */
  async close(): Promise<void> {
    if (this.hasEnded) return
    this.hasEnded = true
    const { asked } = this
    const closed = (async () => await this.inner.return?.())()
    // One that is asked for an item closes when it has given it, if it ever does.
    if (asked > 0) closed.catch(() => {})
    else await closed
  }

  private async take(): Promise<IteratorResult<unknown>> {
    if (this.hasEnded) return { done: true, value: undefined }
    this.asked++
    let isWell = false
    try {
      const item = await this.inner.next()
      isWell = item.done !== true
      return item
    } finally {
      this.asked--
      if (!isWell) this.hasEnded = true
    }
  }
}
