// Cases of the bad-input table: foreign values, passwords, ends and beginnings, and wrong settings.
import { createHoldfast, initializeRedisSystem, cacheManager, shutdownRedisSystem } from 'holdfast'
import { expect } from 'vitest'
import { RedisServer } from '../support/redis-server'
import type { InstanceOptions } from '../cache/stores'
import * as root from 'holdfast'
import { callsWithKey, callsWithKeys, type Case, type Context } from './contexts'

/** A list that something else wrote under a name of the cache. */
async function withList({ outside, keyPrefix, key }: Context): Promise<{ isIntact: () => Promise<boolean> }> {
  const name = `${keyPrefix}cache:${key}`
  await outside().call('RPUSH', name, 'foreign')
  return { isIntact: async () => JSON.stringify(await outside().call('LRANGE', name, 0, -1)) === '["foreign"]' }
}

async function withWrongPassword(open: Context['open'], body: (context: ReturnType<Context['open']>) => Promise<void>): Promise<void> {
  await using server = await RedisServer.start({ password: 'right' })
  const holdfast = open({ url: `redis://:wrong@127.0.0.1:${server.port}` })
  await body(holdfast)
  await holdfast.close()
}

/** The shared instance of the package, on this case's store, ended afterwards. */
async function withShared({ store, keyPrefix, key, outside }: Context, body: () => Promise<void>): Promise<void> {
  const before = { ...process.env }
  for (const name of Object.keys(process.env)) if (name.includes('REDIS')) delete process.env[name]
  process.env['REDIS_KEY_PREFIX'] = `${keyPrefix}${key}:`
  process.env['REDIS_URL'] = store === 'memory' ? 'memory:' : `redis://127.0.0.1:${await portOf(outside)}`
  try {
    await initializeRedisSystem()
    await body()
  } finally {
    await shutdownRedisSystem()
    for (const name of Object.keys(process.env)) delete process.env[name]
    Object.assign(process.env, before)
  }
}

/** The calls of the cache about many keys that name none. */
const callsOnMany = (cache: Context['holdfast']['cacheManager'], key: string): (() => unknown)[] => [
  () => cache.clear(),
  () => cache.setMany([{ key, value: 1 }]),
  () => cache.deletePattern('*'),
  () => cache.deleteByTag('tag'),
  () => cache.expireByTag(['tag']),
  () => cache.namespace('space').get(key),
  () => cache.namespace('space').clear(),
  () => cache.warm([{ key, value: 1 }]),
]

async function portOf(outside: Context['outside']): Promise<string> {
  const info = String(await outside().call('INFO', 'server'))
  return /tcp_port:(\d+)/.exec(info)?.[1] ?? ''
}

const made = (...all: unknown[]): (() => unknown)[] => all.map((options) => () => createHoldfast({ env: {}, ...(options as InstanceOptions) }))

