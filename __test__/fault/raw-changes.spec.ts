// fallback.rawChanges: raw commands that merge. Each such change has an id, so it is carried out once however often
// it is sent, and in an outage memory answers it and the journal keeps it. docs/decisions/0010 has why.

import type { FallbackData } from 'holdfast'
import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import type { Instance } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { apart, Scene } from './outage'
import { another, comeBack, held, leave, merge, run, settled, start, type Command } from './raw'

describe('by default', () => {
  it('no raw command is answered in an outage, and none is journalled', async () => {
    await using scene = await start({})
    const { holdfast } = scene
    await run(holdfast, [['SET', 'counter', 10]])
    await leave(scene)
    const client = holdfast.redisClient.getClient()
    for (const [name, ...args] of [['INCR', 'counter'], ['HSET', 'hash', 'a', 1], ['SADD', 'set', 'a'], ['RPUSH', 'list', 'a'], ['GET', 'counter']] as Command[]) {
      await expect(client.call(name, ...args)).rejects.toMatchObject({ code: 'E_UNAVAILABLE', applied: 'no' })
    }
    expect(await holdfast.redisClient.execute('INCR', 'counter')).toBeNull()
    expect(holdfast.fallbackManager.getStats().journalDepth).toBe(0)
    await comeBack(scene)
    expect(await held(scene, ['GET', 'counter'], ['EXISTS', 'hash', 'set', 'list'])).toEqual(['10', 0])
  })
})

interface Kind {
  kind: string
  before: Command[]
  /** By the other process, while we are cut off and before ours. */
  earlier: Command[]
  ours: Command[]
  answers: unknown[]
  reads: Command[]
  read: unknown[]
  /** By the other process, after ours. */
  later: Command[]
  question: Command
  end: unknown
}

const kinds: Kind[] = [
  {
    kind: 'counter',
    before: [['SET', 'key', 10]],
    earlier: [['INCRBY', 'key', 100]],
    ours: [['INCR', 'key'], ['INCRBY', 'key', 5], ['DECR', 'key'], ['DECRBY', 'key', 2]],
    // Memory counts what was changed through this process since the outage began.
    answers: [1, 6, 5, 3],
    reads: [['GET', 'key'], ['TYPE', 'key'], ['EXISTS', 'key']],
    read: ['3', 'string', 1],
    later: [['DECRBY', 'key', 1000]],
    question: ['GET', 'key'],
    end: '-887',
  },
  {
    kind: 'hash',
    before: [['HSET', 'key', 'kept', 'before', 'ours', 'before', 'theirs', 'before', 'removed', 'before', 'returned', 'before']],
    earlier: [['HSET', 'key', 'ours', 'theirs, older', 'removed', 'theirs, older'], ['HDEL', 'key', 'returned']],
    ours: [['HSET', 'key', 'ours', 'ours', 'theirs', 'ours, older'], ['HDEL', 'key', 'removed', 'absent'], ['HSET', 'key', 'returned', 'ours', 'fleeting', 'x'], ['HDEL', 'key', 'fleeting']],
    answers: [2, 0, 2, 1],
    reads: [['HGETALL', 'key'], ['HGET', 'key', 'kept'], ['HEXISTS', 'key', 'ours'], ['HLEN', 'key'], ['HMGET', 'key', 'ours', 'fleeting'], ['HKEYS', 'key'], ['HVALS', 'key']],
    read: [{ ours: 'ours', theirs: 'ours, older', returned: 'ours' }, null, 1, 3, ['ours', null], ['ours', 'returned', 'theirs'], ['ours', 'ours', 'ours, older']],
    later: [['HSET', 'key', 'theirs', 'theirs'], ['HSET', 'key', 'new', 'theirs']],
    question: ['HGETALL', 'key'],
    end: { kept: 'before', ours: 'ours', theirs: 'theirs', returned: 'ours', new: 'theirs' },
  },
  {
    kind: 'set',
    before: [['SADD', 'key', 'kept', 'removed', 'theirs']],
    earlier: [['SREM', 'key', 'kept'], ['SADD', 'key', 'taken']],
    ours: [['SADD', 'key', 'kept', 'ours', 'theirs, older'], ['SREM', 'key', 'removed', 'taken'], ['SADD', 'key', 'fleeting'], ['SREM', 'key', 'fleeting']],
    answers: [3, 0, 1, 1],
    reads: [['SMEMBERS', 'key'], ['SISMEMBER', 'key', 'ours'], ['SISMEMBER', 'key', 'theirs'], ['SCARD', 'key']],
    read: [['kept', 'ours', 'theirs, older'], 1, 0, 3],
    later: [['SREM', 'key', 'theirs, older', 'theirs']],
    question: ['SMEMBERS', 'key'],
    end: ['kept', 'ours'],
  },
  {
    kind: 'list',
    before: [['RPUSH', 'key', 'before']],
    earlier: [['RPUSH', 'key', 'theirs 1']],
    ours: [['RPUSH', 'key', 'a', 'b'], ['LPUSH', 'key', 'c', 'd'], ['RPUSH', 'key', 'e']],
    answers: [2, 4, 5],
    reads: [['LRANGE', 'key', 0, -1], ['LINDEX', 'key', 0], ['LLEN', 'key']],
    read: [['d', 'c', 'a', 'b', 'e'], 'd', 5],
    // A list keeps what is pushed in the order in which it reaches the server.
    later: [['LPUSH', 'key', 'theirs 2']],
    question: ['LRANGE', 'key', 0, -1],
    end: ['d', 'c', 'theirs 2', 'before', 'theirs 1', 'a', 'b', 'e'],
  },
]

