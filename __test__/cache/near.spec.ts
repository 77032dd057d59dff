// The near cache: copies of Redis values answer in this process, and Redis keeps them informed. bus: processes tell
// each other instead.
import { randomUUID } from 'node:crypto'
import { createHoldfast } from 'holdfast'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { areRefused, type Cache } from './loads'
import { asAnother, onOwnServer, opener, type InstanceOptions } from './stores'

const past = { skipL1: true }

const { outside, open } = onOwnServer()

/** A cache, another with a connection and copies of its own, as another process has, and more of the same keys. */
function pair(options: InstanceOptions = {}) {
  const keyPrefix = `near:${randomUUID()}:`
  const more = (own: InstanceOptions = {}): Cache => open({ keyPrefix, ...options, ...own }).cacheManager
  return { cache: more(), others: more(asAnother), keyPrefix, more }
}

async function untilNear(cache: Cache, key: string): Promise<void> {
  await waitFor(`a copy of ${key}`, async () => (await cache.getEntry(key))?.source === 'near')
}

const until = (cache: Cache, key: string, value: unknown, what = 'the change') =>
  waitFor(what, async () => JSON.stringify(await cache.get(key)) === JSON.stringify(value))

describe.each<InstanceOptions['nearCache']>(['auto', 'tracking', 'bus', true])('copies with nearCache %j', (nearCache) => {
  const make = () => pair({ nearCache })
  /** Both have read, so that both have the connection that tells of changes. */
  const makeConnected = async () => {
    const made = make()
    await Promise.all([made.cache, made.others].map((cache, n) => cache.set(`connected:${n}`, n)))
    await Promise.all([made.cache, made.others].map((cache, n) => untilNear(cache, `connected:${n}`)))
    return made
  }

  it('answer every kind of read after the first, without asking Redis', async () => {
    const { cache } = make()
    await cache.setMany(range(5).map((n) => ({ key: `k${n}`, value: { n } })))
    for (const n of range(5)) await untilNear(cache, `k${n}`)
    const reads = async () => Number(/cmdstat_get:calls=(\d+)/.exec(String(await outside().call('INFO', 'commandstats')))?.[1])
    const before = await reads()
    cache.resetStats()
    expect(await cache.getMany(range(5).map((n) => `k${n}`))).toEqual(range(5).map((n) => ({ n })))
    expect(await cache.getEntry('k1')).toMatchObject({ value: { n: 1 }, source: 'near', stale: false })
    expect(await cache.exists('k2')).toBe(true)
    expect(await cache.getOrSet('k3', () => expect.unreachable('the loader ran'))).toEqual({ n: 3 })
    expect(await reads()).toBe(before)
    const { hot, near, redis } = cache.getStats().layers
    // Whether something is there is no read.
    expect({ redis, inProcess: hot + near }).toEqual({ redis: 0, inProcess: 7 })
  })

  it('give way to own writes at once, waited for or not', async () => {
    const { cache } = make()
    await cache.set('own', -1)
    await untilNear(cache, 'own')
    for (const n of range(200)) {
      const written = cache.set('own', n)
      expect(await cache.get('own')).toBe(n)
      expect(await written).toBe(true)
      expect(await cache.get('own')).toBe(n)
    }
    void cache.delete('own')
    expect(await cache.get('own')).toBeNull()
    expect(await cache.getOrSet('own', () => 'loaded')).toBe('loaded')
    expect(await cache.get('own')).toBe('loaded')
    void cache.expire('own')
    expect(await cache.get('own')).toBeNull()
  })

  it('give way to what another process does', async () => {
    const { cache, others } = await makeConnected()
    const changes: [string, (key: string) => Promise<unknown>, unknown][] = [
      ['set', (key) => others.set(key, 'new'), 'new'],
      ['delete', (key) => others.delete(key), null],
      ['expire', (key) => others.expire(key), null],
      ['deleteMany', (key) => others.deleteMany([key]), null],
      ['getOrSet', (key) => others.getOrSet(key, () => 'loaded', { forceFresh: true }), 'loaded'],
      ['deletePattern', (key) => others.deletePattern(`${key}*`), null],
      ['deleteByTag', (key) => others.deleteByTag(`of ${key}`), null],
      ['expireByTag', (key) => others.expireByTag(`of ${key}`), null],
      ['clear', () => others.clear(), null],
    ]
    for (const [name, change, after] of changes) {
      const key = `by ${name}`
      await cache.set(key, 'old', { tags: [`of ${key}`] })
      await untilNear(cache, key)
      await change(key)
      await until(cache, key, after, `what another process did by ${name}`)
      expect(await cache.get(key, past), name).toEqual(after)
    }
    const space = cache.namespace('space')
    await space.set('1', 'old')
    await untilNear(space, '1')
    await others.namespace('space').clear()
    await until(space, '1', null)
  })

  it('never go back: who has read a newer value reads no older one', async () => {
    const { cache, others } = await makeConnected()
    await others.set('counter', 0)
    await untilNear(cache, 'counter')
    const last = 1_000
    let writing = true
    const writer = (async () => {
      for (let n = 1; n <= last; n++) await others.set('counter', n)
      writing = false
    })()
    let seen = 0
    for (let turns = 0; writing; turns++) {
      const read = await cache.get<number>('counter', turns % 7 === 0 ? past : {})
      expect(read).toBeGreaterThanOrEqual(seen)
      seen = read as number
      if (turns % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await writer
    await until(cache, 'counter', last)
  })

  it('of what two write at once are what Redis holds, in the end', async () => {
    const { cache, others } = make()
    const keys = range(20).map((n) => `k${n}`)
    const caches = [cache, others]
    for (const round of range(30)) {
      const work = caches.map(async (mine, who) => {
        for (const key of keys) {
          const what = (round * 7 + who * 3 + key.length + Number(key.slice(1))) % 5
          if (what === 0) void mine.delete(key)
          else if (what === 1) await mine.get(key)
          else void mine.set(key, `${who}:${round}`)
        }
        await mine.getMany(keys)
      })
      await Promise.all(work)
    }
    const held = await cache.getMany(keys, past)
    for (const mine of caches) await waitFor('all to agree', async () => JSON.stringify(await mine.getMany(keys)) === JSON.stringify(held))
  })

  it('end with the values that they are copies of', async () => {
    const { cache } = make()
    await cache.set('warm', 1)
    await untilNear(cache, 'warm')
    await cache.set('short', 'lived', { ttl: 0.2 })
    const sources = new Set<string | undefined>()
    await waitFor('it to end', async () => {
      const entry = await cache.getEntry('short')
      sources.add(entry?.source)
      if (entry !== null) expect(entry.ttlMs).toBeGreaterThan(0)
      return entry === null
    })
    expect(sources).toContain('near')
    await cache.set('stale', 'old', { ttl: 0.2, grace: 60 })
    await waitFor('it to be stale', async () => (await cache.get('stale')) === null)
    expect(await cache.getEntry('stale', { allowStale: true })).toMatchObject({ value: 'old', stale: true })
  })

  it('are the values themselves, whatever they are and however large', async () => {
    const { cache } = make()
    const values: [string, unknown, object][] = [
      ['large', { text: 'holdfast '.repeat(20_000) }, {}],
      ['structured', new Map<unknown, unknown>([['when', new Date(5)], ['n', 5n]]), { serializer: 'structured' }],
      ['null', null, {}],
      ['text', 'a"b\\c\u0000🜁', {}],
      ['bytes', new Uint8Array([0, 255, 128]), { serializer: 'structured' }],
    ]
    for (const [key, value, options] of values) {
      await cache.set(key, value, options)
      await untilNear(cache, key)
      expect((await cache.getEntry(key))?.value).toEqual(value)
      expect(await cache.get(key, options)).toEqual(value)
    }
  })

  it('are passed over by skipL1', async () => {
    const { cache } = make()
    await cache.set('past', 1)
    await untilNear(cache, 'past')
    for (const _ of range(3)) expect(await cache.getEntry('past', past)).toMatchObject({ value: 1, source: 'redis' })
  })

  it('answer no more when the connection breaks by which they are kept, until another one stands', async () => {
    const { cache, others } = await makeConnected()
    await cache.set('broken', 'old')
    await untilNear(cache, 'broken')
    // That of changes alone: it is of the type pubsub on the bus, and else it tracks.
    const lines = String(await outside().call('CLIENT', 'LIST')).split('\n')
    const links = lines.filter((line) => /\bflags=\w*[tBP]/.test(line)).map((line) => /^id=(\d+)/.exec(line)?.[1])
    for (const id of links) await outside().call('CLIENT', 'KILL', 'ID', id ?? '')
    await others.set('broken', 'new')
    await until(cache, 'broken', 'new')
    await Promise.all([untilNear(cache, 'broken'), untilNear(others, 'broken')])
    await others.set('broken', 'newest')
    await until(cache, 'broken', 'newest')
  })
})

describe.each<InstanceOptions['nearCache']>(['tracking', 'bus'])('copies with nearCache %j give way', (nearCache) => {
  it('to what a process writes that reads nothing', async () => {
    const { cache, others } = pair({ nearCache })
    await cache.set('k', 'old')
    await untilNear(cache, 'k')
    await others.set('k', 'new')
    await until(cache, 'k', 'new')
    await untilNear(cache, 'k')
    await others.delete('k')
    await until(cache, 'k', null)
  })

  it('to what a process writes that may not be told of changes itself', async () => {
    const user = `deaf-${randomUUID()}`
    await outside().call('ACL', 'SETUSER', user, 'on', '>secret', '~*', '&*', '+@all', '-client|tracking', '-subscribe')
    const { cache, more } = pair({ nearCache })
    const others = more({ username: user, password: 'secret' })
    await cache.set('k', 'old')
    await untilNear(cache, 'k')
    expect(await others.get('k')).toBe('old')
    await others.set('k', 'new')
    await until(cache, 'k', 'new')
  })
})

describe('copies that the server tells of changes', () => {
  it('give way to what a program does that knows nothing of this package', async () => {
    const { cache, keyPrefix } = pair()
    await cache.set('foreign', 'ours')
    await untilNear(cache, 'foreign')
    await outside().call('SET', `${keyPrefix}cache:foreign`, '"theirs"')
    await until(cache, 'foreign', 'theirs')
    await outside().call('DEL', `${keyPrefix}cache:foreign`)
    await until(cache, 'foreign', null)
  })

  it('are gone when the server is emptied', async () => {
    const { cache } = pair()
    await cache.set('flushed', 1)
    await untilNear(cache, 'flushed')
    await outside().call('FLUSHALL')
    await until(cache, 'flushed', null)
    expect(await cache.getOrSet('flushed', () => 2)).toBe(2)
  })

  it('answer no longer than nearMaxAge', async () => {
    const { cache } = pair({ nearMaxAge: 1 })
    await cache.set('aged', 1)
    await untilNear(cache, 'aged')
    await waitFor('it to be read again', async () => (await cache.getEntry('aged'))?.source === 'redis')
    await untilNear(cache, 'aged')
  })

  it('are of so many families; what is in others is read from Redis, and is right', async () => {
    const { cache, others } = pair()
    const prefixes = range(40).map((n) => `family-${n}`)
    await Promise.all(prefixes.map((prefix) => cache.set('k', prefix, { prefix })))
    for (const prefix of prefixes) expect(await cache.get('k', { prefix })).toBe(prefix)
    await Promise.all(prefixes.map((prefix) => others.set('k', `new ${prefix}`, { prefix })))
    for (const prefix of prefixes) {
      await waitFor(`the change in ${prefix}`, async () => (await cache.get('k', { prefix })) === `new ${prefix}`)
    }
  })

  it('are kept over the bus where the user may not track', async () => {
    const user = `bus-${randomUUID()}`
    await outside().call('ACL', 'SETUSER', user, 'on', '>secret', '~*', '&*', '+@all', '-client|tracking')
    const { cache, others } = pair({ username: user, password: 'secret' })
    await Promise.all([cache.set('k', 'old'), others.get('connected')])
    await untilNear(cache, 'k')
    await others.set('k', 'new')
    await until(cache, 'k', 'new')
  })

  it('are none where the user may neither track nor listen, and reads are right', async () => {
    const user = `none-${randomUUID()}`
    await outside().call('ACL', 'SETUSER', user, 'on', '>secret', '~*', 'resetchannels', '+@all', '-client|tracking', '-subscribe')
    const { cache, others } = pair({ username: user, password: 'secret' })
    for (const n of range(20)) {
      await others.set('k', n)
      expect(await cache.getEntry('k')).toMatchObject({ value: n, source: 'redis' })
    }
    expect(cache.getStats()).toMatchObject({ errors: 0 })
  })
})

describe('the connection that tells of changes', () => {
  /** Both kinds of connections of instances with this setting. */
  async function connections(options: InstanceOptions, use: (cache: Cache) => Promise<unknown>, expected: number): Promise<number[]> {
    await using own = await RedisServer.start()
    using watcher = await own.client()
    const { open, closeAll } = opener({ url: own.url, ...options })
    await use(open().cacheManager)
    await waitFor('the connections', async () => (await watcher.links()) === expected)
    const seen = [await watcher.otherConnections(), await watcher.links()]
    await closeAll()
    await waitFor('all of them to end', async () => (await watcher.otherConnections()) + (await watcher.links()) === 0)
    return seen
  }

  it('is none before something was read or written', async () => {
    expect(await connections({}, (cache) => Promise.all([cache.exists('a'), cache.getInfo()]), 0)).toEqual([1, 0])
  })

  it('is one from the first read or write on', async () => {
    expect(await connections({}, (cache) => cache.get('a'), 1)).toEqual([1, 1])
    expect(await connections({}, (cache) => cache.set('a', 1), 1)).toEqual([1, 1])
    expect(await connections({}, (cache) => cache.getOrSet('a', () => 1, { prefix: 'b' }), 1)).toEqual([1, 1])
  })

  it.each(['off', false] as const)('is none with nearCache %j, and no copy answers', async (nearCache) => {
    const reads = async (cache: Cache): Promise<void> => {
      await cache.set('a', 1)
      for (const _ of range(5)) expect(await cache.getEntry('a')).toMatchObject({ value: 1, source: 'redis' })
    }
    expect(await connections({ nearCache }, reads, 0)).toEqual([1, 0])
  })

  it('is what the environment says, unless an option does', async () => {
    const env = { REDIS_NEAR_CACHE: 'off' }
    expect(await connections({ env }, (cache) => cache.get('a'), 0)).toEqual([1, 0])
    expect(await connections({ env, nearCache: 'tracking' }, (cache) => cache.get('a'), 1)).toEqual([1, 1])
  })
})

describe('the settings of the near cache', () => {
  it('are refused when they are none', async () => {
    const made = (options: object) => createHoldfast({ url: 'memory:', env: {}, ...options })
    await areRefused('options.nearCache', ['on', 'l1', 5, {}, []], (nearCache) => made({ nearCache }))
    await areRefused('options.nearMaxAge', [-1, 0, 'soon', Number.NaN, {}], (nearMaxAge) => made({ nearMaxAge }))
    await areRefused('REDIS_NEAR_CACHE', ['l1', 'far'], (REDIS_NEAR_CACHE) => made({ env: { REDIS_NEAR_CACHE } }))
  })
})
