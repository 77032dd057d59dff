// A wrong password is told as such, never shown, and heals when it is set right.
import { randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { opener } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

const right = 'right-secret-4711'
const wrong = 'wrong-secret-0815'

describe('passwords', () => {
  const { open, closeAll } = opener({})
  afterAll(closeAll)
  const keyPrefix = (): string => `auth:${randomUUID()}:`

  it('that are right connect, by option and by URL, for the default user and for one of the ACL', async () => {
    await using server = await RedisServer.start({ password: right })
    using outside = await server.client()
    await outside.call('ACL', 'SETUSER', 'app', 'on', '>app:p@ss/word', '~*', '&*', '+@all')
    const instances = [
      open({ host: '127.0.0.1', port: server.port, password: right, keyPrefix: keyPrefix() }),
      open({ url: server.url, keyPrefix: keyPrefix() }),
      open({ host: '127.0.0.1', port: server.port, username: 'app', password: 'app:p@ss/word', keyPrefix: keyPrefix() }),
      open({ url: `redis://app:${encodeURIComponent('app:p@ss/word')}@127.0.0.1:${server.port}/1`, keyPrefix: keyPrefix() }),
    ]
    for (const { cacheManager } of instances) {
      await cacheManager.set('in', 1)
      expect(await cacheManager.getEntry('in')).toMatchObject({ source: 'redis' })
    }
    expect(await instances[2]!.redisClient.execute('ACL', 'WHOAMI')).toBe('app')
  })

  it('that are wrong leave the cache in memory, E_AUTH in the state, and heal', async () => {
    await using server = await RedisServer.start({ password: right })
    using outside = await server.client()
    const { cacheManager, redisClient, isRedisAvailable, fallbackManager } = open({ host: '127.0.0.1', port: server.port, password: wrong, keyPrefix: keyPrefix() })
    expect(await cacheManager.set('while wrong', 'kept')).toBe(true)
    expect(await cacheManager.getEntry('while wrong')).toMatchObject({ value: 'kept', source: 'memory' })
    expect(isRedisAvailable()).toBe(false)
    const { lastError, isConnected } = redisClient.getConnectionState()
    expect(isConnected).toBe(false)
    expect(lastError).toMatchObject({ name: 'HoldfastError', code: 'E_AUTH' })

    await outside.call('CONFIG', 'SET', 'requirepass', wrong)
    await waitFor('the healing', () => isRedisAvailable() && !fallbackManager.getStats().isUsingFallback)
    await waitFor('the journal', () => fallbackManager.getStats().syncStatus === 'synced')
    expect(await cacheManager.getEntry('while wrong')).toMatchObject({ value: 'kept', source: 'redis' })
    expect(redisClient.getConnectionState().lastError).toBeUndefined()
  })

  it('that are missing or not asked for are told apart from a server that is not there', async () => {
    await using server = await RedisServer.start({ password: right })
    const missing = open({ host: '127.0.0.1', port: server.port, keyPrefix: keyPrefix() })
    await missing.cacheManager.get('a')
    expect(missing.redisClient.getConnectionState().lastError).toMatchObject({ code: 'E_AUTH' })
  })

  it('stand in no error, no state and no health report', async () => {
    await using server = await RedisServer.start({ password: right })
    const holdfast = open({ url: `redis://:${wrong}@127.0.0.1:${server.port}`, keyPrefix: keyPrefix() })
    const failure: unknown = await holdfast.redisClient.getClient().call('GET', 'a').catch((error: unknown) => error)
    const shown = [
      failure,
      holdfast,
      holdfast.redisClient,
      holdfast.redisClient.getConnectionState(),
      await holdfast.getRedisHealth(),
      await holdfast.getSystemStatus(),
      await holdfast.getCacheInfo(),
    ]
    for (const one of shown) {
      // Not toContain: its message would print all of it.
      expect(inspect(one, { depth: 20, showHidden: true }).includes(wrong), `${typeof one} ${String(one)}`).toBe(false)
      expect((safeJson(one) ?? '').includes(wrong), `${typeof one} ${String(one)} as JSON`).toBe(false)
    }
  })
})

function safeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
