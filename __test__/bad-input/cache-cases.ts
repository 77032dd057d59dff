// Cases of the bad-input table: options of the cache, and its calls about many keys, tags, patterns and namespaces.
import { expect } from 'vitest'
import { untilHot } from '../boundary/inside'
import { callsWithKeys, type Case, type Context } from './contexts'

const lone = 'half \ud83d of a pair'
const wrongTimes = [-1, Number.NaN, Number.POSITIVE_INFINITY, 200 * 365 * 86_400, '90', '1w', null, {}]
const wrongMs = [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '100', null, {}]
const wrongTags = ['', 42, null, 'x'.repeat(257), lone]

/** `getOrSet` with an option, whose loader must not run. */
const loads = (name: string, values: readonly unknown[]) => ({
  refused: ({ holdfast, key }: Context) =>
    values.map((value) => () => holdfast.cacheManager.getOrSet(key, () => expect.unreachable('the loader ran'), { [name]: value })),
  means: async ({ holdfast, key }: Context) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
})

const reads = (name: string, values: readonly unknown[]) => ({
  refused: ({ holdfast, key }: Context) => values.map((value) => () => holdfast.cacheManager.get(key, { [name]: value })),
})

/** What a loader says of its result, each under a key of its own: one that keeps failing is left alone. */
const says = (say: (context: { setTtl(ttl: unknown): void; setTags(tags: unknown): void; fail(reason: unknown): never }, value: never) => unknown, values: readonly unknown[]) => ({
  refused: ({ holdfast, key }: Context) =>
    values.map((value, n) => () => holdfast.cacheManager.getOrSet(`${key}:${n}`, (context) => say(context as never, value as never))),
  means: async ({ holdfast, key }: Context) => expect(await holdfast.cacheManager.exists(`${key}:0`)).toBe(false),
})

const switches = ['yes', 1, 0, null, {}]