/** The same whatever the order of fields and members. */
function unordered(kind: string, reply: unknown): unknown {
  if (kind === 'set') return [...(reply as string[])].sort()
  if (kind !== 'hash') return reply
  const words = reply as string[]
  return Object.fromEntries(range(words.length / 2).map((at) => [words[2 * at], words[2 * at + 1]]))
}

describe("with rawChanges: 'merge'", () => {
  describe.each(kinds)('a $kind', ({ kind, before, earlier, ours, answers, reads, read, later, question, end }) => {
    it('that two processes change, of which one is cut off, has what both did, over a kill -9 of the server too', async () => {
      await using scene = await start(merge(), { persistent: true })
      const { holdfast, proxy, server } = scene
      const other = await another(scene)
      await run(holdfast, before)
      await leave(scene)
      await run(other, earlier)
      await apart()
      expect(await run(holdfast, ours)).toEqual(answers)
      expect(await run(holdfast, reads)).toEqual(read)
      expect(holdfast.fallbackManager.getStats()).toMatchObject({ isUsingFallback: true, journalDepth: 1 })
      await apart()
      await server.kill()
      // Cut off as well by now.
      await run(other, later)
      await server.start()
      await waitFor('the other one', () => other.isRedisAvailable() && other.fallbackManager.getStats().journalDepth === 0)
      await comeBack(scene)
      const [reply] = await held(scene, question)
      expect(unordered(kind, reply)).toEqual(end)
      expect(holdfast.fallbackManager.getStats()).toMatchObject({ replayed: 1, superseded: 0, conflicts: 0, dropped: 0 })
      // What is asked of Redis again answers the same.
      const [asked] = await run(holdfast, [question])
      expect(kind === 'set' ? (asked as string[]).sort() : asked).toEqual(end)
    })
  })

  const calls = 300
  const countUp = ({ redisClient }: Instance): Promise<unknown>[] => range(calls).map(() => redisClient.getClient().call('INCR', 'counter'))
  const pushAll = ({ redisClient }: Instance): Promise<unknown>[] => range(calls).map((n) => redisClient.getClient().call('RPUSH', 'list', n))
  const everyPush = range(calls).map(String)

  describe('hundreds of changes on a connection that breaks', () => {
    /** Each was carried out once and in order. Answers what was said. */
    async function onceEach(scene: Scene, sent: readonly Promise<unknown>[]): Promise<unknown[]> {
      const said = await settled(sent)
      await scene.healed()
      expect(said.filter((answer) => typeof answer !== 'number')).toEqual([])
      expect(await held(scene, ['GET', 'counter'], ['LRANGE', 'list', 0, -1])).toEqual([String(calls), everyPush])
      return said
    }
    const ownNumbers = [...range(calls), ...range(calls)].map((n) => n + 1)

    it('after they arrived and before their replies did are carried out once, and each is answered with its own number', async () => {
      await using scene = await start()
      const { events, holdfast, proxy } = scene
      await proxy.set('blackhole', 'toClient')
      const sent = [...countUp(holdfast), ...pushAll(holdfast)]
      await waitFor('all of them to arrive', async () => (await held(scene, ['LLEN', 'list']))[0] === calls)
      proxy.resetConnections()
      await proxy.set('pass')
      expect(await onceEach(scene, sent)).toEqual(ownNumbers)
      expect(events).toEqual(['backend-connected'])
    })

    it('before they arrived are carried out, and each is answered', async () => {
      await using scene = await start()
      const { events, holdfast, proxy } = scene
      await proxy.set('hold')
      const sent = [...countUp(holdfast), ...pushAll(holdfast)]
      await waitFor('their bytes', () => proxy.waiting > 0)
      proxy.abandon()
      await proxy.set('pass')
      expect(await onceEach(scene, sent)).toEqual(ownNumbers)
      expect(events).toEqual(['backend-connected'])
    })

    it.each([50, 500, 2_000])('after %i bytes of replies are carried out once, whoever answers them', async (bytes) => {
      await using scene = await start()
      const { holdfast, proxy } = scene
      // Dials break off as well.
      await proxy.set({ cutAfter: bytes })
      const sent = [...countUp(holdfast), ...pushAll(holdfast)]
      await settled(sent)
      await proxy.set('pass')
      await onceEach(scene, sent)
    })
  })

  it('changes that were sent and not answered before an outage are carried out once', async () => {
    await using scene = await start()
    const { holdfast, proxy } = scene
    await proxy.set('blackhole', 'toClient')
    const sent = [...countUp(holdfast), ...pushAll(holdfast)]
    // Memory answers all of them.
    expect(await settled(sent)).toEqual([...range(calls), ...range(calls)].map((n) => n + 1))
    await scene.degraded()
    expect(await run(holdfast, [['INCR', 'counter'], ['RPUSH', 'list', 'during']])).toEqual([calls + 1, calls + 1])
    expect(await held(scene, ['GET', 'counter'])).toEqual([String(calls)])
    await comeBack(scene)
    expect(await held(scene, ['GET', 'counter'], ['LRANGE', 'list', 0, -1])).toEqual([String(calls + 1), [...everyPush, 'during']])
  })

  it('changes whose bytes arrive long after they were sent again are known, where nobody may close connections', async () => {
    await using scene = await Scene.start({ ...merge(), username: 'app', password: 'of-the-app', nearCache: 'off' })
    const { holdfast, proxy, server } = scene
    using judge = await server.client()
    await judge.call('ACL', 'SETUSER', 'app', 'on', '>of-the-app', '~*', '&*', '+@all', '-client|kill')
    await scene.cache.set('probe', 1)
    await proxy.set('hold')
    const sent = [...countUp(holdfast), ...pushAll(holdfast)]
    expect(await settled(sent)).toEqual([...range(calls), ...range(calls)].map((n) => n + 1))
    await scene.degraded()
    await waitFor('the connection to be given up', () => proxy.counts.held === 1)
    await comeBack(scene)
    expect(await run(holdfast, [['INCR', 'counter']])).toEqual([calls + 1])
    const connections = await judge.otherConnections()
    expect(proxy.release()).toBeGreaterThan(0)
    await waitFor('the old connection to end', async () => (await judge.otherConnections()) === connections - 1)
    expect(await held(scene, ['GET', 'counter'], ['LRANGE', 'list', 0, -1])).toEqual([String(calls + 1), everyPush])
  })

  it('a raw read after the return sees what was changed in the outage, from the first one that Redis answers', async () => {
    await using scene = await start()
    const { holdfast, proxy } = scene
    const keys = range(50).map((n) => `counter:${n}`)
    const client = holdfast.redisClient.getClient()
    await Promise.all(keys.map((key) => client.call('SET', key, 10)))
    await leave(scene)
    await Promise.all(keys.map((key) => client.call('INCRBY', key, 5)))
    const seen = new Set<unknown>()
    await proxy.set('pass')
    await waitFor('Redis to answer', async () => {
      for (const answer of await Promise.all(keys.map((key) => client.call('GET', key)))) seen.add(answer)
      return seen.has('15')
    }, { everyMs: 0 })
    await scene.healed()
    // What memory counted, then what Redis holds with it: never what Redis held before.
    expect([...seen]).toEqual(['5', '15'])
  })

  it('large changes are there for the first raw read that Redis answers', async () => {
    await using scene = await start()
    const { holdfast, proxy } = scene
    await leave(scene)
    const client = holdfast.redisClient.getClient()
    for (const n of range(20)) await client.call('RPUSH', 'list', `${n}`.repeat(20_000))
    await proxy.set('pass')
    const seen = new Set<unknown>()
    await waitFor('the replay', async () => {
      seen.add(await client.call('LLEN', 'list'))
      return holdfast.isRedisAvailable() && holdfast.fallbackManager.getStats().journalDepth === 0
    }, { everyMs: 0 })
    expect([...seen]).toEqual([20])
  })

  it('memory goes on answering what waits in an outage that follows before it was replayed', async () => {
    await using scene = await start(merge({ autoSync: false }))
    const { holdfast, proxy } = scene
    await leave(scene)
    await run(holdfast, [['HSET', 'hash', 'a', 1]])
    await proxy.set('pass')
    await waitFor('Redis', () => holdfast.isRedisAvailable())
    await leave(scene)
    expect(await run(holdfast, [['HGET', 'hash', 'a']])).toEqual(['1'])
  })

  it('what Redis takes for no number is refused as Redis does', async () => {
    await using scene = await start()
    const client = scene.holdfast.redisClient.getClient()
    expect(await settled([client.call('INCRBY', 'counter', '+5'), client.call('INCRBY', 'counter', '05')])).toEqual(['E_DATA', 'E_DATA'])
  })

  it('what does not merge, or is no read of one key that was changed, is refused in an outage', async () => {
    await using scene = await start()
    const { holdfast } = scene
    await leave(scene)
    await run(holdfast, [['SADD', 'set', 'a'], ['RPUSH', 'list', 'a']])
    const client = holdfast.redisClient.getClient()
    const refused: Command[] = [
      ['SET', 'key', 1], ['DEL', 'set'], ['EXPIRE', 'set', 10], ['INCRBYFLOAT', 'key', 1], ['HINCRBY', 'hash', 'a', 1], ['HSETNX', 'hash', 'a', 1],
      ['LPOP', 'list'], ['SPOP', 'set'], ['SMISMEMBER', 'set', 'a'], ['MGET', 'key'], ['SUNION', 'set'], ['SCAN', 0], ['PING'],
      // Memory may know one of them, and not the other; and of a key that was not changed it knows nothing.
      ['EXISTS', 'set', 'list'], ['GET', 'key'], ['EVAL', 'return 1', 0],
      // A brace that is no part of a whole tag leaves no place for the record.
      ['INCR', 'a}b'],
    ]
    for (const [name, ...args] of refused) {
      await expect(client.call(name, ...args), name).rejects.toMatchObject({ code: 'E_UNAVAILABLE', applied: 'no' })
    }
    expect(await holdfast.redisClient.pipeline([{ command: 'INCR', args: ['counter'] }])).toEqual([])
    expect(await holdfast.redisClient.execute('INCR', 'counter')).toBe(1)
    expect(holdfast.fallbackManager.getStats().journalDepth).toBe(3)
    await comeBack(scene)
    expect(await held(scene, ['SMEMBERS', 'set'], ['LRANGE', 'list', 0, -1], ['GET', 'counter'])).toEqual([['a'], ['a'], '1'])
  })

  it('the ids of what was carried out stand beside the key, in its cluster slot, for a day and until nothing older is open', async () => {
    await using scene = await start()
    const { holdfast, keyPrefix } = scene
    await run(holdfast, [['INCR', 'plain'], ['INCR', '{tag}ged'], ['INCR', 'a}b']])
    using outside = await scene.server.client()
    // The second one lets go of the id of the first, and the record notes that.
    await run(holdfast, [['INCR', 'plain'], ['INCR', '{tag}ged']])
    const keys = (await outside.call('KEYS', `${keyPrefix}*`)) as string[]
    const beside = keys.filter((key) => /h:.*c:/.test(key.replaceAll(keyPrefix, '')))
    const names = [`${keyPrefix}h:{${keyPrefix}plain}c:`, `${keyPrefix}{tag}ged:h:c:`]
    expect(beside.map((key) => key.replace(/c:[0-9a-f]+$/, 'c:<process>')).sort()).toEqual(names.flatMap((name) => [name, `${name}<process>`]).sort())
    for (const key of beside.filter((one) => !one.endsWith('c:'))) {
      expect(await outside.call('ZRANGE', key, 0, -1)).toEqual([expect.stringMatching(/^[0-9]+:2$/)])
    }
    for (const record of beside) {
      const left = Number(await outside.call('PTTL', record))
      expect(left).toBeGreaterThan(86_000_000)
      expect(left).toBeLessThanOrEqual(86_400_000)
    }
  })

  describe('a journal without room', () => {
    it('refuses a change with E_FULL, and keeps what it has', async () => {
      await using scene = await start(merge({ maxJournalMb: 1 }))
      const { holdfast } = scene
      await leave(scene)
      const client = holdfast.redisClient.getClient()
      let pushed = 0
      let refusal: unknown
      while (refusal === undefined && pushed < 100) {
        await client.call('RPUSH', 'list', 'v'.repeat(50_000)).then(
          () => pushed++,
          (error: unknown) => (refusal = error),
        )
      }
      expect(refusal).toMatchObject({ name: 'HoldfastError', code: 'E_FULL', applied: 'no', retryable: false })
      expect(pushed).toBeGreaterThan(10)
      expect(await client.call('LLEN', 'list')).toBe(pushed)
      expect(holdfast.fallbackManager.getStats().dropped).toBe(1)
      expect(await client.call('INCR', 'small')).toBe(1)
      await comeBack(scene)
      expect(await held(scene, ['LLEN', 'list'], ['GET', 'small'])).toEqual([pushed, '1'])
    })

    it('gives up the values of sets before it refuses a change', async () => {
      await using scene = await start(merge({ maxJournalMb: 1 }))
      const { cache, holdfast } = scene
      await leave(scene)
      expect(await cache.set('large', 'v'.repeat(700_000), { compress: false })).toBe(true)
      await run(holdfast, [['RPUSH', 'list', 'v'.repeat(700_000)]])
      expect(holdfast.fallbackManager.getStats().dropped).toBe(1)
      await comeBack(scene)
      expect(await held(scene, ['LLEN', 'list'])).toEqual([1])
      expect(await scene.stored(['large'])).toEqual([null])
    })

    it('is one key with more than 100,000 words, too', async () => {
      await using scene = await start()
      const { holdfast } = scene
      await leave(scene)
      const client = holdfast.redisClient.getClient()
      const page = range(10_000)
      for (const _ of range(9)) await client.call('RPUSH', 'list', ...page)
      await expect(client.call('RPUSH', 'list', ...page)).rejects.toMatchObject({ code: 'E_FULL', applied: 'no' })
      expect(await client.call('RPUSH', 'another', ...page)).toBe(10_000)
      await comeBack(scene)
      expect(await held(scene, ['LLEN', 'list'], ['LLEN', 'another'])).toEqual([90_000, 10_000])
    })

    it('counts only what is left of changes that fold', async () => {
      await using scene = await start()
      await leave(scene)
      const client = scene.holdfast.redisClient.getClient()
      for (const round of range(20)) {
        await Promise.all(range(10_000).flatMap((n) => [client.call('INCR', 'counter'), client.call('HSET', 'hash', 'field', `${round}:${n}`)]))
      }
      expect(scene.holdfast.fallbackManager.getStats().journalBytes).toBeLessThan(5_000)
      await comeBack(scene)
      expect(await held(scene, ['GET', 'counter'], ['HGETALL', 'hash'])).toEqual(['200000', ['field', '19:9999']])
    })
  })

  describe('export and import', () => {
    it('carry changes to another process, which carries them out once, whoever else does', async () => {
      await using scene = await start()
      const { holdfast } = scene
      await run(holdfast, [['INCRBY', 'counter', 10], ['HSET', 'hash', 'a', 'before']])
      await leave(scene)
      await run(holdfast, [['INCRBY', 'counter', 5], ['HSET', 'hash', 'a', 'ours', 'b', 'ours'], ['HDEL', 'hash', 'b'], ['SADD', 'set', 'm'], ['RPUSH', 'list', 'x', 'y']])
      const data = JSON.parse(JSON.stringify(holdfast.fallbackManager.exportFallbackData())) as FallbackData
      expect(data).toMatchObject({ changes: expect.arrayContaining([{ key: 'counter', hex: false, record: expect.stringMatching(/^[0-9a-f]+$/) }]) })
      const other = await another(scene)
      for (const _ of range(2)) {
        other.fallbackManager.importFallbackData(data)
        await other.fallbackManager.syncWithRedis()
      }
      const questions: Command[] = [['GET', 'counter'], ['HGETALL', 'hash'], ['SMEMBERS', 'set'], ['LRANGE', 'list', 0, -1]]
      const end = ['15', ['a', 'ours'], ['m'], ['x', 'y']]
      expect(await held(scene, ...questions)).toEqual(end)
      await comeBack(scene)
      expect(await held(scene, ...questions)).toEqual(end)
    })

    it('leave what was exported as it is, whatever its origin goes on counting', async () => {
      await using scene = await start()
      const { holdfast } = scene
      await leave(scene)
      await run(holdfast, range(5).map(() => ['INCR', 'counter']))
      const data = holdfast.fallbackManager.exportFallbackData()
      await run(holdfast, [['INCR', 'counter']])
      const other = await another(scene)
      other.fallbackManager.importFallbackData(data)
      await other.fallbackManager.syncWithRedis()
      expect(await held(scene, ['GET', 'counter'])).toEqual(['5'])
      await comeBack(scene)
      expect(await held(scene, ['GET', 'counter'])).toEqual(['6'])
    })

    it('name what is wrong with a change', async () => {
      await using scene = await start()
      const { fallbackManager, redisClient } = scene.holdfast
      await leave(scene)
      await redisClient.getClient().call('INCR', 'counter')
      const data = fallbackManager.exportFallbackData()
      const [change] = data.changes ?? []
      for (const [field, value] of [['key', 1], ['hex', 'no'], ['record', 'not hex']] as const) {
        const wrong = { ...data, changes: [{ ...change, [field]: value }] }
        expect(() => fallbackManager.importFallbackData(wrong as never)).toThrow(expect.objectContaining({ code: 'E_INVALID', path: `data.changes[0].${field}` }))
      }
    })
  })

  describe('a clear', () => {
    it('in the same outage settles the changes under it that are older, and no others', async () => {
      await using scene = await start()
      const { cache, holdfast } = scene
      await run(holdfast, [['INCRBY', 'cache:before', 5]])
      await leave(scene)
      await run(holdfast, [['INCR', 'cache:counter'], ['HSET', 'cache:hash', 'a', 1], ['INCR', 'other:counter']])
      await cache.clear()
      // Nothing of it waits any more.
      await expect(holdfast.redisClient.getClient().call('GET', 'cache:counter')).rejects.toMatchObject({ code: 'E_UNAVAILABLE', applied: 'no' })
      expect(await run(holdfast, [['GET', 'other:counter'], ['INCR', 'cache:counter']])).toEqual(['1', 1])
      await comeBack(scene)
      expect(await held(scene, ['GET', 'cache:before'], ['GET', 'cache:counter'], ['EXISTS', 'cache:hash'], ['GET', 'other:counter'])).toEqual([null, '1', 0, '1'])
    })

    it('in the same outage stays heeded for what is imported after it', async () => {
      await using scene = await start()
      const { cache, holdfast } = scene
      await leave(scene)
      await run(holdfast, [['INCR', 'cache:counter']])
      await cache.set('key', 1)
      const data = holdfast.fallbackManager.exportFallbackData()
      await apart()
      await cache.clear()
      holdfast.fallbackManager.importFallbackData(data)
      await comeBack(scene)
      expect([await scene.stored(['key']), await held(scene, ['GET', 'cache:counter'])]).toEqual([[null], [null]])
    })

    it('by another process settles the changes under it that are older, absent as their keys were', async () => {
      await using scene = await start()
      const { holdfast } = scene
      const other = await another(scene)
      await leave(scene)
      await run(holdfast, [['INCR', 'cache:counter'], ['RPUSH', 'cache:list', 'a'], ['INCR', 'other:counter']])
      await apart()
      await other.cacheManager.clear()
      await apart()
      await run(holdfast, [['SADD', 'cache:set', 'since']])
      await comeBack(scene)
      expect(await held(scene, ['EXISTS', 'cache:counter', 'cache:list'], ['GET', 'other:counter'], ['SMEMBERS', 'cache:set'])).toEqual([0, '1', ['since']])
      expect(holdfast.fallbackManager.getStats().superseded).toBe(2)
    })

    it('while Redis answers leaves nothing that waits either', async () => {
      await using scene = await start(merge({ autoSync: false }))
      const { cache, holdfast } = scene
      await leave(scene)
      await run(holdfast, [['INCR', 'cache:counter'], ['INCR', 'other:counter']])
      await scene.proxy.set('pass')
      await waitFor('Redis', () => holdfast.isRedisAvailable())
      expect(holdfast.fallbackManager.getStats().journalDepth).toBe(2)
      await cache.clear()
      expect(holdfast.fallbackManager.getStats().journalDepth).toBe(1)
      await holdfast.fallbackManager.syncWithRedis()
      expect(await held(scene, ['EXISTS', 'cache:counter'], ['GET', 'other:counter'])).toEqual([0, '1'])
    })
  })

  it('what others did raw leaves no trace: what they deleted or let expire is made again', async () => {
    await using scene = await start()
    const { holdfast, keyPrefix } = scene
    await run(holdfast, [['INCRBY', 'deleted', 10], ['INCRBY', 'replaced', 10]])
    await leave(scene)
    await run(holdfast, [['INCR', 'deleted'], ['INCR', 'replaced']])
    await scene.outside((outside) => outside.pipeline([['DEL', `${keyPrefix}deleted`], ['SET', `${keyPrefix}replaced`, 100]]))
    await comeBack(scene)
    expect(await held(scene, ['GET', 'deleted'], ['GET', 'replaced'])).toEqual(['1', '101'])
  })

  it('what the server refuses at the replay is a conflict, and holds up nothing else', async () => {
    await using scene = await start()
    const { holdfast, keyPrefix } = scene
    await leave(scene)
    await run(holdfast, [['INCR', 'list'], ['INCR', 'most'], ['HSET', 'list too', 'a', 1], ['INCR', 'fine']])
    await scene.outside((outside) =>
      outside.pipeline([['RPUSH', `${keyPrefix}list`, 'a'], ['SET', `${keyPrefix}most`, '9223372036854775807'], ['RPUSH', `${keyPrefix}list too`, 'a']]),
    )
    await comeBack(scene)
    expect(await held(scene, ['LLEN', 'list'], ['GET', 'most'], ['LLEN', 'list too'], ['GET', 'fine'])).toEqual([1, '9223372036854775807', 1, '1'])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 3, replayed: 1, journalDepth: 0 })
  })

  it.each([
    ['drop', null, 1],
    ['write', '1', 0],
  ] as const)("what was sent before a flush is uncertain, and with uncertain: '%s' is %s", async (uncertain, end, conflicts) => {
    await using scene = await start(merge({ uncertain }))
    const { holdfast, proxy } = scene
    await run(holdfast, [['INCRBY', 'sent', 10]])
    await proxy.set('blackhole')
    expect(await run(holdfast, [['INCR', 'sent']])).toEqual([1])
    await scene.degraded()
    await run(holdfast, [['INCR', 'never sent']])
    await scene.outside((outside) => outside.call('FLUSHALL'))
    await proxy.set('refuse')
    await comeBack(scene)
    expect(await held(scene, ['GET', 'sent'], ['GET', 'never sent'])).toEqual([end, '1'])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts, journalDepth: 0 })
  })

  it('a server that is out of memory refuses each with E_FULL, and takes what waits when it has room', async () => {
    await using scene = await start()
    const { holdfast } = scene
    const full = (bytes: number): Promise<unknown> => scene.outside((outside) => outside.call('CONFIG', 'SET', 'maxmemory', bytes))
    await run(holdfast, [['INCRBY', 'counter', 10], ['SADD', 'set', 'a']])
    await full(1)
    const client = holdfast.redisClient.getClient()
    for (const [name, ...args] of [['INCR', 'counter'], ['SREM', 'set', 'a']] as Command[]) {
      await expect(client.call(name, ...args)).rejects.toMatchObject({ code: 'E_FULL', applied: 'no' })
    }
    await full(0)
    await leave(scene)
    await run(holdfast, [['INCR', 'counter'], ['SREM', 'set', 'a']])
    await full(1)
    await scene.proxy.set('pass')
    await waitFor('Redis to answer', () => holdfast.isRedisAvailable())
    // What is changed while the replay rests joins what waits; until then the server refuses it as well.
    await waitFor('a change that joins', () => client.call('INCR', 'counter'))
    expect(await held(scene, ['GET', 'counter'])).toEqual(['10'])
    await full(0)
    await scene.healed()
    expect(await held(scene, ['GET', 'counter'], ['EXISTS', 'set'])).toEqual(['12', 0])
  })
})
