// Raw commands: execute and call, their arguments and their replies.
import { HoldfastError } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { onStore } from '../cache/stores'

describe('raw commands', () => {
  const { holdfast, keyPrefix, outside } = onStore('redis')
  const { redisClient } = holdfast
  const client = redisClient.getClient()

  it('execute gives the reply', async () => {
    expect(await redisClient.execute('SET', 'text', 'hello')).toBe('OK')
    expect(await redisClient.execute<string>('GET', 'text')).toBe('hello')
    expect(await redisClient.execute('get', 'text')).toBe('hello')
    expect(await redisClient.execute<number>('STRLEN', 'text')).toBe(5)
    expect(await redisClient.execute('GET', 'missing')).toBeNull()
    expect(await redisClient.execute('PING')).toBe('PONG')
  })

  it('execute gives null when the command fails, and the connection goes on', async () => {
    await redisClient.execute('RPUSH', 'list', 'a', 'b')
    expect(await redisClient.execute('INCR', 'list')).toBeNull()
    expect(await redisClient.execute('NOSUCHCOMMAND')).toBeNull()
    expect(redisClient.getConnectionState().isConnected).toBe(true)
    expect(await redisClient.execute('LRANGE', 'list', 0, -1)).toEqual(['a', 'b'])
  })

  it('call rejects when the command fails', async () => {
    await client.call('RPUSH', 'list2', 'a')
    const failure: unknown = await client.call('INCR', 'list2').catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(HoldfastError)
    expect(failure).toMatchObject({ code: 'E_DATA', applied: 'no', retryable: false })
    expect(String((failure as Error).cause)).toContain('WRONGTYPE')
  })

  it('give replies of every type', async () => {
    await client.call('HSET', 'hash', 'a', 1, 'b', 'two')
    await client.call('ZADD', 'sorted', 1.5, 'm')
    await client.call('SADD', 'set', 'only')
    expect(await client.call('INCRBY', 'count', 41)).toBe(41)
    expect(await client.call('INCR', 'count')).toBe(42)
    expect(await client.call('LRANGE', 'missing', 0, -1)).toEqual([])
    expect(await client.call('MGET', 'count', 'missing')).toEqual(['42', null])
    expect(await client.call('EXISTS', 'count', 'hash')).toBe(2)
    expect(await client.call('HGET', 'hash', 'b')).toBe('two')
    expect(await client.call('SMEMBERS', 'set')).toEqual(['only'])
    expect(Number(await client.call('ZSCORE', 'sorted', 'm'))).toBe(1.5)
    expect(await client.call('TYPE', 'hash')).toBe('hash')
    expect(await client.call('EVAL', 'return {1, {2, "x"}, false}', 0)).toEqual([1, [2, 'x'], null])
  })

  it('take numbers and bytes as arguments', async () => {
    const bytes = Buffer.from([0, 1, 255, 254, 13, 10, 0])
    await client.call('SET', 'bytes', bytes)
    await client.call('SET', 'view', new Uint8Array(bytes.buffer, bytes.byteOffset + 1, 3))
    await client.call('SET', 'number', 1.5)
    const raw = outside()
    raw.encoding = 'latin1'
    expect(await raw.call('GET', `${keyPrefix}bytes`)).toBe('\0\u0001ÿþ\r\n\0')
    expect(await raw.call('GET', `${keyPrefix}view`)).toBe('\u0001ÿþ')
    raw.encoding = 'utf8'
    expect(await raw.call('GET', `${keyPrefix}number`)).toBe('1.5')
  })

  it('give bytes that are no text as bytes, and text as text', async () => {
    const bytes = Buffer.from([0, 1, 255, 254])
    await client.call('SET', 'bytes', bytes)
    const reply = await client.call('GET', 'bytes')
    expect(reply).toBeInstanceOf(Uint8Array)
    expect([...(reply as Uint8Array)]).toEqual([0, 1, 255, 254])
    await client.call('SET', 'text', 'ä\0🜁')
    expect(await client.call('GET', 'text')).toBe('ä\0🜁')
    expect(await client.call('MGET', 'text', 'bytes')).toEqual(['ä\0🜁', reply])
  })

  it('take the bytes as they were when call was called', async () => {
    const bytes = Buffer.from([1, 2, 3])
    const written = client.call('SET', 'moment', bytes)
    bytes.fill(9)
    await written
    expect(await client.call('STRLEN', 'moment')).toBe(3)
    const stored = await client.call('GETRANGE', 'moment', 0, -1)
    expect(stored).toBe('\u0001\u0002\u0003')
  })

  it('store no envelope, so that counting works', async () => {
    await client.call('SET', 'n', 1)
    expect(await client.call('INCR', 'n')).toBe(2)
    expect(await outside().call('GET', `${keyPrefix}n`)).toBe('2')
  })

  it('that wait for something hold up nobody else', async () => {
    const waiting = client.call('BLPOP', 'queue', 30)
    expect(await client.call('SET', 'meanwhile', 'goes on')).toBe('OK')
    expect(await Promise.all(Array.from({ length: 100 }, (_, n) => client.call('ECHO', n)))).toHaveLength(100)
    expect(await client.call('RPUSH', 'queue', 'job')).toBe(1)
    expect(((await waiting) as unknown[])[1]).toBe('job')
  })

  it('keep their order', async () => {
    const replies = await Promise.all([...Array.from({ length: 300 }, () => client.call('INCR', 'order'))])
    expect(replies).toEqual(Array.from({ length: 300 }, (_, n) => n + 1))
  })
})
