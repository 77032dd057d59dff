// Who plays: places of the cache, and the processes (or what stands for them) that call it.
import { ask } from '../../boundary/inside'
import type { Cache } from '../loads'
import type { Instance, Store } from '../stores'
import type { Books } from './books'
import { World } from './world'
import type { Flight } from './flight'
import type { How } from './player'

/** A part of the cache. Families are spelt as keys are, so that one that lies in another begins like it. */
export interface Place {
  readonly family: string
  /** As the statistics call it; null: counted in the total alone. */
  readonly owner: string | null
  /** What everything in it can be taken by at once. */
  readonly spaces: readonly string[]
  readonly options: { prefix?: string }
  readonly in: (cache: Cache) => Cache
}

/** A key in its place. */
export interface Spot {
  readonly place: Place
  readonly name: string
  /** What no other spot is called. */
  readonly key: string
}

/** `name` keeps apart what stands in one store. */
export function placesOf(name: string): Place[] {
  const outer = `cache:${name}a%`
  const inner = `${outer}:b%`
  const views = `views:${name}a%`
  return [
    { family: 'cache', owner: null, spaces: [], options: {}, in: (cache) => cache },
    { family: 'views', owner: null, spaces: [], options: { prefix: 'views' }, in: (cache) => cache },
    { family: outer, owner: `cache:${name}a`, spaces: [outer], options: {}, in: (cache) => cache.namespace(`${name}a`) },
    {
      family: inner,
      owner: `cache:${name}a:b`,
      spaces: [outer, inner],
      options: {},
      in: (cache) => cache.namespace(`${name}a`).namespace('b'),
    },
    {
      family: views,
      owner: `views:${name}a`,
      spaces: [views],
      options: {},
      in: (cache) => cache.namespace(`${name}a`, { prefix: 'views' }),
    },
  ]
}

/** Few, so that calls meet. */
export function spotsOf(name: string, places: readonly Place[]): Spot[] {
  const names = [['x', 'y', 'z'], ['x'], ['x', 'y'], ['x'], ['x']]
  return places.flatMap((place, at) =>
    (names[at] as string[]).map((each) => ({ place, name: name + each, key: `${place.family}:${name}${each}` })),
  )
}

export interface CoreOptions {
  store: Store
  instance: Instance
  /** What this process keeps for itself alone. */
  own: World
  books?: Books
  /** Whether copies in this process may answer. */
  hasCopies: boolean
  /** Whether what others did is seen at once. */
  seesAtOnce: boolean
}

/** A process as the law sees it. */
export class Core {
  readonly store: Store
  readonly instance: Instance
  readonly own: World
  readonly books: Books | undefined
  readonly hasCopies: boolean
  readonly seesAtOnce: boolean
  /** Loads under way that callers may join. */
  readonly flights = new Map<string, Flight>()
  /** Keys whose loader is left alone, because an old value serves. */
  readonly resting = new Set<string>()
  /** Keys of which nobody says whether they still rest. */
  readonly mayRest = new Set<string>()
  /** How often a key's loader has failed in a row. */
  readonly failures = new Map<string, number>()
  /** For each key the oldest of its versions that may still be read here. */
  readonly told = new Map<string, number>()
  private readonly caches = new Map<Place, Cache>()

  constructor(options: CoreOptions) {
    this.store = options.store
    this.instance = options.instance
    this.own = options.own
    this.books = options.books
    this.hasCopies = options.hasCopies
    this.seesAtOnce = options.seesAtOnce
  }

  cache(place: Place): Cache {
    let cache = this.caches.get(place)
    if (cache === undefined) this.caches.set(place, (cache = place.in(this.instance.cacheManager)))
    return cache
  }

  /**
   * The call, and how many operations it handed over: none where a text at hand answered, or a load was joined. Only
   * plain calls may be answered so.
   */
  crossing<T>(call: () => T, { skipL1, l1Only, allowStale }: How, most = 1): { answer: T; crossed: number } {
    const isPlain = skipL1 === undefined && l1Only === undefined && allowStale === undefined
    if (this.books === undefined || !isPlain) return { answer: call(), crossed: most }
    const operations = (): number => ask<{ operations: number }>(this.instance, 'counters').operations
    const before = operations()
    const answer = call()
    return { answer, crossed: operations() - before }
  }

  /** Callers start anew for this key, and its loader is tried again. */
  forget(key: string): void {
    this.flights.delete(key)
    this.flights.delete(`!${key}`)
    this.resting.delete(key)
    this.mayRest.delete(key)
    this.failures.delete(key)
  }

  /** The same for what a call covers of a family. Of the rest of the family, and what lies in it, nothing is said. */
  forgetAll(family: string, covers: (key: string) => boolean): void {
    const isIn = (key: string): boolean => key.startsWith(`${family}:`)
    const keys = [...this.flights.values()].map(({ spot }) => spot.key)
    for (const key of [...keys, ...this.resting, ...this.failures.keys()]) if (isIn(key) && covers(key)) this.forget(key)
    for (const flight of this.flights.values()) flight.isLoose ||= isIn(flight.spot.key)
    for (const key of this.resting) if (isIn(key)) this.mayRest.add(key)
  }

  /** Callers start anew where a load may have one of these tags. */
  forgetTags(tags: readonly string[]): void {
    for (const [name, flight] of this.flights) {
      if (flight.plan.tags.some((tag) => tags.includes(tag))) this.flights.delete(name)
      else flight.isLoose = true
    }
  }
}
