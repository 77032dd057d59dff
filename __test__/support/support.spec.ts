// The test tools themselves: a fault that is not really injected would prove nothing.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { FaultProxy } from './fault-proxy'
import { RedisServer } from './redis-server'
import { RespClient, RespError } from './resp-client'
import { waitFor } from './wait-for'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start({ persistent: true })
})
afterAll(() => server.dispose())

describe('the raw client', () => {
  it('reads every kind of reply, large ones and broken ones too', async () => {
    using client = await server.client()
    const large = 'x'.repeat(3_000_000)
    await client.call('SET', 'large', large)
    const replies = await client.pipeline([
      ['GET', 'large'],
      ['GET', 'none'],
      ['RPUSH', 'list', 'a', 'ü'],
      ['LRANGE', 'list', 0, -1],
      ['INCR', 'large'],
      ['EVAL', 'return {1,{2,false,"x"},{}}', 0],
    ])
    expect(replies[0]).toBe(large)
    expect(replies.slice(1, 4)).toEqual([null, 2, ['a', 'ü']])
    expect(replies[4]).toBeInstanceOf(RespError)
    expect(replies[5]).toEqual([1, [2, null, 'x'], []])
    await expect(client.call('NOSUCH')).rejects.toThrow(/unknown command/)
  })
})

describe('the server', () => {
  it('keeps what was written through kill -9 when its data is kept, and nothing otherwise', async () => {
    using before = await server.client()
    await before.call('SET', 'kept', 'yes')
    await server.restart({ keepData: true, force: true })
    await expect(before.call('PING')).rejects.toThrow()
    using after = await server.client()
    expect(await after.call('GET', 'kept')).toBe('yes')
    await server.restart({ keepData: false })
    using empty = await server.client()
    expect(await empty.call('DBSIZE')).toBe(0)
  })

  it('answers nothing while frozen and everything after', async () => {
    using client = await server.client()
    server.freeze()
    let answer: unknown
    const pending = client.call('ECHO', 'late').then((reply) => (answer = reply))
    // The kernel still accepts connections.
    using other = await RespClient.connect({ port: server.port })
    expect(answer).toBeUndefined()
    server.thaw()
    await pending
    expect(answer).toBe('late')
    expect(await other.call('PING')).toBe('PONG')
  })

  it('asks for its password', async () => {
    await using guarded = await RedisServer.start({ password: 'secret' })
    using client = await guarded.client()
    expect(await client.call('PING')).toBe('PONG')
    using stranger = await RespClient.connect({ port: guarded.port })
    await expect(stranger.call('PING')).rejects.toThrow(/NOAUTH/)
  })
})

describe('the fault proxy', () => {
  it('passes, and counts what it passes', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    expect(await client.call('PING')).toBe('PONG')
    expect(proxy.counts).toEqual({ connections: 1, open: 1, toServer: '*1\r\n$4\r\nPING\r\n'.length, toClient: '+PONG\r\n'.length })
    client.close()
    await waitFor('the connection to be gone', () => proxy.counts.open === 0)
  })

  it('refuses, and listens on the same port again', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set('refuse')
    await expect(client.call('PING')).rejects.toThrow()
    await expect(RespClient.connect({ port: proxy.port })).rejects.toThrow(/ECONNREFUSED/)
    await proxy.set('pass')
    using again = await RespClient.connect({ port: proxy.port })
    expect(await again.call('PING')).toBe('PONG')
  })

  it('holds everything in a blackhole and delivers it after', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set('blackhole')
    using late = await RespClient.connect({ port: proxy.port })
    const answers = [client.call('PING'), late.call('PING')]
    using direct = await server.client()
    await direct.call('PING')
    expect(proxy.counts.toServer).toBe(0)
    await proxy.set('pass')
    expect(await Promise.all(answers)).toEqual(['PONG', 'PONG'])
  })

  it('can swallow the replies alone, so that a command takes effect unanswered', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    using direct = await server.client()
    await proxy.set('blackhole', 'toClient')
    const unanswered = client.call('SET', 'effect', 'there').catch((error: Error) => error.message)
    await waitFor('the effect', async () => (await direct.call('GET', 'effect')) === 'there')
    await proxy.set('reset')
    expect(await unanswered).toMatch(/ECONNRESET|closed/)
  })

  it('resets connections that stand and that come', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await client.call('PING')
    await proxy.set('reset')
    await expect(client.call('PING')).rejects.toThrow()
    await expect(
      RespClient.connect({ port: proxy.port }).then((connected) => connected.call('PING')),
    ).rejects.toThrow()
  })

  it('delays every piece by at least the time given, in order', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set({ delay: 40 })
    const begin = performance.now()
    expect(await Promise.all([client.call('ECHO', 'a'), client.call('ECHO', 'b')])).toEqual(['a', 'b'])
    expect(performance.now() - begin).toBeGreaterThanOrEqual(78)
  })

  it('slices into pieces without losing a byte', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set({ slice: 3 })
    const text = 'Grüße '.repeat(500)
    expect(await client.call('ECHO', text)).toBe(text)
  })
})
