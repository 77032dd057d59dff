// Filling the cache ahead of time, from a list or from whatever comes one by one.

import { checkSignal } from '../abort.js'
import type { LoadOptions } from '../cache-options.js'
import { HoldfastError, describe, invalid } from '../errors.js'
import { checkKey } from '../keys.js'
import type { LoadContext } from '../load-context.js'
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
  /** Those that were written, those that were there already, and those that failed. */
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

/** @internal */
export async function warm(
  cache: CacheManager,
  entries: WarmEntries,
  options: WarmOptions = {},
): Promise<WarmResult> {
  const operation = 'cacheManager.warm'
  const { concurrency = 8, onProgress, signal, ...each } = options
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 1000) {
    const shown = typeof concurrency === 'number' ? String(concurrency) : describe(concurrency)
    throw invalid('options.concurrency', `options.concurrency is ${shown}; allowed: 1 to 1000`, operation)
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    const shown = describe(onProgress)
    throw invalid('options.onProgress', `options.onProgress is ${shown}; allowed: a function`, operation)
  }
  if (signal?.aborted !== true) checkSignal(signal, operation)
  const source = sourceOf(entries, operation)
  const total = Array.isArray(entries) ? entries.length : null
  const result: WarmResult = { done: 0, total, warmed: 0, skipped: 0, failed: 0, aborted: false, failures: [] }
  const isAborted = (): boolean => signal?.aborted === true
  let index = 0
  const worker = async (): Promise<void> => {
    while (!isAborted()) {
      const next = await source.next()
      if (next.done === true) return
      const path = `entries[${index++}]`
      const given: unknown = next.value
      try {
        if (await one(cache, given, path, each, operation)) result.warmed++
        else result.skipped++
      } catch (error) {
        result.failed++
        const key = String((given as { key?: unknown } | null)?.key ?? path)
        if (result.failures.length < MOST_FAILURES) result.failures.push({ key, error: error as Error })
        // Whoever closed the cache wants no more of it.
        if (HoldfastError.isInstance(error) && error.code === 'E_CLOSED') throw error
      }
      result.done++
      const { done, warmed, skipped, failed } = result
      onProgress?.({ done, total, warmed, skipped, failed })
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, worker))
  } finally {
    if (isAborted()) {
      result.aborted = true
      await source.return?.()
    }
  }
  result.total ??= result.aborted ? null : result.done
  return result
}

/** Answers whether it had to be written. */
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
  let written = false
  await cache.getOrSet<unknown>(
    key,
    (context) => {
      written = true
      return load === undefined ? value : load(context)
    },
    { ...each, ...options },
  )
  return written
}

/** One item at a time, in whatever order its takers come. */
function sourceOf(entries: WarmEntries, operation: string): AsyncIterator<unknown> {
  const from = entries as Partial<AsyncIterable<unknown> & Iterable<unknown>> | null | undefined
  const iterator = typeof entries === 'object' && from !== null ? from?.[Symbol.asyncIterator]?.() : undefined
  const inner = iterator ?? (typeof entries === 'object' && from !== null ? from?.[Symbol.iterator]?.() : undefined)
  if (inner === undefined) {
    const allowed = 'an array, an iterable or an async iterable'
    throw invalid('entries', `entries is ${describe(entries)}; allowed: ${allowed}`, operation)
  }
  let turn: Promise<unknown> = Promise.resolve()
  let ended = false
  return {
    next() {
      // Not every async iterator may be asked for a second item before it gave the first.
      const next = turn.then(async () => {
        if (ended) return { done: true as const, value: undefined }
        const item = await inner.next()
        ended = item.done === true
        return item
      })
      turn = next.catch(() => {
        ended = true
      })
      return next as Promise<IteratorResult<unknown>>
    },
    async return() {
      await inner.return?.()
      return { done: true, value: undefined }
    },
  }
}
