// Cases of the bad-input table: keys, prefixes, values and what takes several of them.
import { expect } from 'vitest'
import { callsWithKey, callsWithValue, comesBack, maxValueBytes, type Case } from './contexts'

const lone = 'half \ud83d of a pair'
const cycle = (): unknown => {
  const parent: { child: { parent?: unknown } } = { child: {} }
  parent.child.parent = parent
  return parent
}

export const keyCases: Record<string, Case> = {
  'an empty key — calls with a key': { refused: (context) => callsWithKey(context, '') },
  'a key that is no text: a number, null, undefined, an object, a symbol — calls with a key': {
    refused: (context) => [42, null, undefined, { key: 'a' }, Symbol('key')].flatMap((key) => callsWithKey(context, key)),
  },
  'a key of 65,537 bytes — calls with a key': { refused: (context) => callsWithKey(context, 'k'.repeat(65_537)) },
  'a key of 30,000 characters that are 90,000 bytes in UTF-8 — calls with a key': {
    refused: (context) => callsWithKey(context, '€'.repeat(30_000)),
  },
  'a key with a lone surrogate — calls with a key': {
    refused: (context) => [lone, '\udc00', 'a\ud800'].flatMap((key) => callsWithKey(context, key)),
  },
  'a key of 65,536 bytes — calls with a key': {
    means: async ({ holdfast }) => {
      const key = 'k'.repeat(65_536)
      for (const call of callsWithKey({ holdfast }, key)) await call()
      expect(await holdfast.cacheManager.get(key)).toBe(1)
    },
  },
  'a key with NUL, a newline, `*` or `{}` — calls with a key': {
    means: async ({ holdfast, key }) => {
      const names = ['\0', '\n', '\r\n', '*', '{}', '{', '}', '?', '[a]'].map((part) => `${key}${part}`)
      for (const name of names) for (const call of callsWithKey({ holdfast }, name)) await call()
      await Promise.all(names.map((name, n) => holdfast.cacheManager.set(name, n)))
      expect(await holdfast.cacheManager.delete(names[3]!)).toBe(true)
      const left = await Promise.all(names.map((name) => holdfast.cacheManager.get(name)))
      expect(left).toEqual(names.map((_, n) => (n === 3 ? null : n)))
    },
  },
  'an empty prefix, one with a lone surrogate, one of 513 bytes, one that is no text — `cacheManager.get`': {
    refused: ({ holdfast, key }) => ['', lone, 'p'.repeat(513), 42 as unknown as string].map((prefix) => () => holdfast.cacheManager.get(key, { prefix })),
  },
  'the prefix `h`, under which tombstones stand — `cacheManager.set`': {
    refused: ({ holdfast, key }) => ['h', 'h:x'].map((prefix) => () => holdfast.cacheManager.set(key, 1, { prefix })),
  },
  'an empty prefix — `cacheManager.clear`': { refused: ({ holdfast }) => [() => holdfast.cacheManager.clear('')] },
  'keys that are no array — `fallbackManager.mget`': {
    refused: ({ holdfast }) => ['text', null, { 0: 'a' }].map((keys) => () => holdfast.fallbackManager.mget(keys as unknown as string[])),
  },
  'an empty key among others — `fallbackManager.mget`': {
    refused: ({ holdfast }) => [() => holdfast.fallbackManager.mget(['a', '', 'c'])],
  },
  'a record that is no object: null, an array, a text — `fallbackManager.mset`': {
    refused: ({ holdfast }) => [null, ['a'], 'text'].map((record) => () => holdfast.fallbackManager.mset(record as unknown as Record<string, unknown>)),
  },
  'a value that JSON can\'t hold among others — `fallbackManager.mset`': {
    refused: ({ holdfast, key }) => [() => holdfast.fallbackManager.mset({ [`${key}a`]: 1, b: 1n, [`${key}c`]: 1 })],
    means: async ({ holdfast, key }) => {
      expect(await holdfast.fallbackManager.mget([`${key}a`, 'b', `${key}c`])).toEqual([null, null, null])
    },
  },
  'an empty key among others — `fallbackManager.mset`': {
    refused: ({ holdfast, key }) => [() => holdfast.fallbackManager.mset({ [`${key}a`]: 1, '': 2 })],
    means: async ({ holdfast, key }) => expect(await holdfast.fallbackManager.get(`${key}a`)).toBeNull(),
  },
  'an empty conversation id — `AICacheManager.cacheConversation`': {
    refused: ({ holdfast }) => [() => holdfast.AICacheManager.cacheConversation('', {})],
  },
  'an empty model, a model that is no text — `AICacheManager.cacheResponse`': {
    refused: ({ holdfast }) => ['', 42, undefined].map((model) => () => holdfast.AICacheManager.cacheResponse('p', 'r', model as string)),
  },
  'a prompt that is neither a text nor an object: a number, null, undefined, a function — `AICacheManager.getCachedResponse`': {
    refused: ({ holdfast }) => [42, null, undefined, () => 'p', 1n].map((prompt) => () => holdfast.AICacheManager.getCachedResponse(prompt as unknown as string, 'm')),
  },
  'an empty prompt — `AICacheManager.cacheResponse`': {
    means: async ({ holdfast }) => {
      expect(await holdfast.AICacheManager.cacheResponse('', 'silence', 'm')).toBe(true)
      expect(await holdfast.AICacheManager.getCachedResponse('', 'm')).toBe('silence')
    },
  },
  'undefined — calls with a value': { refused: (context) => callsWithValue(context, undefined) },
  'a function — calls with a value': { refused: (context) => callsWithValue(context, () => 1) },
  'a symbol — calls with a value': { refused: (context) => callsWithValue(context, Symbol('value')) },
  'a BigInt — calls with a value': { refused: (context) => callsWithValue(context, 1n) },
  'a BigInt inside — calls with a value': {
    refused: (context) => callsWithValue(context, { order: { items: [{ price: 1 }, { price: 2n }] } }),
  },
  'a cycle — calls with a value': { refused: (context) => callsWithValue(context, cycle()) },
  'undefined, functions and symbols inside a value — calls with a value': {
    means: async (context) => {
      const inside = { gone: undefined, call: () => 1, mark: Symbol('m'), list: [undefined, () => 1, Symbol('m'), 1] }
      const [got, expected] = await comesBack(context, inside, { list: [null, null, null, 1] })
      expect(got).toEqual(expected)
    },
  },
  'NaN and Infinity — calls with a value': {
    means: async (context) => {
      const [got, expected] = await comesBack(context, [Number.NaN, Number.POSITIVE_INFINITY], [null, null])
      expect(got).toEqual(expected)
      await context.holdfast.cacheManager.set(context.key, Number.NaN)
      expect(await context.holdfast.cacheManager.get(context.key)).toBeNull()
      expect(await context.holdfast.cacheManager.exists(context.key)).toBe(true)
    },
  },
  'a text with a lone surrogate — `cacheManager.set`': {
    means: async ({ holdfast, key }) => {
      await holdfast.cacheManager.set(key, { text: lone })
      expect(await holdfast.cacheManager.get(key)).toEqual({ text: lone })
    },
  },
  'a text with a lone surrogate — `fallbackManager.set`': { refused: ({ holdfast, key }) => [() => holdfast.fallbackManager.set(key, lone)] },
  'a value whose `toJSON` throws — calls with a value': {
    refused: (context) =>
      callsWithValue(context, {
        toJSON: () => {
          throw new Error('not today')
        },
      }),
  },
  'a value over `maxValueBytes` — calls with a value': {
    refused: (context) => callsWithValue(context, 'v'.repeat(maxValueBytes + 1)),
  },
  'a value over 64 MB where no limit is set — `cacheManager.set`': {
    refused: ({ open, key }) => {
      const unlimited = open({ maxValueBytes: undefined as unknown as number })
      return [() => unlimited.cacheManager.set(key, 'v'.repeat(64 * 1024 * 1024))]
    },
  },
  'undefined — `AICacheManager.cacheResponse`': { refused: ({ holdfast }) => [() => holdfast.AICacheManager.cacheResponse('p', undefined, 'm')] },
  'a cycle — `AICacheManager.cacheConversation`': {
    refused: ({ holdfast }) => {
      const context: { self?: unknown } = {}
      context.self = context
      return [() => holdfast.AICacheManager.cacheConversation('c', context)]
    },
  },
}
