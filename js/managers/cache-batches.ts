// Cache calls that are about many keys at once: one trip for all, and what fails for one key fails for it alone.

import { answered } from '../abort.js'
import type { CacheOptions, LoadOptions } from '../cache-options.js'
import { getEntryFor } from '../entries.js'
import { HoldfastError, describe, fromRecord, invalid } from '../errors.js'
import { DECODE_VALUE } from '../inbox.js'
import { checkKey } from '../keys.js'
import type { LoadContext } from '../load-context.js'
import { loadThrough } from '../load.js'
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

/** What a loader of many keys answers: values in the order of the keys, or by key. A key without one is not cached. */
export type LoadedMany<T> = readonly (T | undefined)[] | ReadonlyMap<string, T> | Readonly<Record<string, T>>

/** @internal */
export function checkKeys(keys: unknown, operation: string): asserts keys is readonly string[] {
  if (!Array.isArray(keys)) throw invalid('keys', `keys is ${describe(keys)}; allowed: an array of keys`, operation)
  keys.forEach((key, index) => checkKey(key, `keys[${index}]`, operation))
}

/** Gathers what became of each key. */
class Outcomes<Answer> {
  readonly answers: Answer[]
  private readonly failures = new Map<string, Error>()

  constructor(
    private readonly keys: readonly string[],
    private readonly onError: BatchOptions['onError'],
  ) {
    this.answers = new Array<Answer>(keys.length)
  }

  failed(index: number, error: Error, answer: Answer): void {
    this.answers[index] = answer
    const key = this.keys[index] as string
    if (this.onError !== undefined) this.onError(key, error)
    else this.failures.set(key, error)
  }

  end(operation: string): Answer[] {
    const [first] = this.failures.values()
    if (first === undefined) return this.answers
    // A loader's own error stays what it is.
    if (!HoldfastError.isInstance(first)) throw first
    const { code, message, retryable, applied, path } = first
    const more = this.failures.size - 1
    const error = new HoldfastError({
      code,
      message: more === 0 ? message : `${message} (and ${more} more of ${this.keys.length} keys failed)`,
      retryable,
      applied,
      operation,
      path,
      cause: first,
    })
    throw Object.assign(error, { failures: this.failures })
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
  const share = all?.shared === true
  let left = 1
  let finish = (): void => {}
  const done = new Promise<void>((resolve) => (finish = resolve))
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string
    const hot = table?.read(key)
    if (hot !== undefined && batch.mayAnswer()) {
      answers[index] = cache.served(hot, all) as T
      continue
    }
    left++
    getEntryFor(batch, reader, { family, key, flags }, operation, (answer) => {
      if (answer instanceof Failed) outcomes.failed(index, fromRecord(answer.record, operation), null)
      else answers[index] = (share ? frozen(answer) : answer) as T | null
      if (--left === 0) finish()
    })
  }
  if (--left > 0) await answered(done, all, operation)
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
    else outcomes.failed(index, result.reason as Error, otherwise)
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
  items.forEach((item: unknown, index) => {
    const path = `items[${index}]`
    if (typeof item !== 'object' || item === null) {
      throw invalid(path, `${path} is ${describe(item)}; allowed: an object { key, value }`, operation)
    }
    checkKey((item as CacheItem).key, `${path}.key`, operation)
  })
  const keys = items.map(({ key }) => key)
  return await forEach(keys, options, false, operation, (index) => {
    const item = items[index] as CacheItem
    return cache.set(item.key, item.value, { ...options, ...item.options })
  })
}

