// Calls that load what is missing: `getOrSet`, for one key and for many.

import { answered } from '../abort.js'
import { keptOf, patienceOf, serializerOf, type Kept, type LoadOptions, type Patience } from '../cache-options.js'
import type { Batch } from '../batch.js'
import type { Place } from '../entries.js'
import { describe, invalid } from '../errors.js'
import type { HotTable } from '../hot.js'
import { DECODE_FOUND } from '../inbox.js'
import { checkKey } from '../keys.js'
import { Link, asLoader, endOf, loaderHere } from '../load-chain.js'
import type { LoadContext } from '../load-context.js'
import { Room } from '../load-limits.js'
import { loadThrough, refresh, type Plan } from '../load.js'
import { encodeValue, type Serializer } from '../serializers.js'
import { frozenCopy } from '../shared.js'
import { immediate } from '../timing.js'
import { checkKeys, forEach, type BatchOptions } from './cache-batches.js'
import type { CacheManager } from './cache.js'

/** What a loader of many keys answers: values in the order of the keys, or by key. A key without one is not cached. */
export type LoadedMany<T> = readonly (T | undefined)[] | ReadonlyMap<string, T> | Readonly<Record<string, T>>

/** A loader of many keys. */
export type LoadMany<T, Old> = (
  missing: readonly string[],
  context: LoadContext<Old>,
) => LoadedMany<T> | Promise<LoadedMany<T>>

type Loader = Plan<unknown>['load']

/** @internal */
export function getOrSet<T>(cache: CacheManager, key: string, factory: Loader, options: LoadOptions | undefined): Promise<T> {
  const operation = 'cacheManager.getOrSet'
  try {
    checkKey(key, 'key', operation)
    if (typeof factory !== 'function') {
      throw invalid('factory', `factory is ${describe(factory)}; allowed: a function`, operation)
    }
    const batch = cache.reach(operation)
    const all = cache.options(options)
    const family = cache.family(all, operation)
    const table = cache.hot(family, all)
    const ask = new Ask(cache, family, key, factory, all, table, operation)
    return answered(ask.answer<T>(batch), all, operation)
  } catch (error) {
    return Promise.reject(error as Error)
  }
}

/**
 * @internal A load as it is asked for. What its options say is looked through at once; what only a load needs is made
 * when there is one.
 */
export class Ask {
  private readonly kept: Kept
  private readonly patience: Patience
  private readonly place: Place
  private readonly serializer: Serializer | undefined

  constructor(
    private readonly cache: CacheManager,
    private readonly family: string,
    key: string,
    private readonly load: Loader,
    private readonly options: LoadOptions | undefined,
    private readonly table: HotTable | null,
    private readonly operation: string,
  ) {
    this.kept = keptOf(options, cache.defaultMs(operation), operation)
    this.serializer = serializerOf(options, operation)
    this.place = cache.place(family, key, options, operation)
    this.patience = patienceOf(options, operation)
  }

  /** The value at hand, or what comes of a load. `more`: what that needs besides. */
  answer<T>(batch: Batch, more?: Partial<Plan<unknown>>): Promise<T> {
    const { cache, options, patience, place, table } = this
    const hot = patience.forceFresh ? undefined : table?.read(place.key)
    if (hot !== undefined && batch.mayAnswer(hot.text.length)) {
      if (patience.eagerRefresh !== null && hot.isOlderThan(patience.eagerRefresh)) {
        refresh(cache.connection, { ...this.plan(), ...more })
      }
      cache.counts().avoided(hot.loadMs)
      return Promise.resolve(cache.served(hot, options) as T)
    }
    const loaded = loadThrough(cache.connection, { ...this.plan(), ...more }) as Promise<T>
    // Others may have asked for the same load, and its loader may keep what it answered.
    return options?.shared === true ? loaded.then((value) => frozenCopy(value)) : loaded
  }

  private plan(): Plan<unknown> {
    const { cache, family, load, place, patience, serializer, operation } = this
    const { tags, ...kept } = this.kept
    return {
      place,
      counts: cache.counts(),
      reader: { decoder: DECODE_FOUND, serializer, keeper: this.table },
      ...kept,
      ...patience,
      tags: cache.names(family, tags),
      namesOf: (later) => cache.names(family, later),
      load,
      write: (value) => encodeValue(value, serializer ?? 'json', 'value', operation),
      operation,
    }
  }
}

