// Taking away what belongs together: by tag, by pattern, by prefix and by namespace.

import { answered } from '../abort.js'
import { flagsOf, type CacheOptions } from '../cache-options.js'
import { clearFamily, invalidateTag } from '../entries.js'
import { HoldfastError, invalid } from '../errors.js'
import { checkKey, checkPrefix } from '../keys.js'
import { checkTag, checkTags, namespaceName, tagName } from '../tags.js'
import type { CacheManager } from './cache.js'

/** @internal */
export async function invalidateTags(
  cache: CacheManager,
  tags: string | readonly string[],
  expire: boolean,
  options: CacheOptions | undefined,
  operation: string,
): Promise<boolean> {
  const all = cache.options(options)
  cache.family(all, operation)
  if (typeof tags === 'string') checkTag(tags, 'tags', operation)
  const names = typeof tags === 'string' ? [tags] : checkTags(tags, 'tags', operation)
  if (all?.l1Only === true) {
    const why = 'options.l1Only is true, but a tag is invalidated for everybody'
    throw invalid('options.l1Only', `${why}; allowed: false`, operation)
  }
  const batch = cache.reach(operation)
  const flags = flagsOf(all, operation)
  const markers = names.map(tagName)
  cache.connection.hot(operation)?.dropTagged()
  cache.connection.flights.detachTagged(markers)
  const answers = markers.map((marker) => invalidateTag(batch, marker, expire, flags, operation))
  const taken = (await answered(Promise.all(answers), all, operation)) as boolean[]
  return taken.every(Boolean)
}

/** @internal */
export async function deletePattern(
  cache: CacheManager,
  pattern: string,
  options: CacheOptions | undefined,
): Promise<number> {
  const operation = 'cacheManager.deletePattern'
  checkKey(pattern, 'pattern', operation)
  const all = cache.options(options)
  const family = cache.family(all, operation)
  const batch = cache.reach(operation)
  forgetFamily(cache, family, operation)
  const removed = clearFamily(batch, family, pattern, flagsOf(all, operation), operation)
  return (await answered(removed, all, operation)) as number
}

/** @internal */
export async function clear(cache: CacheManager, prefix: string | undefined): Promise<void> {
  const operation = 'cacheManager.clear'
  if (prefix !== undefined) checkPrefix(prefix, 'prefix', operation)
  const batch = cache.reach(operation)
  const { path, defaults } = cache.scope
  const family = cache.family({ prefix: prefix ?? defaults?.prefix }, operation)
  forgetFamily(cache, family, operation)
  if (path === '') {
    await clearFamily(batch, family, null, 0, operation)
    return
  }
  const marker = namespaceName(family.slice(0, -path.length - 1), path)
  if ((await invalidateTag(batch, marker, false, 0, operation)) === true) return
  const message = 'neither Redis nor memory took the invalidation; the namespace is as it was'
  throw new HoldfastError({ code: 'E_FULL', message, retryable: true, operation })
}

/** Whoever asks for something of a family from now on gets nothing that was loaded before. */
function forgetFamily({ connection }: CacheManager, family: string, operation: string): void {
  connection.flights.detachAll(`${family}:`)
  connection.limits.forgetAll(`${family}:`)
  connection.hot(operation)?.clear()
}
