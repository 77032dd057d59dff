// What a case of the bad-input table works with: an instance on a store, and a look from outside.
import type { Instance, InstanceOptions, Store, Surroundings } from '../cache/stores'
import type { RespClient } from '../support/resp-client'

export interface Context {
  store: Store
  holdfast: Instance
  keyPrefix: string
  /** A name that no other case uses. */
  key: string
  open: (options?: InstanceOptions) => Instance
  outside: () => RespClient
}

export interface Case {
  /** Default: both. */
  stores?: Store[]
  /** Calls that must all be refused with the row's code and path. */
  refused?: (context: Context) => Promise<(() => unknown)[]> | (() => unknown)[]
  /** Asserts the documented meaning, or what else holds beside the refusal. */
  means?: (context: Context) => Promise<void>
}

/** The limit of values in these cases, so that a value over it is quickly made. */
export const maxValueBytes = 1024 * 1024

export function contextOf(store: Store, surroundings: Surroundings, key: string): Context {
  const { holdfast, keyPrefix, open, outside } = surroundings
  return { store, holdfast, keyPrefix, key, open, outside }
}

/** Every call that takes one key. */
export function callsWithKey({ holdfast }: Pick<Context, 'holdfast'>, key: unknown): (() => Promise<unknown>)[] {
  const { cacheManager, fallbackManager, FallbackCache } = holdfast
  const bad = key as string
  return [
    () => cacheManager.get(bad),
    () => cacheManager.getEntry(bad),
    () => cacheManager.set(bad, 1),
    () => cacheManager.delete(bad),
    () => cacheManager.exists(bad),
    () => cacheManager.expire(bad),
    () => cacheManager.getOrSet(bad, async () => 1),
    () => fallbackManager.get(bad),
    () => fallbackManager.set(bad, 1),
    () => fallbackManager.delete(bad),
    () => fallbackManager.exists(bad),
    () => FallbackCache.getOrSet(bad, async () => 1),
  ]
}

/** Every call of the cache that takes a list of keys. */
export function callsWithKeys({ holdfast: { cacheManager } }: Pick<Context, 'holdfast'>, keys: unknown, options?: object): (() => Promise<unknown>)[] {
  const bad = keys as string[]
  return [
    () => cacheManager.getMany(bad, options),
    () => cacheManager.deleteMany(bad, options),
    () => cacheManager.getOrSetMany(bad, (missing) => missing, options),
  ]
}

/** Every call that takes one value. */
export function callsWithValue({ holdfast, key }: Pick<Context, 'holdfast' | 'key'>, value: unknown): (() => Promise<unknown>)[] {
  return [() => holdfast.cacheManager.set(key, value), () => holdfast.fallbackManager.set(key, value)]
}

/** Stores a value by each of those calls and asserts that it comes back as `expected`. */
export async function comesBack({ holdfast, key }: Context, value: unknown, expected: unknown): Promise<unknown[]> {
  await holdfast.cacheManager.set(key, value)
  await holdfast.fallbackManager.set(key, value)
  const got = [await holdfast.cacheManager.get(key), await holdfast.fallbackManager.get(key)]
  return [got, [expected, expected]]
}