/** @internal Loads what is not there with one call of the loader. */
export async function getOrSetMany<T>(
  cache: CacheManager,
  keys: readonly string[],
  loader: LoadMany<T, unknown>,
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
  const room = new Room(cache.connection.limits)
  const looks: Promise<void>[] = []
  const looking = (looked: Promise<void>): void => void looks.push(looked)
  const loads = new Map<string, Promise<T>>()
  const loaded = (key: string): Promise<T> => {
    const present = loads.get(key)
    if (present !== undefined) return present
    const own: Loader = (context) => together.load(key, context)
    const ask = new Ask(cache, family, key, own, all, table, operation)
    const promise = ask.answer<T>(batch, { room, looking })
    loads.set(key, promise)
    return promise
  }
  const answer = forEach<T | undefined>(keys, all, undefined, operation, (index) => loaded(keys[index] as string))
  void Promise.all(looks).then(together.begin)
  return (await answered(answer, all, operation)) as (T | undefined)[]
}

/**
 * One call of a loader for all keys that turn out to be missing. Where another process loads some of them, they come
 * later, if at all.
 */
class Together<T> {
  private hasBegun = false
  private wanted = new Map<string, (value: T | Promise<T>) => void>()
  private contexts: LoadContext[] = []
  /** As the loads of its keys wait for it. */
  private link = new Link()

  constructor(private readonly loader: LoadMany<T, unknown>) {}

  load(key: string, context: LoadContext): Promise<T> {
    const loader = loaderHere()
    if (loader !== null) {
      loader.waits.push(this.link)
      this.link.room = loader.room
    }
    return new Promise((resolve) => {
      if (this.hasBegun && this.wanted.size === 0) immediate(this.run)
      this.wanted.set(key, resolve)
      this.contexts.push(context)
    })
  }

  /** It is known of all keys whether they are there. */
  readonly begin = (): void => {
    this.hasBegun = true
    if (this.wanted.size > 0) immediate(this.run)
  }

  private readonly run = (): void => {
    const { wanted, contexts, link } = this
    this.wanted = new Map()
    this.contexts = []
    this.link = new Link()
    const missing = [...wanted.keys()]
    const loaded = asLoader(link, () => this.call(missing, forAll(contexts))).finally(() => endOf(link))
    missing.forEach((key, index) => {
      const value = loaded.then((values) => valueOf(values, key, index))
      wanted.get(key)?.(value as Promise<T>)
    })
  }

  private async call(missing: readonly string[], context: LoadContext): Promise<LoadedMany<T>> {
    const values: unknown = await this.loader(missing, context)
    // One that leaves out a row would give each key after it the value of another.
    const isShort = Array.isArray(values) && values.length !== missing.length
    if (typeof values === 'object' && values !== null && !isShort) return values as LoadedMany<T>
    const shown = isShort ? `${values.length} values for ${missing.length} keys` : describe(values)
    const allowed = 'an array with a value for each key in their order, a Map, or an object by key'
    throw invalid('loader', `loader answered ${shown}; allowed: ${allowed}`, 'cacheManager.getOrSetMany')
  }
}

function valueOf<T>(values: LoadedMany<T>, key: string, index: number): T | undefined {
  if (Array.isArray(values)) return values[index] as T | undefined
  if (values instanceof Map) return values.get(key) as T | undefined
  return Object.hasOwn(values, key) ? (values as Record<string, T>)[key] : undefined
}

/** What the loader says of its result holds for every key of it. */
function forAll(contexts: readonly LoadContext[]): LoadContext {
  const [first] = contexts as [LoadContext]
  return {
    signal: first.signal,
    stale: null,
    skip: () => contexts.forEach((context) => context.skip()) as undefined,
    fail: (reason) => first.fail(reason),
    setTtl: (ttl) => contexts.forEach((context) => context.setTtl(ttl)),
    setTags: (tags) => contexts.forEach((context) => context.setTags(tags)),
  }
}
