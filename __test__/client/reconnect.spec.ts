// After a kill, a reset or a request, the client is back by itself.
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { opener, type Instance } from '../cache/stores'
import { FaultProxy } from '../support/fault-proxy'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

describe('reconnecting', () => {
  const { open, closeAll } = opener({})
  let server: RedisServer
  let proxy: FaultProxy
  let holdfast: Instance

  beforeEach(async () => {
    server = await RedisServer.start()
    proxy = await FaultProxy.start({ port: server.port })
    holdfast = open({ url: proxy.url, keyPrefix: `reconnect:${randomUUID()}:` })
    await holdfast.redisClient.getClient().call('SET', 'there', 'yes')
  })
  afterEach(async () => {
    await closeAll()
    await proxy.close()
    await server.dispose()
  })
  afterAll(closeAll)

  it('reconnect drops the connections and dials anew', async () => {
    const before = proxy.counts.connections
    await holdfast.redisClient.reconnect()
    await waitFor('the new connection', () => holdfast.redisClient.isAvailable())
    expect(proxy.counts.connections).toBeGreaterThan(before)
    expect(await holdfast.redisClient.execute('GET', 'there')).toBe('yes')
    expect(holdfast.redisClient.getConnectionState().lastReconnectAt).toBeInstanceOf(Date)
  })

  it('reconnect resolves although there is no server', async () => {
    await server.kill()
    await holdfast.redisClient.reconnect()
    expect(holdfast.redisClient.getConnectionState().isConnected).toBe(false)
    await server.start()
    await waitFor('the connection', () => holdfast.redisClient.isAvailable())
  })

  it('comes back after reset connections', async () => {
    proxy.resetConnections()
    await waitFor('an answer', async () => (await holdfast.redisClient.execute('GET', 'there')) === 'yes')
  })

  it('comes back after a kill', async () => {
    const { redisClient } = holdfast
    await server.kill()
    await waitFor('the loss to be noticed', async () => (await redisClient.execute('GET', 'there'), !redisClient.isAvailable()))
    await server.start()
    await waitFor('the return', () => redisClient.isAvailable())
    expect(await redisClient.execute('SET', 'there', 'again')).toBe('OK')
    expect(redisClient.getConnectionState().lastReconnectAt).toBeInstanceOf(Date)
  })

  it('finds out a peer that fell silent, and finds it again', async () => {
    const { cacheManager, fallbackManager } = holdfast
    await cacheManager.set('silent', 1)
    await proxy.set('blackhole')
    await waitFor('the silence to be noticed', async () => (await cacheManager.get('silent'), fallbackManager.getStats().isUsingFallback))
    await proxy.set('pass')
    await waitFor('the return', () => !fallbackManager.getStats().isUsingFallback)
    await waitFor('Redis to answer', async () => (await cacheManager.getEntry('silent'))?.source === 'redis')
  })

  it('reads replies that arrive in single bytes', async () => {
    await proxy.set({ slice: 1 })
    const { cacheManager, redisClient } = holdfast
    await cacheManager.set('sliced', { text: 'ä🜁'.repeat(50) })
    expect(await cacheManager.get('sliced')).toEqual({ text: 'ä🜁'.repeat(50) })
    expect(await redisClient.execute('GET', 'there')).toBe('yes')
  })

  it('leaves no connection behind when it is closed', async () => {
    await holdfast.close()
    await waitFor('the connections to end', () => proxy.counts.open === 0)
    await expect(holdfast.redisClient.getClient().call('PING')).rejects.toMatchObject({ code: 'E_CLOSED' })
  })
})
