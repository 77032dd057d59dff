// A part of the cache with keys, options and counts of its own, cleared at once.
import { describe, expect, it } from 'vitest'
import { areRefused, reasonOf } from './loads'
import { gate, onStore, stores } from './stores'

const special = ['*', '?', '[a-z]', '\\', '{a}', '{', '}', '%', '%7B', ' ', '\n', '\0', 'ä', 'n:cache:a', '__proto__', 'x'.repeat(128)]

describe.each(stores)('namespaces on %s', (store) => {
  const { holdfast, keyPrefix, outside } = onStore(store)
  const { cacheManager, fallbackManager } = holdfast

  it('have keys of their own', async () => {
    const [users, posts] = [cacheManager.namespace('users'), cacheManager.namespace('posts')]
    await Promise.all([users.set('1', 'user'), posts.set('1', 'post'), cacheManager.set('1', 'plain')])
    expect([await users.get('1'), await posts.get('1'), await cacheManager.get('1')]).toEqual(['user', 'post', 'plain'])
    expect(await users.delete('1')).toBe(true)
    expect([await users.get('1'), await posts.get('1'), await cacheManager.get('1')]).toEqual([null, 'post', 'plain'])
    expect(await users.exists('1')).toBe(false)
  })

  it('have keys of their own, though another key is spelt like theirs', async () => {
    const outer = cacheManager.namespace('outer')
    const inner = outer.namespace('inner')
    await Promise.all([
      cacheManager.set('outer:inner:1', 'of the cache'),
      outer.set('inner:1', 'of the outer one'),
      inner.set('1', 'of the inner one'),
    ])
    expect([await cacheManager.get('outer:inner:1'), await outer.get('inner:1'), await inner.get('1')]).toEqual([
      'of the cache',
      'of the outer one',
      'of the inner one',
    ])
  })

  it('once cleared hold nothing, whatever wrote it', async () => {
    await cacheManager.set('spelt:1', 'of the cache')
    const spelt = cacheManager.namespace('spelt')
    await spelt.clear()
    expect(await spelt.get('1')).toBeNull()
  })

  it('are the same for all who name them alike', async () => {
    await cacheManager.namespace('same').set('1', 'there')
    expect(await cacheManager.namespace('same').get('1')).toBe('there')
    await cacheManager.namespace('same').clear()
    expect(await cacheManager.namespace('same').get('1')).toBeNull()
  })

  it('clear themselves, and nothing that only begins like them', async () => {
    const all = ['users', 'usersAbc', 'users2', 'user', 'Users', 'users*', 'u?ers'].map((name) => cacheManager.namespace(name))
    await Promise.all(all.map((space) => space.set('1', 'there')))
    await cacheManager.set('users', 'a key')
    await all[0]?.clear()
    const left = await Promise.all(all.map((space) => space.get('1')))
    expect(left).toEqual([null, ...all.slice(1).map(() => 'there')])
    expect(await cacheManager.get('users')).toBe('a key')
  })

  it.each(special)('named %j mean that name and no other', async (name) => {
    const spaces = special.map((each) => cacheManager.namespace(each))
    await Promise.all(spaces.map((space, n) => space.set('1', n)))
    expect(await Promise.all(spaces.map((space) => space.get('1')))).toEqual(special.map((_, n) => n))
    await cacheManager.namespace(name).clear()
    const expected = special.map((each, n) => (each === name ? null : n))
    expect(await Promise.all(spaces.map((space) => space.get('1')))).toEqual(expected)
  })

  it('clear what is in them with themselves, and leave what they are in', async () => {
    const outer = cacheManager.namespace('nest')
    const inner = outer.namespace('inner')
    const innermost = inner.namespace('innermost')
    const fill = () => Promise.all([outer, inner, innermost, cacheManager].map((space) => space.set('n', 'there')))
    const read = () => Promise.all([outer, inner, innermost, cacheManager].map((space) => space.get('n')))
    await fill()
    await inner.clear()
    expect(await read()).toEqual(['there', null, null, 'there'])
    await fill()
    await outer.clear()
    expect(await read()).toEqual([null, null, null, 'there'])
    await fill()
    expect(await read()).toEqual(['there', 'there', 'there', 'there'])
    await cacheManager.clear()
    expect(await read()).toEqual([null, null, null, null])
  })

  it('start from their defaults, which the options of a call outrank, and nothing that is undefined', async () => {
    const left = async (space: typeof cacheManager, key: string) => (await space.getEntry(key))?.ttlMs
    const short = cacheManager.namespace('short', { ttl: 60, prefix: undefined })
    await short.set('undefined', 1, { ttl: undefined })
    await short.setMany([{ key: 'item', value: 1, options: { ttl: undefined } }], { ttl: 30 })
    await short.set('persists', 1, { persist: true })
    await short.namespace('inner', { ttl: undefined }).set('inherits', 1)
    for (const [space, key] of [[short, 'undefined'], [short, 'item'], [short.namespace('inner'), 'inherits']] as const) {
      expect(await left(space, key), key).toBeLessThanOrEqual(60_000)
    }
    expect(await left(short, 'persists')).toBeNull()
    const lasting = cacheManager.namespace('lasting', { persist: true, skipL1: true })
    await lasting.set('ends', 1, { ttl: 60 })
    await lasting.set('lasts', 1)
    expect([(await left(lasting, 'ends')) !== null, await left(lasting, 'lasts')]).toEqual([true, null])
    expect(await lasting.set('alone', 1, { l1Only: true })).toBe(true)
    expect(await lasting.get('alone', { l1Only: true })).toBe(1)
    await areRefused('options', [5, 'text', null, [], () => {}], (options) => short.get('undefined', options))
  })

  it('refuse a prefix that is none when they are made', async () => {
    await areRefused('options.prefix', ['h', 'h:x', 5, null, ''], (prefix) => cacheManager.namespace('x', { prefix }))
  })

  it('are cleared at once, however much is in them, and filled again', async () => {
    const crowd = cacheManager.namespace('crowd')
    const keys = Array.from({ length: 3_000 }, (_, n) => `k${n}`)
    await crowd.setMany(keys.map((key) => ({ key, value: key })))
    await crowd.clear()
    expect((await crowd.getMany(keys)).filter((value) => value !== null)).toEqual([])
    await crowd.set('k0', 'again')
    expect(await crowd.get('k0')).toBe('again')
  })

  it('that are cleared during a load do not keep what was loaded before', async () => {
    const space = cacheManager.namespace('during')
    for (const [name, clear] of [['itself', () => space.clear()], ['the whole cache', () => cacheManager.clear()]] as const) {
      const [started, answer] = [gate(), gate<string>()]
      const loading = space.getOrSet(name, () => (started.open(), answer.opened))
      await started.opened
      await clear()
      const next = space.getOrSet(name, async () => 'new')
      answer.open('old')
      expect(await loading).toBe('old')
      expect(await next).toBe('new')
      expect(await space.get(name)).toBe('new')
    }
  })

  it('that hold one which loads do not keep what it loaded before they were cleared', async () => {
    const outer = cacheManager.namespace('around')
    const inner = outer.namespace('inner')
    const [started, answer] = [gate(), gate<string>()]
    const loading = inner.getOrSet('1', () => (started.open(), answer.opened))
    await started.opened
    await outer.clear()
    answer.open('old')
    expect(await loading).toBe('old')
    expect(await inner.get('1')).toBeNull()
  })

  it('take every call of the cache', async () => {
    const space = cacheManager.namespace('calls')
    await space.set('a', 1, { tags: ['in calls'], grace: 60 })
    expect(await space.getEntry('a')).toMatchObject({ value: 1 })
    expect(await space.getMany(['a', 'b'])).toEqual([1, null])
    expect(await space.setMany([{ key: 'b', value: 2 }])).toEqual([true])
    expect(await space.getOrSetMany(['b', 'c'], (missing) => missing)).toEqual([2, 'c'])
    expect(await space.deleteMany(['b', 'x'])).toEqual([true, false])
    expect(await space.warm([{ key: 'w', value: 3 }])).toMatchObject({ warmed: 1 })
    expect(await space.deletePattern('[cw]')).toBe(2)
    expect(await space.expire('a')).toBe(true)
    expect([await space.get('a'), await space.get('a', { allowStale: true })]).toEqual([null, 1])
    await space.deleteByTag('in calls')
    expect(await space.get('a', { allowStale: true })).toBeNull()
  })

  it('share tags with the rest of the cache, and patterns not', async () => {
    const space = cacheManager.namespace('shares')
    await Promise.all([space.set('a', 1, { tags: ['shared'] }), cacheManager.set('a', 1, { tags: ['shared'] })])
    await space.deleteByTag('shared')
    expect([await space.get('a'), await cacheManager.get('a')]).toEqual([null, null])
    await Promise.all([space.set('p:1', 1), cacheManager.set('p:1', 1)])
    expect(await space.deletePattern('p:*')).toBe(1)
    expect([await space.get('p:1'), await cacheManager.get('p:1')]).toEqual([null, 1])
  })

  it('give their calls their options, which a call may outrank', async () => {
    const space = cacheManager.namespace('options', { ttl: 100, grace: 200, tags: ['by default'] })
    await space.set('a', 1)
    await space.getOrSet('b', () => 2)
    await space.set('c', 3, { ttl: 1000, grace: 0, tags: ['own'] })
    const left = async (key: string) => (await space.getEntry(key))?.ttlMs ?? 0
    for (const key of ['a', 'b']) {
      expect(await left(key)).toBeGreaterThan(280_000)
      expect(await left(key)).toBeLessThanOrEqual(300_000)
    }
    expect(await left('c')).toBeGreaterThan(980_000)
    expect(await left('c')).toBeLessThanOrEqual(1_000_000)
    await space.deleteByTag('by default')
    expect(await space.getMany(['a', 'b', 'c'])).toEqual([null, null, 3])
    const inner = space.namespace('inner', { ttl: 500 })
    await inner.set('a', 1)
    expect((await inner.getEntry('a'))?.ttlMs).toBeGreaterThan(680_000)
  })

  it('under another prefix are others, and clearing the one leaves the other', async () => {
    const views = cacheManager.namespace('both', { prefix: 'views' })
    const plain = cacheManager.namespace('both')
    await Promise.all([views.set('1', 'view'), plain.set('1', 'plain')])
    await plain.clear()
    expect([await views.get('1'), await plain.get('1')]).toEqual(['view', null])
    await plain.set('1', 'plain')
    await views.clear()
    expect([await views.get('1'), await plain.get('1')]).toEqual([null, 'plain'])
  })

  it('clear what calls put under another prefix when they are told so', async () => {
    const space = cacheManager.namespace('told')
    await Promise.all([space.set('1', 'view', { prefix: 'views' }), space.set('1', 'plain')])
    await space.clear('views')
    expect([await space.get('1', { prefix: 'views' }), await space.get('1')]).toEqual([null, 'plain'])
  })

  it('count for themselves', async () => {
    const space = cacheManager.namespace('counted')
    cacheManager.resetStats()
    await space.set('a', 1)
    await space.get('a')
    await space.get('none')
    await space.getOrSet('b', () => 2)
    await cacheManager.get('none')
    expect(space.getStats()).toMatchObject({ hits: 1, misses: 2, sets: 2, loads: 1 })
    const whole = cacheManager.getStats()
    expect(whole).toMatchObject({ hits: 1, misses: 3, sets: 2, loads: 1 })
    expect(whole.namespaces['cache:counted']).toMatchObject({ hits: 1, misses: 2, sets: 2, loads: 1 })
  })

  it('touch no other family', async () => {
    await fallbackManager.set('1', 'kept')
    const space = cacheManager.namespace('families')
    await space.set('1', 1)
    await space.clear()
    expect(await fallbackManager.get('1')).toBe('kept')
  })

  it('refuse names that are none, and options that are no object', async () => {
    await areRefused('name', ['', 5, null, undefined, {}, 'x'.repeat(129), '\ud800'], (name) => cacheManager.namespace(name))
    await areRefused('options', [5, 'ttl', null, []], (defaults) => cacheManager.namespace('wrong', defaults))
    expect(await reasonOf(cacheManager.namespace('wrong', { ttl: -1 }).set('1', 1))).toMatchObject({ code: 'E_INVALID', path: 'options.ttl' })
  })

  it('are another when a colon is in their name, and refuse what tells them apart', async () => {
    const spaces = [cacheManager.namespace('a:b'), cacheManager.namespace('a').namespace('b'), cacheManager.namespace('a')]
    await Promise.all(spaces.map((space, n) => space.set('b:1', n)))
    await cacheManager.set('b:1', 4, { prefix: 'cache:a:b' })
    await spaces[2]?.clear()
    expect(await Promise.all(spaces.map((space) => space.get('b:1')))).toEqual([0, null, null])
    expect(await cacheManager.get('b:1', { prefix: 'cache:a:b' })).toBe(4)
    await areRefused('name', ['a\u001f', '\u001e'], (name) => cacheManager.namespace(name))
    await areRefused('options.prefix', ['a\u001f', '\u001e'], (prefix) => cacheManager.get('1', { prefix }))
  })

  it('are not touched by a pattern of the cache that they are in', async () => {
    await cacheManager.namespace('outside').set('1', 1)
    await cacheManager.set('outside', 2)
    expect(await cacheManager.deletePattern('out*')).toBe(1)
    expect(await cacheManager.namespace('outside').get('1')).toBe(1)
  })

  if (store === 'redis') it('stand in their keys by their names', async () => {
    await cacheManager.namespace('named').namespace('in:ner').set('1', 1)
    expect(await outside().call('EXISTS', `${keyPrefix}cache:named%:in%3Aner%:1`)).toBe(1)
  })
})