export const cacheCases: Record<string, Case> = {
  'a time that is none as `grace` — `cacheManager.getOrSet`': loads('grace', wrongTimes),
  'a time that is none as `graceBackoff` — `cacheManager.getOrSet`': loads('graceBackoff', wrongTimes),
  'a time that is none as `jitter` — `cacheManager.set`': {
    refused: ({ holdfast, key }) => wrongTimes.map((jitter) => () => holdfast.cacheManager.set(key, 1, { jitter: jitter as number })),
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'below 0, NaN, Infinity, 2^31 or a text as `softTimeoutMs` — `cacheManager.getOrSet`': loads('softTimeoutMs', wrongMs),
  'below 1, NaN, Infinity, 2^31 or a text as `hardTimeoutMs` — `cacheManager.getOrSet`': loads('hardTimeoutMs', [0, 0.5, ...wrongMs]),
  'below 0, NaN, Infinity, 2^31 or a text as `lockTimeoutMs` — `cacheManager.getOrSet`': loads('lockTimeoutMs', wrongMs),
  '0, 1, NaN or a text as `eagerRefresh` — `cacheManager.getOrSet`': loads('eagerRefresh', [0, 1, -0.5, 2, Number.NaN, '0.5', null]),
  'no boolean as `forceFresh` — `cacheManager.getOrSet`': loads('forceFresh', switches),
  'no boolean as `skipL1` — `cacheManager.get`': reads('skipL1', switches),
  'no boolean as `l1Only` — `cacheManager.get`': reads('l1Only', switches),
  'no boolean as `requireRedis` — `cacheManager.get`': reads('requireRedis', switches),
  'no boolean as `allowStale` — `cacheManager.get`': reads('allowStale', switches),
  'no boolean as `shared` — `cacheManager.get`': reads('shared', switches),
  '`l1Only` together with `skipL1` or `requireRedis` — `cacheManager.get`': {
    refused: ({ holdfast, key }) => [{ skipL1: true }, { requireRedis: true }].map((other) => () => holdfast.cacheManager.get(key, { l1Only: true, ...other })),
  },
  '`l1Only`: a tag is invalidated for all — `cacheManager.deleteByTag`': {
    refused: ({ holdfast }) => [() => holdfast.cacheManager.deleteByTag('a', { l1Only: true }), () => holdfast.cacheManager.expireByTag('a', { l1Only: true })],
  },
  'a serializer that is none — `cacheManager.set`': {
    refused: ({ holdfast, key }) => ['xml', 5, null].map((serializer) => () => holdfast.cacheManager.set(key, 1, { serializer: serializer as 'json' })),
  },
  'a wrong option, for a key that is cached — `cacheManager.getOrSet`': {
    refused: async ({ holdfast, key }) => {
      await holdfast.cacheManager.set(key, 'here')
      await untilHot(holdfast, key)
      return [-1, Number.NaN, '90'].map((ttl) => async () => {
        await untilHot(holdfast, key)
        return await holdfast.cacheManager.getOrSet(key, () => 1, { ttl: ttl as number })
      })
    },
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.get(key)).toBe('here'),
  },
  '`requireRedis` where memory answers — `cacheManager.get`': {
    refused: ({ open, key }) => {
      const { cacheManager } = open({ url: 'redis://127.0.0.1:1' })
      return [
        () => cacheManager.get(key, { requireRedis: true }),
        () => cacheManager.set(key, 1, { requireRedis: true }),
        () => cacheManager.getOrSet(key, () => expect.unreachable('the loader ran'), { requireRedis: true }),
      ]
    },
  },
  'a ttl that is none — `setTtl` of a loader': says(({ setTtl }, ttl) => setTtl(ttl), wrongTimes),
  'tags that are no array, 65 of them — `setTags` of a loader': says(({ setTags }, tags) => setTags(tags), ['a', null, Array.from({ length: 65 }, String)]),
  'neither a text nor an Error — `fail` of a loader': says(({ fail }, reason) => fail(reason), ['', 42, null, undefined]),
  'tags that are no array, 65 of them — `cacheManager.set`': {
    refused: ({ holdfast, key }) =>
      ['a', 42, null, {}, Array.from({ length: 65 }, String)].map((tags) => () => holdfast.cacheManager.set(key, 1, { tags: tags as string[] })),
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'an empty tag among others, one that is no text, one of 257 characters, one with a lone surrogate — `cacheManager.set`': {
    refused: ({ holdfast, key }) => wrongTags.map((tag) => () => holdfast.cacheManager.set(key, 1, { tags: ['a', tag as string] })),
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'tags of more than 4,000 bytes together — `cacheManager.set`': {
    refused: ({ holdfast, key }) => [() => holdfast.cacheManager.set(key, 1, { tags: Array.from({ length: 20 }, (_, n) => `${n}`.padEnd(256, 'x')) })],
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'an empty tag, one that is no text, one of 257 characters, one with a lone surrogate — `cacheManager.deleteByTag`': {
    refused: ({ holdfast }) => [...wrongTags, undefined, {}].flatMap((tag) => [() => holdfast.cacheManager.deleteByTag(tag as string), () => holdfast.cacheManager.expireByTag(tag as string)]),
  },
  'an empty tag among others — `cacheManager.deleteByTag`': {
    refused: ({ holdfast }) => [() => holdfast.cacheManager.deleteByTag(['a', '']), () => holdfast.cacheManager.expireByTag(['a', ''])],
  },
  'an empty pattern, one that is no text, one with a lone surrogate — `cacheManager.deletePattern`': {
    refused: ({ holdfast }) => ['', 42, null, undefined, lone].map((pattern) => () => holdfast.cacheManager.deletePattern(pattern as string)),
  },
  'a pattern of nothing but `*` — `cacheManager.deletePattern`': {
    means: async ({ holdfast, key }) => {
      const prefix = `all of ${key}`
      await holdfast.cacheManager.setMany([{ key: 'a', value: 1 }, { key: '*', value: 2 }], { prefix })
      expect(await holdfast.cacheManager.deletePattern('*', { prefix })).toBe(2)
    },
  },
  'an empty name, one that is no text, one of 129 characters, one with a lone surrogate, one with U+001E or U+001F — `cacheManager.namespace`': {
    refused: ({ holdfast }) => ['', 42, null, undefined, 'x'.repeat(129), lone, 'a\u001e', '\u001f'].map((name) => () => holdfast.cacheManager.namespace(name as string)),
  },
  'options that are no object — `cacheManager.namespace`': {
    refused: ({ holdfast }) => [42, 'ttl', null, []].map((options) => () => holdfast.cacheManager.namespace('space', options as unknown as object)),
  },
  'keys that are no array — calls with keys': {
    refused: (context) => ['text', 42, null, undefined, { 0: 'a' }].flatMap((keys) => callsWithKeys(context, keys)),
  },
  'an empty key among others — calls with keys': {
    refused: (context) => ['', 42, null, lone].flatMap((key) => callsWithKeys(context, ['a', key, 'c'])),
  },
  'no function as `onError` — calls with keys': {
    refused: (context) => ['text', 42, null].flatMap((onError) => callsWithKeys(context, ['a'], { onError })),
  },
  'a loader that is no function — `cacheManager.getOrSetMany`': {
    refused: ({ holdfast, key }) => ['text', undefined, 1].map((loader) => () => holdfast.cacheManager.getOrSetMany([key], loader as unknown as () => [])),
  },
  'items that are no array — `cacheManager.setMany`': {
    refused: ({ holdfast }) => ['text', 42, null, undefined, { key: 'a', value: 1 }].map((items) => () => holdfast.cacheManager.setMany(items as unknown as [])),
  },
  'an item that is no object — `cacheManager.setMany`': {
    refused: ({ holdfast, key }) => [42, 'text', null].map((item) => () => holdfast.cacheManager.setMany([{ key, value: 1 }, item as unknown as { key: string; value: number }])),
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'an item with an empty key — `cacheManager.setMany`': {
    refused: ({ holdfast, key }) => [() => holdfast.cacheManager.setMany([{ key, value: 1 }, { key: '', value: 2 }])],
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'an item whose value JSON can\'t hold — `cacheManager.setMany`': {
    refused: ({ holdfast, key }) => [() => holdfast.cacheManager.setMany([{ key: `${key}:a`, value: 1 }, { key: `${key}:b`, value: 1n }, { key: `${key}:c`, value: 3 }])],
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.getMany(['a', 'b', 'c'].map((name) => `${key}:${name}`))).toEqual([1, null, 3]),
  },
  'a list under one of our names — `cacheManager.getMany`': {
    stores: ['redis'],
    refused: async ({ holdfast, outside, keyPrefix, key }) => {
      await holdfast.cacheManager.set(`${key}:a`, 1)
      await outside().call('RPUSH', `${keyPrefix}cache:${key}:list`, 'foreign')
      return [() => holdfast.cacheManager.getMany([`${key}:a`, `${key}:list`])]
    },
    means: async ({ holdfast, key }) => {
      const failed: string[] = []
      const onError = (name: string): unknown => failed.push(name)
      expect(await holdfast.cacheManager.getMany([`${key}:a`, `${key}:list`], { onError })).toEqual([1, null])
      expect(failed).toEqual([`${key}:list`])
    },
  },
  'a list under our name — `cacheManager.expire`': {
    stores: ['redis'],
    means: async ({ holdfast, outside, keyPrefix, key }) => {
      await outside().call('RPUSH', `${keyPrefix}cache:${key}`, 'foreign')
      expect(await holdfast.cacheManager.expire(key)).toBe(true)
      expect(await holdfast.cacheManager.get(key, { allowStale: true })).toBeNull()
      expect(await outside().call('EXISTS', `${keyPrefix}cache:${key}`)).toBe(0)
    },
  },
  'neither an array nor an iterable — `cacheManager.warm`': {
    refused: ({ holdfast }) => [42, 'text', null, undefined, {}].map((entries) => () => holdfast.cacheManager.warm(entries as unknown as [])),
  },
  'an entry that is none among others — `cacheManager.warm`': {
    means: async ({ holdfast, key }) => {
      const entries = [42, { key }, { key: `${key}:right`, value: 1 }] as unknown as { key: string; value: number }[]
      expect(await holdfast.cacheManager.warm(entries)).toMatchObject({ done: 3, warmed: 1, failed: 2 })
      expect(await holdfast.cacheManager.get(`${key}:right`)).toBe(1)
    },
  },
  'a concurrency of 0, 1001, 1.5 or a text — `cacheManager.warm`': {
    refused: ({ holdfast }) => [0, 1001, 1.5, Number.NaN, '8'].map((concurrency) => () => holdfast.cacheManager.warm([], { concurrency: concurrency as number })),
  },
  'no function as `onProgress` — `cacheManager.warm`': {
    refused: ({ holdfast }) => ['text', 42, null].map((onProgress) => () => holdfast.cacheManager.warm([], { onProgress: onProgress as unknown as () => void })),
  },
}