/** @internal Loads what is not there with one call of the loader. */
export async function getOrSetMany<T>(
  cache: CacheManager,
  keys: readonly string[],
  loader: (missing: readonly string[], context: LoadContext<T>) => LoadedMany<T> | Promise<LoadedMany<T>>,
  options: (LoadOptions & BatchOptions) | undefined,
): Promise<(T | undefined)[]> {
  const operation = 'cacheManager.getOrSetMany'
  checkKeys(keys, operation)
  if (typeof loader !== 'function') {
    throw invalid('loader', `loader is ${describe(loader)}; allowed: a function`, operation)
  }
  const batch = cache.reach(operation)
  const all = cache.options(options)
  const family = cache.family(all, operation)
  const table = cache.hot(family, all)
  const together = new Together<T>(loader)
  const plans = new Map<string, Promise<T>>()
  const load = (key: string): Promise<T> => {
    const present = plans.get(key)
    if (present !== undefined) return present
    const plan = cache.plan<T>(family, key, (context) => together.load(key, context), all, table, operation)
    const hot = plan.forceFresh ? undefined : table?.read(key)
    const promise =
      hot !== undefined && batch.mayAnswer()
        ? Promise.resolve(cache.served(hot, all) as T)
        : loadThrough(cache.connection, plan)
    plans.set(key, promise)
    return promise
  }
  const answer = forEach<T | undefined>(keys, all, undefined, operation, (index) => load(keys[index] as string))
  return (await answered(answer, all, operation)) as (T | undefined)[]
}

/**
 * One call of a loader for all keys that turn out to be missing. Keys whose answers come in the same turn of the event
 * loop are asked for together; where another process loads some of them, they come later, if at all.
 */
class Together<T> {
  private wanted = new Map<string, (value: T | Promise<T>) => void>()
  private contexts: LoadContext<T>[] = []

  constructor(
    private readonly loader: (
      missing: readonly string[],
      context: LoadContext<T>,
    ) => LoadedMany<T> | Promise<LoadedMany<T>>,
  ) {}

  load(key: string, context: LoadContext<T>): Promise<T> {
    return new Promise((resolve) => {
      // All that one answer of the native side brought is known by then.
      if (this.wanted.size === 0) setImmediate(this.run)
      this.wanted.set(key, resolve)
      this.contexts.push(context)
    })
  }

  private readonly run = (): void => {
    const { wanted, contexts } = this
    this.wanted = new Map()
    this.contexts = []
    const missing = [...wanted.keys()]
    const loaded = this.call(missing, forAll(contexts))
    missing.forEach((key, index) => {
      const value = loaded.then((values) => valueOf(values, key, index))
      wanted.get(key)?.(value as Promise<T>)
    })
  }

  private async call(missing: readonly string[], context: LoadContext<T>): Promise<LoadedMany<T>> {
    const values: unknown = await this.loader(missing, context)
    if (typeof values === 'object' && values !== null) return values as LoadedMany<T>
    const allowed = 'an array in the order of the keys, a Map, or an object by key'
    throw invalid('loader', `loader answered ${describe(values)}; allowed: ${allowed}`, 'cacheManager.getOrSetMany')
  }
}

function valueOf<T>(values: LoadedMany<T>, key: string, index: number): T | undefined {
  if (Array.isArray(values)) return values[index] as T | undefined
  if (values instanceof Map) return values.get(key) as T | undefined
  return Object.hasOwn(values, key) ? (values as Record<string, T>)[key] : undefined
}

function onErrorOf(options: BatchOptions | undefined, operation: string): BatchOptions['onError'] {
  const onError = options?.onError
  if (onError === undefined || typeof onError === 'function') return onError
  throw invalid('options.onError', `options.onError is ${describe(onError)}; allowed: a function`, operation)
}

/** What the loader says of its result holds for every key of it. */
function forAll<T>(contexts: readonly LoadContext<T>[]): LoadContext<T> {
  const [first] = contexts as [LoadContext<T>]
  return {
    signal: first.signal,
    stale: null,
    skip: () => contexts.forEach((context) => context.skip()) as undefined,
    fail: (reason) => first.fail(reason),
    setTtl: (ttl) => contexts.forEach((context) => context.setTtl(ttl)),
    setTags: (tags) => contexts.forEach((context) => context.setTags(tags)),
  }
}
