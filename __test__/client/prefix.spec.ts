// Every key of a raw command carries the prefix, whatever the command's shape, and nothing else does.
import { describe, expect, it } from 'vitest'
import { onStore } from '../cache/stores'

describe('the key prefix of raw commands', () => {
  const { holdfast, open, keyPrefix, outside } = onStore('redis')
  const client = holdfast.redisClient.getClient()
  const written = async (): Promise<string[]> => ((await outside().call('KEYS', `${keyPrefix}*`)) as string[]).map((key) => key.slice(keyPrefix.length)).filter((name) => name !== 'h:life').sort()

  it.each<[string, (string | number)[], string[]]>([
    ['one key', ['SET', 'one', 'one'], ['one']],
    ['key and value pairs', ['MSET', 'a', 'b', 'b', 'a'], ['a', 'b']],
    ['an expiry before the value', ['SETEX', 'x', 60, 'x'], ['x']],
    ['fields of a hash', ['HSET', 'h', 'f', 'h'], ['h']],
    ['a list', ['RPUSH', 'l', 'l', 'l'], ['l']],
    ['a stream', ['XADD', 's', '*', 's', 's'], ['s']],
    ['a counted list of keys', ['EVAL', "return redis.call('SET', KEYS[1], ARGV[1])", 1, 'key', 'key'], ['key']],
    ['scores', ['ZADD', 'z', 1, 'z'], ['z']],
  ])('stands before %s', async (_, command, names) => {
    const old = await written()
    for (const name of old) await outside().call('DEL', `${keyPrefix}${name}`)
    await client.call(...(command as [string, ...(string | number)[]]))
    expect(await written()).toEqual(names)
  })

  it.each<[string, (string | number)[][], (string | number)[], string]>([
    ['both keys of a RENAME', [['SET', 'from', 'v']], ['RENAME', 'from', 'to'], 'to'],
    ['both keys of a COPY', [['SET', 'from', 'v']], ['COPY', 'from', 'to'], 'to'],
    ['the target and the counted keys of ZUNIONSTORE', [['ZADD', 'from', 1, 'm']], ['ZUNIONSTORE', 'to', 1, 'from'], 'to'],
    ['the target and the keys of SINTERSTORE', [['SADD', 'from', 'm']], ['SINTERSTORE', 'to', 'from'], 'to'],
    ['both keys of LMOVE', [['RPUSH', 'from', 'm']], ['LMOVE', 'from', 'to', 'LEFT', 'RIGHT'], 'to'],
    ['the keys of BITOP', [['SET', 'from', 'v']], ['BITOP', 'NOT', 'to', 'from'], 'to'],
    ['the target of SORT with STORE', [['RPUSH', 'from', 2, 1]], ['SORT', 'from', 'STORE', 'to'], 'to'],
  ])('stands before %s', async (_, before, command, target) => {
    for (const name of await written()) await outside().call('DEL', `${keyPrefix}${name}`)
    for (const one of before) await client.call(...(one as [string, ...(string | number)[]]))
    await client.call(...(command as [string, ...(string | number)[]]))
    expect(await written()).toContain(target)
    expect(await outside().call('EXISTS', 'from', 'to')).toBe(0)
  })

  it('stands before the keys after STREAMS', async () => {
    await client.call('XADD', 'stream', '1-1', 'f', 'v')
    expect(JSON.stringify(await client.call('XREAD', 'COUNT', 1, 'STREAMS', 'stream', '0-0'))).toContain('1-1')
  })

  it('stands before the key behind a subcommand', async () => {
    await client.call('XGROUP', 'CREATE', 'grouped', 'workers', '$', 'MKSTREAM')
    expect(await outside().call('EXISTS', `${keyPrefix}grouped`)).toBe(1)
    expect(JSON.stringify(await client.call('XINFO', 'GROUPS', 'grouped'))).toContain('workers')
    await client.call('SET', 'counted', 5)
    expect(await client.call('OBJECT', 'ENCODING', 'counted')).toBe('int')
    expect(await client.call('MEMORY', 'USAGE', 'counted')).toBeGreaterThan(0)
  })

  it('stands before no argument that is no key', async () => {
    expect(await client.call('ECHO', 'text')).toBe('text')
    expect(await client.call('PING', 'text')).toBe('text')
  })

  it('can be empty', async () => {
    const bare = open({ keyPrefix: '' })
    const name = `${keyPrefix}bare`
    await bare.redisClient.getClient().call('SET', name, 'v')
    expect(await outside().call('GET', name)).toBe('v')
  })

  it('stands before keys given as bytes', async () => {
    await client.call('SET', Buffer.from('bytes'), 'v')
    expect(await outside().call('GET', `${keyPrefix}bytes`)).toBe('v')
  })
})
