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
    expect(proxy.counts).toEqual({ connections: 1, open: 1, held: 0, toServer: '*1\r\n$4\r\nPING\r\n'.length, toClient: '+PONG\r\n'.length })
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

  it('delays by a jitter more, and keeps the order all the same', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set({ delay: 10, jitter: 40 }, 'toServer')
    const order: number[] = []
    const begin = performance.now()
    const calls = Array.from({ length: 12 }, async (_, n) => {
      // A piece of its own each.
      for (let turn = 0; turn < n; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect(await client.call('ECHO', n)).toBe(String(n))
      order.push(n)
    })
    await Promise.all(calls)
    expect(performance.now() - begin).toBeGreaterThanOrEqual(9)
    expect(order).toEqual(Array.from({ length: 12 }, (_, n) => n))
  })

  it('is a slow link that all share by turns, and that holds senders back', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using large = await RespClient.connect({ port: proxy.port })
    using small = await RespClient.connect({ port: proxy.port })
    await proxy.set({ bytesPerSecond: 1_000_000 })
    const text = 'x'.repeat(500_000)
    const begin = performance.now()
    const order: string[] = []
    const echoed = large.call('ECHO', text).then((reply) => (order.push('large'), reply))
    await waitFor('the large one to fill the link', () => proxy.waiting > 0)
    expect(await small.call('PING').then((reply) => (order.push('small'), reply))).toBe('PONG')
    expect(await echoed).toBe(text)
    expect(order).toEqual(['small', 'large'])
    // There and back, less what a late timer makes up for.
    expect(performance.now() - begin).toBeGreaterThanOrEqual(900)
  })

  it('holds back what a slow link has no room for', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set({ bytesPerSecond: 100_000 })
    client.call('ECHO', 'x'.repeat(30_000_000)).catch(() => {})
    await waitFor('some bytes to arrive', () => proxy.counts.toServer > 50_000)
    expect(proxy.waiting).toBeLessThan(300_000)
  })

  it('cuts after the bytes given, which arrive', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await client.call('PING')
    await proxy.set({ cutAfter: '+PONG\r\n$7\r\nwh'.length })
    const cut = client.pipeline([['ECHO', 'whole'], ['PING']]).catch((error: Error) => error.message)
    const before = client.call('PING').catch((error: Error) => error.message)
    expect(await cut).toMatch(/closed/)
    expect(await before).toMatch(/closed/)
    expect(proxy.counts.toClient).toBe('+PONG\r\n'.length + '+PONG\r\n$7\r\nwh'.length)
    // Every connection has its own count, from its first byte on.
    using next = await RespClient.connect({ port: proxy.port })
    expect(await next.call('PING')).toBe('PONG')
    await expect(next.call('ECHO', 'more than the rest')).rejects.toThrow(/closed/)
    await waitFor('both connections to be gone', () => proxy.counts.open === 0)
  })

  it('puts other bytes in place of replies, as often as it is told', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set({ garbage: Buffer.from('+NOT THIS\r\n'), times: 1 })
    expect(await client.call('PING')).toBe('NOT THIS')
    expect(await client.call('PING')).toBe('PONG')
    await proxy.set({ garbage: Buffer.from(':5\r\n') })
    expect([await client.call('PING'), await client.call('PING')]).toEqual([5, 5])
    await proxy.set('pass')
    expect(await client.call('PING')).toBe('PONG')
  })

  it('rewrites replies', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using client = await RespClient.connect({ port: proxy.port })
    await proxy.set({ rewrite: (bytes) => Buffer.from(bytes.toString('latin1').replace('PO', 'pi'), 'latin1') })
    expect(await client.call('PING')).toBe('piNG')
  })

  it.each(['its client ends', 'its client is cut off'])('holds the bytes of a connection that %s, and delivers them later', async (how) => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using direct = await server.client()
    await direct.call('SET', 'held', 'before')
    using client = await RespClient.connect({ port: proxy.port })
    await client.call('PING')
    await proxy.set('hold')
    const unanswered = client.call('SET', 'held', 'late').catch((error: Error) => error.message)
    await waitFor('the bytes', () => proxy.waiting > 0)
    const bytes = proxy.waiting
    if (how === 'its client ends') client.close()
    else proxy.abandon()
    expect(await unanswered).toMatch(/ECONNRESET|closed/)
    await waitFor('the client to be gone', () => proxy.counts.held === 1)

    await proxy.set('pass')
    using other = await RespClient.connect({ port: proxy.port })
    expect(await other.call('GET', 'held')).toBe('before')
    expect(proxy.counts).toMatchObject({ open: 1, held: 1 })
    expect(proxy.release()).toBe(bytes)
    await waitFor('the late bytes', async () => (await direct.call('GET', 'held')) === 'late')
    expect(proxy.counts.held).toBe(0)
  })

  it('delivers nothing to a connection that the server closed meanwhile', async () => {
    await using proxy = await FaultProxy.start({ port: server.port })
    using direct = await server.client()
    await direct.call('SET', 'held', 'before')
    using client = await RespClient.connect({ port: proxy.port })
    const id = await client.call('CLIENT', 'ID')
    await proxy.set('hold')
    client.call('SET', 'held', 'late').catch(() => {})
    await waitFor('the bytes', () => proxy.waiting > 0)
    proxy.abandon()
    expect(await direct.call('CLIENT', 'KILL', 'ID', Number(id))).toBe(1)
    await waitFor('the server to have closed it', () => proxy.counts.held === 0)
    await proxy.set('pass')
    expect(proxy.release()).toBe(0)
    expect(await direct.call('GET', 'held')).toBe('before')
  })
})
