// The state of the connection: nothing connects before the first use, and every change shows.
import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { opener } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import { freePort } from '../support/ports'
import { waitFor } from '../support/wait-for'

describe('the connection state', () => {
  const { open, closeAll } = opener({ keyPrefix: `state:${randomUUID()}:` })
  afterAll(closeAll)

  it('begins with no connection at all, and dials when it is asked for', async () => {
    await using server = await RedisServer.start()
    using outside = await server.client()
    const { redisClient, isRedisAvailable } = open({ url: server.url })
    expect(await outside.otherConnections()).toBe(0)
    expect(redisClient.getConnectionState().isConnected).toBe(false)
    await waitFor('the connection, for which the question itself dialled', () => isRedisAvailable())
    expect(redisClient.isAvailable()).toBe(true)
    const connected = redisClient.getConnectionState()
    expect(connected).toMatchObject({ isConnected: true, isConnecting: false })
    expect(connected.lastConnectedAt).toBeInstanceOf(Date)
    expect(Math.abs(Date.now() - connected.lastConnectedAt!.getTime())).toBeLessThan(60_000)
    expect(connected.lastError).toBeUndefined()
    expect(await outside.otherConnections()).toBeGreaterThan(0)
  })

  it('tells why there is no connection', async () => {
    const port = await freePort()
    const { redisClient } = open({ url: `redis://127.0.0.1:${port}` })
    await waitFor('two attempts', () => redisClient.getConnectionState().connectionAttempts >= 2)
    const { isConnected, lastError, lastConnectedAt } = redisClient.getConnectionState()
    expect(isConnected).toBe(false)
    expect(lastConnectedAt).toBeUndefined()
    expect(lastError).toBeInstanceOf(Error)
    expect(lastError).toMatchObject({ name: 'HoldfastError', code: 'E_UNAVAILABLE' })
  })

  it('of memory for good is never connected and never tries', async () => {
    const { redisClient, isRedisAvailable, cacheManager } = open({ url: 'memory:' })
    await cacheManager.set('a', 1)
    expect(isRedisAvailable()).toBe(false)
    expect(redisClient.getConnectionState()).toMatchObject({ isConnected: false, isConnecting: false, connectionAttempts: 0 })
    expect(redisClient.getConnectionState().lastError).toBeUndefined()
  })

  it('counts a server that comes late, and what was cached before it came is there', async () => {
    const port = await freePort()
    const { cacheManager, redisClient, fallbackManager } = open({ url: `redis://127.0.0.1:${port}` })
    expect(await cacheManager.set('early', 'bird')).toBe(true)
    expect(await cacheManager.getEntry('early')).toMatchObject({ value: 'bird', source: 'memory' })
    await using server = await RedisServer.start({ port })
    await waitFor('the server to be found', () => redisClient.isAvailable() && !fallbackManager.getStats().isUsingFallback)
    await waitFor('the journal', () => fallbackManager.getStats().syncStatus === 'synced')
    expect(await cacheManager.getEntry('early')).toMatchObject({ value: 'bird', source: 'redis' })
    expect(server.isRunning).toBe(true)
  })

  it('is healthy by getRedisHealth with a server, and unhealthy without', async () => {
    await using server = await RedisServer.start()
    const { getRedisHealth, redisClient } = open({ url: server.url })
    const health = await getRedisHealth()
    expect(health).toMatchObject({ status: 'healthy', details: { connected: true } })
    expect(health.details.latency).toBeGreaterThanOrEqual(0)
    expect(health.details.version).toMatch(/^\d+\.\d+/)
    expect(health.details.uptime).toBeGreaterThanOrEqual(0)
    expect(typeof health.details.memory).toBe('string')
    await server.kill()
    await waitFor('the end to be noticed', async () => (await redisClient.healthCheck()).status === 'unhealthy')
    expect((await getRedisHealth()).details.connected).toBe(false)
  })
})
