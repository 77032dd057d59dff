// Where AI answers stand: families of the cache, or of a namespace of it, under the hash of what was asked.

import type { Duration } from '../durations.js'
import { lifetimeMs } from '../durations.js'
import { getEntry, setEntry, type Place, type Terms, type Written } from '../entries.js'
import { HoldfastError } from '../errors.js'
import { FLAG_HASH_KEY } from '../generated/operations.js'
import { termsOf } from '../load.js'
import type { CacheManager } from '../managers/cache.js'

/** All that is under `ai:`. */
export type AIFamily = 'ai:response' | 'ai:stream' | 'ai:embedding' | 'ai:conversation' | 'ai:conversation-of'

/** @internal */
export interface Spot {
  readonly family: AIFamily
  readonly key: string
  /** Whether it stands under the key itself. Default: under its hash. */
  readonly plain?: boolean
}

/** The place of a question. Throws when the cache was shut down. */
export function placeOf(cache: CacheManager, { family, key, plain }: Spot, operation: string): Place {
  cache.reach(operation)
  const place = cache.place(cache.family({ prefix: family }, operation), key, undefined, operation)
  return plain === true ? place : { ...place, flags: place.flags | FLAG_HASH_KEY }
}

/** How long an answer is kept, and what invalidates it: its tags, and the namespace that it stands in. */
export function termsFor(
  cache: CacheManager,
  family: AIFamily,
  ttl: Duration | undefined,
  defaultSeconds: number,
  path: string,
  operation: string,
  tags: readonly string[] = [],
): Terms {
  const ttlMs = lifetimeMs(ttl, defaultSeconds * 1000, path, operation)
  return termsOf(ttlMs, 0, 0, cache.names(cache.family({ prefix: family }, operation), tags))
}

export async function put(
  cache: CacheManager,
  spot: Spot,
  written: Written,
  terms: Terms,
  operation: string,
): Promise<boolean> {
  const place = placeOf(cache, spot, operation)
  cache.forget(place.family, place.key)
  return (await setEntry(cache.reach(operation), place, written, terms, operation)) as boolean
}

export function take(cache: CacheManager, spot: Spot, decoder: number, operation: string): Promise<unknown> {
  return getEntry(cache.reach(operation), { decoder }, placeOf(cache, spot, operation), operation)
}

/** The error for what stands in the place of an answer and is none. */
export function unreadable(what: string, operation: string): HoldfastError {
  const message = `what is stored under this key is no ${what}; it was left as it is`
  return new HoldfastError({ code: 'E_DATA', message, operation })
}