export const stateCases: Record<string, Case> = {
  'a list under our name — `cacheManager.get`': {
    stores: ['redis'],
    refused: async (context) => {
      await withList(context)
      return [() => context.holdfast.cacheManager.get(context.key), () => context.holdfast.cacheManager.getEntry(context.key)]
    },
    means: async ({ outside, keyPrefix, key }) => expect(await outside().call('LRANGE', `${keyPrefix}cache:${key}`, 0, -1)).toEqual(['foreign']),
  },
  'a list under our name — `cacheManager.getOrSet`': {
    stores: ['redis'],
    refused: async (context) => {
      await withList(context)
      return [() => context.holdfast.cacheManager.getOrSet(context.key, () => expect.unreachable('the loader ran'))]
    },
    means: async ({ outside, keyPrefix, key }) => expect(await outside().call('LRANGE', `${keyPrefix}cache:${key}`, 0, -1)).toEqual(['foreign']),
  },
  'a list under our name — `cacheManager.exists`': {
    stores: ['redis'],
    means: async (context) => {
      const { isIntact } = await withList(context)
      expect(await context.holdfast.cacheManager.exists(context.key)).toBe(true)
      expect(await isIntact()).toBe(true)
    },
  },
  'a list under our name — `cacheManager.set`': {
    stores: ['redis'],
    means: async (context) => {
      await withList(context)
      expect(await context.holdfast.cacheManager.set(context.key, 'ours')).toBe(true)
      expect(await context.holdfast.cacheManager.get(context.key)).toBe('ours')
    },
  },
  'a list under our name — `cacheManager.delete`': {
    stores: ['redis'],
    means: async (context) => {
      await withList(context)
      expect(await context.holdfast.cacheManager.delete(context.key)).toBe(true)
      expect(await context.holdfast.cacheManager.get(context.key)).toBeNull()
    },
  },
  'a text under our name that is no JSON — `cacheManager.get`': {
    stores: ['redis'],
    refused: async ({ holdfast, outside, keyPrefix, key }) => {
      await outside().call('SET', `${keyPrefix}cache:${key}`, 'plain words')
      return [() => holdfast.cacheManager.get(key), () => holdfast.cacheManager.getEntry(key)]
    },
    means: async ({ outside, keyPrefix, key }) => expect(await outside().call('GET', `${keyPrefix}cache:${key}`)).toBe('plain words'),
  },
  'a wrong password — `cacheManager.set`': {
    stores: ['redis'],
    means: ({ open, key }) =>
      withWrongPassword(open, async (holdfast) => {
        expect(await holdfast.cacheManager.set(key, 1)).toBe(true)
        expect(await holdfast.cacheManager.get(key)).toBe(1)
        expect(holdfast.redisClient.getConnectionState().lastError).toMatchObject({ code: 'E_AUTH' })
      }),
  },
  'a wrong password — `redisClient.getClient().call`': {
    stores: ['redis'],
    refused: async ({ open, key }) => {
      const server = await RedisServer.start({ password: 'right' })
      const holdfast = open({ url: `redis://:wrong@127.0.0.1:${server.port}` })
      return [() => holdfast.redisClient.getClient().call('GET', key), () => server.dispose().then(() => holdfast.redisClient.getClient().call('GET', key))]
    },
  },
  'a wrong password — `redisClient.execute`': {
    stores: ['redis'],
    means: ({ open, key }) =>
      withWrongPassword(open, async (holdfast) => {
        expect(await holdfast.redisClient.execute('GET', key)).toBeNull()
        expect(await holdfast.redisClient.pipeline([{ command: 'GET', args: [key] }])).toEqual([])
      }),
  },
  'any call after `close()` — calls with a key': {
    refused: async ({ open, key }) => {
      const holdfast = open()
      await holdfast.cacheManager.set(key, 1)
      await holdfast.close()
      return [...callsWithKey({ holdfast }, key), ...callsWithKeys({ holdfast }, [key]), ...callsOnMany(holdfast.cacheManager, key), () => holdfast.fallbackManager.mget([key]), () => holdfast.cacheManager.getStats(), () => holdfast.fallbackManager.getStats()]
    },
  },
  'any call after `close()` — `redisClient.getClient().call`': {
    refused: async ({ open, key }) => {
      const holdfast = open()
      const client = holdfast.redisClient.getClient()
      await holdfast.close()
      return [() => client.call('GET', key), () => holdfast.redisClient.execute('GET', key), () => holdfast.redisClient.pipeline([{ command: 'GET', args: [key] }])]
    },
  },
  '`close()` once more — `close`': {
    means: async ({ open }) => {
      const holdfast = open()
      await Promise.all([holdfast.close(), holdfast.close()])
      await holdfast.close()
      await holdfast[Symbol.asyncDispose]()
    },
  },
  'any call after `shutdownRedisSystem()` — calls with a key': {
    refused: async (context) => {
      await withShared(context, async () => undefined)
      return callsWithKey({ holdfast: root as unknown as Context['holdfast'] }, context.key)
    },
  },
  'initialised again with the same options — `initializeRedisSystem`': {
    means: (context) =>
      withShared(context, async () => {
        await cacheManager.set(context.key, 'kept')
        const first = await initializeRedisSystem({ fallbackOptions: { maxMemorySize: 10 } })
        await cacheManager.set(context.key, 'kept')
        expect(await initializeRedisSystem({ fallbackOptions: { maxMemorySize: 10 } })).toEqual(first)
        expect(await cacheManager.get(context.key)).toBe('kept')
      }),
  },
  'initialised again with other options — `initializeRedisSystem`': {
    means: (context) =>
      withShared(context, async () => {
        await cacheManager.set(context.key, 'kept')
        const pending = cacheManager.set(`${context.key}:pending`, 'kept')
        expect((await initializeRedisSystem({ fallbackOptions: { maxMemorySize: 20 } })).success).toBe(true)
        expect(await pending).toBe(true)
        expect(await cacheManager.get(context.key)).toBe(context.store === 'redis' ? 'kept' : null)
        expect(await cacheManager.set(context.key, 'again')).toBe(true)
        expect(await cacheManager.get(context.key)).toBe('again')
      }),
  },
  'initialised with a wrong option — `initializeRedisSystem`': {
    refused: () => [-5, Number.NaN, '100', 0].map((size) => () => initializeRedisSystem({ fallbackOptions: { maxMemorySize: size as number } })),
  },
  'a port of 70000, 0, 1.5, NaN or \'6379\' — `createHoldfast`': {
    refused: () => made(...[70_000, 0, 1.5, Number.NaN, '6379'].map((port) => ({ port }))),
  },
  'a database below 0 — `createHoldfast`': { refused: () => made({ db: -1 }) },
  'a pool of 0 or 65 — `createHoldfast`': { refused: () => made({ poolSize: 0 }, { poolSize: 65 }) },
  'a timeout of 0 or Infinity — `createHoldfast`': { refused: () => made({ commandTimeoutMs: 0 }, { commandTimeoutMs: Number.POSITIVE_INFINITY }) },
  'memory below 1 MB — `createHoldfast`': { refused: () => made({ fallback: { maxMemoryMb: 0 } }, { fallback: { maxMemoryMb: -1 } }) },
  'a near cache that does not exist — `createHoldfast`': { refused: () => made({ nearCache: 'l1' }, { nearCache: 5 }) },
  'copies of no age — `createHoldfast`': { refused: () => made({ nearMaxAge: 0 }, { nearMaxAge: -1 }, { nearMaxAge: 'soon' }) },
  'a sync mode that does not exist — `createHoldfast`': { refused: () => made({ fallback: { syncMode: 'oldest' } }) },
  'an option that does not exist — `createHoldfast`': { refused: () => made({ potr: 6379 }) },
  'a URL of another protocol — `createHoldfast`': { refused: () => made({ url: 'http://127.0.0.1:6379' }) },
  'a URL and a host — `createHoldfast`': { refused: () => made({ url: 'redis://a', host: 'b' }) },
  'half a brace in the key prefix — `createHoldfast`': { refused: () => made({ keyPrefix: '{app:' }, { keyPrefix: 'a}' }, { keyPrefix: '{}' }) },
  'options that are no object — `createHoldfast`': {
    refused: () => [42, 'redis://a', null, []].map((options) => () => createHoldfast(options as unknown as InstanceOptions)),
  },
  'a wrong variable — `createHoldfast`': {
    refused: () => [() => createHoldfast({ env: { REDIS_PORT: '6379;', REDIS_PASSWORD: 'hush-hush' } })],
    means: async () => {
      expect(() => createHoldfast({ env: { REDIS_PORT: '6379;', REDIS_PASSWORD: 'hush-hush' } })).toThrow(/REDIS_PORT is "6379;"; allowed: /)
      expect(() => createHoldfast({ env: { REDIS_PORT: '6379;', REDIS_PASSWORD: 'hush-hush' } })).not.toThrow(/hush/)
    },
  },
}
