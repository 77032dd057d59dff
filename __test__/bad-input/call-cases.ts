// Cases of the bad-input table: lifetimes, options, loaders, listeners and raw commands.
import { expect } from 'vitest'
import { maxValueBytes, type Case, type Context } from './contexts'

const day = 86_400
const wrongTtls = [-1, -0.001, Number.NaN, Number.POSITIVE_INFINITY, 200 * 365 * day, '90', 'soon', '1w', null, {}]

async function livesFor({ holdfast, key }: Context, ttl: number, seconds: number): Promise<void> {
  expect(await holdfast.cacheManager.set(key, 1, { ttl })).toBe(true)
  const entry = await holdfast.cacheManager.getEntry(key)
  expect(entry?.ttlMs).toBeLessThanOrEqual(seconds * 1000)
  expect(entry?.ttlMs).toBeGreaterThan(seconds * 1000 - 20_000)
}

export const callCases: Record<string, Case> = {
  'a ttl of 0 — `cacheManager.set`': { means: (context) => livesFor(context, 0, 3600) },
  'a ttl of 0 — `fallbackManager.set`': {
    means: async ({ holdfast, store, outside, keyPrefix, key }) => {
      expect(await holdfast.fallbackManager.set(key, 1, 0)).toBe(true)
      expect(await holdfast.fallbackManager.get(key)).toBe(1)
      if (store === 'redis') expect(await outside().call('TTL', `${keyPrefix}fallback:${key}`)).toBe(-1)
    },
  },
  'a ttl of 0 — `AICacheManager.cacheResponse`': {
    means: async ({ holdfast, key }) => {
      await holdfast.AICacheManager.cacheResponse(key, 'r', 'm', 0)
      const entry = await holdfast.AICacheManager.getCachedEntry(key, 'm')
      expect(entry?.ttlMs).toBeGreaterThan((day - 20) * 1000)
      expect(entry?.ttlMs).toBeLessThanOrEqual(day * 1000)
    },
  },
  'a ttl below 0, NaN, Infinity, 200 years, or a text without a unit — `cacheManager.set`': {
    refused: ({ holdfast, key }) => wrongTtls.map((ttl) => () => holdfast.cacheManager.set(key, 1, { ttl: ttl as number })),
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'a ttl below 0, NaN, Infinity, 200 years, or a text without a unit — `cacheManager.getOrSet`': {
    refused: ({ holdfast, key }) =>
      wrongTtls.map((ttl) => () =>
        holdfast.cacheManager.getOrSet(key, () => expect.unreachable('the loader ran'), { ttl: ttl as number }),
      ),
  },
  'a ttl below 0, NaN, Infinity, 200 years, or a text without a unit — `fallbackManager.set`': {
    refused: ({ holdfast, key }) => wrongTtls.map((ttl) => () => holdfast.fallbackManager.set(key, 1, ttl as number)),
    means: async ({ holdfast, key }) => expect(await holdfast.fallbackManager.exists(key)).toBe(false),
  },
  'a ttl below 0, NaN, Infinity, 200 years, or a text without a unit — `AICacheManager.cacheResponse`': {
    refused: ({ holdfast, key }) => wrongTtls.map((ttl) => () => holdfast.AICacheManager.cacheResponse(key, 'r', 'm', ttl as number)),
  },
  'a ttl of 30 days — `cacheManager.set`': { means: (context) => livesFor(context, 30 * day, 30 * day) },
  'a ttl of 100 years — `cacheManager.set`': { means: (context) => livesFor(context, 100 * 365 * day, 100 * 365 * day) },
  'a ttl, jitter and grace of more than 100 years together — `cacheManager.set`': {
    refused: ({ holdfast, key }) => [() => holdfast.cacheManager.set(key, 1, { ttl: '36500d', grace: '60d' })],
  },
  'a ttl together with `persist` — `cacheManager.set`': {
    refused: ({ holdfast, key }) => [() => holdfast.cacheManager.set(key, 1, { ttl: 60, persist: true })],
  },
  'a number as third argument, as other caches take it — `cacheManager.set`': {
    refused: ({ holdfast, key }) => [() => holdfast.cacheManager.set(key, 1, 60 as unknown as { ttl: number })],
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'an option of the wrong type — `cacheManager.set`': {
    refused: ({ holdfast, key }) => [() => holdfast.cacheManager.set(key, 1, { compress: 'yes' as unknown as boolean })],
  },
  'a loader that is no function — `cacheManager.getOrSet`': {
    refused: ({ holdfast, key }) => ['text', undefined, 1].map((loader) => () => holdfast.cacheManager.getOrSet(key, loader as unknown as () => number)),
  },
  'a loader that throws — `cacheManager.getOrSet`': {
    means: async ({ holdfast, key }) => {
      class Own extends Error {
        readonly detail = { of: 'the app' }
      }
      for (const thrown of [new Own('mine'), 'a text', null, { code: 'E_INVALID' }]) {
        const caught = await holdfast.cacheManager
          .getOrSet(key, async () => {
            throw thrown
          })
          .then(() => 'nothing was thrown', (reason: unknown) => reason)
        expect(caught).toBe(thrown)
      }
      expect(await holdfast.cacheManager.exists(key)).toBe(false)
    },
  },
  'a loader that returns undefined — `cacheManager.getOrSet`': {
    means: async ({ holdfast, key }) => {
      expect(await holdfast.cacheManager.getOrSet(key, async () => undefined)).toBeUndefined()
      expect(await holdfast.cacheManager.exists(key)).toBe(false)
    },
  },
  'a loader that returns what JSON can\'t hold — `cacheManager.getOrSet`': {
    refused: ({ holdfast, key }) => [1n, () => 1, Symbol('v')].map((value) => () => holdfast.cacheManager.getOrSet<unknown>(key, async () => value)),
    means: async ({ holdfast, key }) => expect(await holdfast.cacheManager.exists(key)).toBe(false),
  },
  'a loader that returns a value over `maxValueBytes` — `cacheManager.getOrSet`': {
    means: async ({ holdfast, key }) => {
      const value = 'v'.repeat(maxValueBytes + 1)
      const before = holdfast.cacheManager.getStats().errors
      expect(await holdfast.cacheManager.getOrSet(key, async () => value)).toBe(value)
      expect(await holdfast.cacheManager.exists(key)).toBe(false)
      expect(holdfast.cacheManager.getStats().errors).toBe(before + 1)
    },
  },
  'a function that is none — `FallbackCache.memoize`': {
    refused: ({ holdfast }) => ['text', undefined].map((fn) => () => holdfast.FallbackCache.memoize(fn as unknown as () => number)),
  },
  'an event that does not exist — `fallbackManager.on`': {
    refused: ({ holdfast }) => ['redis:conected', '', 'toString', '__proto__'].map((event) => () => holdfast.fallbackManager.on(event as 'redis:connected', () => undefined)),
  },
  'a listener that is no function — `fallbackManager.on`': {
    refused: ({ holdfast }) => [() => holdfast.fallbackManager.on('redis:connected', 'listener' as unknown as () => void)],
  },
  'a switch that is no boolean — `fallbackManager.forceFallbackMode`': {
    refused: ({ holdfast }) => ['true', 1, undefined].map((enabled) => () => holdfast.fallbackManager.forceFallbackMode(enabled as unknown as boolean)),
    means: async ({ holdfast }) => expect(holdfast.fallbackManager.getStats().forced).toBe(false),
  },
  'an empty command, one that is no text — `redisClient.getClient().call`': {
    refused: ({ holdfast }) => ['', ' ', 42, undefined].map((command) => () => holdfast.redisClient.getClient().call(command as string)),
  },
  'an argument that is no text, number or bytes — `redisClient.getClient().call`': {
    refused: ({ holdfast, key }) =>
      [undefined, null, true, {}, Number.NaN, ['a'], 1n, Symbol('a'), '\ud800'].map((value) => () => holdfast.redisClient.getClient().call('SET', key, value as string)),
  },
  'an empty command, one that is no text — `redisClient.execute`': {
    refused: ({ holdfast }) => ['', 42, undefined].map((command) => () => holdfast.redisClient.execute(command as string)),
  },
  'commands that are no array — `redisClient.pipeline`': {
    refused: ({ holdfast }) => ['PING', undefined, { command: 'PING' }].map((commands) => () => holdfast.redisClient.pipeline(commands as unknown as [])),
  },
  'a command without a name among others — `redisClient.pipeline`': {
    refused: ({ holdfast, key }) => [
      () => holdfast.redisClient.pipeline([{ command: 'SET', args: [key, '1'] }, { command: '', args: [] }, { command: 'PING', args: [] }]),
    ],
    means: async ({ holdfast, key }) => expect(await holdfast.redisClient.execute('GET', key)).toBeNull(),
  },
}
