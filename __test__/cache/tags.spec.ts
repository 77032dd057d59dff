// Values are invalidated together by their tags, however many they are, and nothing brings them back.
import { describe, expect, it, vi } from 'vitest'
import { apart } from '../fault/outage'
import { areRefused, type Cache } from './loads'
import { asAnother, gate, onStore, stores } from './stores'

/** Texts that mean something elsewhere: to globs, to cluster slots, to URLs, to keys. */
const special = [
  '*', '?', '[a-z]', '\\*', '^', '{a}', '{', '}', '{}', '%7B', '%', '%25', 'a:b', ':', 't:a', 'n:cache:a', ' ', '\n', '\0', 'ä', 'a\u0308', '🜁',
  '__proto__', '00', '{00}:', 'h:tag', 'x'.repeat(256),
]

async function fill(cache: Cache, prefix: string, tags: readonly string[], names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => cache.set(name, name, { prefix, tags })))
}

describe.each(stores)('tags on %s', (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const { cacheManager } = holdfast
  const invalidations = [
    ['deleteByTag', (tags: string | string[]) => cacheManager.deleteByTag(tags)],
    ['expireByTag', (tags: string | string[]) => cacheManager.expireByTag(tags)],
  ] as const

  it.each(invalidations)('%s takes everything that has the tag, and nothing else', async (name, invalidate) => {
    const prefix = `all:${name}`
    await fill(cacheManager, prefix, ['red'], ['a', 'b'])
    await fill(cacheManager, prefix, ['red', 'blue'], ['c'])
    await fill(cacheManager, prefix, ['blue'], ['d'])
    await fill(cacheManager, prefix, [], ['e'])
    expect(await invalidate('red')).toBe(true)
    const read = ['a', 'b', 'c', 'd', 'e'].map((key) => cacheManager.get(key, { prefix }))
    expect(await Promise.all(read)).toEqual([null, null, null, 'd', 'e'])
    expect(await cacheManager.exists('a', { prefix })).toBe(false)
    expect(await cacheManager.exists('d', { prefix })).toBe(true)
    const entry = await cacheManager.getEntry('c', { prefix })
    expect(entry).toBeNull()
  })

  it('takes them across prefixes, and several tags at once', async () => {
    await cacheManager.set('1', 1, { prefix: 'here', tags: ['across', 'x'] })
    await cacheManager.set('1', 2, { prefix: 'there', tags: ['over'] })
    await cacheManager.set('1', 3, { prefix: 'elsewhere', tags: ['stays'] })
    expect(await cacheManager.deleteByTag(['across', 'over', 'nobody has this'])).toBe(true)
    const read = ['here', 'there', 'elsewhere'].map((prefix) => cacheManager.get('1', { prefix }))
    expect(await Promise.all(read)).toEqual([null, null, 3])
  })

  it('deleted leave nothing that grace could serve, expired do', async () => {
    await fill(cacheManager, 'graced', ['deleted'], ['a'])
    await fill(cacheManager, 'graced', ['expired'], ['b'])
    await cacheManager.deleteByTag('deleted')
    await cacheManager.expireByTag('expired')
    const old = { prefix: 'graced', allowStale: true }
    expect([await cacheManager.get('a', old), await cacheManager.get('b', old)]).toEqual([null, 'b'])
    const failing = async () => Promise.reject(new Error('no'))
    expect(await cacheManager.getOrSet('b', failing, { prefix: 'graced', grace: 60 })).toBe('b')
    // What is deleted after it was expired is deleted.
    await cacheManager.deleteByTag('expired')
    expect(await cacheManager.get('b', old)).toBeNull()
  })

  it.each(special)('%j means itself and nothing else', async (tag) => {
    const others = special.filter((other) => other !== tag)
    await Promise.all(special.map((each, n) => cacheManager.set(`special:${n}`, each, { tags: [each] })))
    await cacheManager.deleteByTag(tag)
    const left = await Promise.all(special.map((_, n) => cacheManager.get(`special:${n}`)))
    expect(left.filter((value) => value !== null)).toEqual(others)
  })

  it('takes what getOrSet, setMany and warm wrote as well', async () => {
    const tags = ['ways']
    await cacheManager.getOrSet('ways:1', () => 1, { tags })
    await cacheManager.setMany([{ key: 'ways:2', value: 2 }], { tags })
    await cacheManager.warm([{ key: 'ways:3', value: 3 }], { tags })
    await cacheManager.getOrSetMany(['ways:4'], () => [4], { tags })
    const keys = [1, 2, 3, 4].map((n) => `ways:${n}`)
    expect(await cacheManager.getMany(keys)).toEqual([1, 2, 3, 4])
    await cacheManager.deleteByTag('ways')
    expect(await cacheManager.getMany(keys)).toEqual([null, null, null, null])
  })

  it.each(invalidations)('%s during a load: what was loaded before is cached for nobody', async (name, invalidate) => {
    const [started, answer] = [gate(), gate<string>()]
    const loading = cacheManager.getOrSet(`during:${name}`, () => (started.open(), answer.opened), { tags: [`during:${name}`] })
    await started.opened
    expect(await invalidate(`during:${name}`)).toBe(true)
    answer.open('old')
    expect(await loading).toBe('old')
    expect(await cacheManager.get(`during:${name}`)).toBeNull()
    expect(await cacheManager.getOrSet(`during:${name}`, async () => 'new', { tags: [`during:${name}`] })).toBe('new')
    expect(await cacheManager.get(`during:${name}`)).toBe('new')
  })

  it.each(invalidations)('%s during a load: who asks afterwards gets nothing that was loaded before', async (name, invalidate) => {
    const [started, answer] = [gate(), gate<string>()]
    const options = { tags: [`since:${name}`] }
    const before = cacheManager.getOrSet(`since:${name}`, () => (started.open(), answer.opened), options)
    await started.opened
    await invalidate(`since:${name}`)
    const after = cacheManager.getOrSet(`since:${name}`, async () => 'new', options)
    answer.open('old')
    expect(await before).toBe('old')
    expect(await after).toBe('new')
    expect(await cacheManager.get(`since:${name}`)).toBe('new')
  })

  it('that are invalidated leave loads of what does not have them to those who ask meanwhile', async () => {
    const [started, answer] = [gate(), gate<string>()]
    const loader = vi.fn(() => (started.open(), answer.opened))
    const ask = () => cacheManager.getOrSet('unrelated', loader, { tags: ['unrelated'] })
    const before = ask()
    await started.opened
    await cacheManager.deleteByTag(['of others', 'of nobody'])
    const after = [ask(), ask()]
    answer.open('loaded')
    expect(await Promise.all([before, ...after])).toEqual(['loaded', 'loaded', 'loaded'])
    expect(loader).toHaveBeenCalledTimes(1)
    expect(await cacheManager.get('unrelated')).toBe('loaded')
  })

  it('invalidated again and again never keep what is written or loaded afterwards from being cached', async () => {
    // By an instance of its own, whose clock runs ahead by this.
    const cache = open({ keyPrefix: `${keyPrefix}again:` }).cacheManager
    for (let round = 0; round < 30; round++) {
      await cache.deleteByTag('again')
      await cache.set('set', round, { tags: ['again'] })
      expect(await cache.get('set')).toBe(round)
      await cache.expireByTag('again')
      expect(await cache.getOrSet('load', () => round, { tags: ['again'] })).toBe(round)
      expect(await cache.get('load')).toBe(round)
      expect(await cache.get('set')).toBeNull()
    }
  })

  if (store === 'redis') it('invalidated again and again by one process do not keep what another one loads from being cached', async () => {
    const own = { keyPrefix: `${keyPrefix}ahead:` }
    const [one, other] = [open(own).cacheManager, open({ ...own, ...asAnother }).cacheManager]
    for (let n = 0; n < 400; n++) {
      await one.deleteByTag(`ahead:${n}`)
      await one.set(`ahead:${n}`, n, { tags: [`ahead:${n}`] })
    }
    await one.set('plain', 'old')
    // By so much clocks may differ, and not by more for each invalidation.
    await apart()
    expect(await other.getOrSet('plain', () => 'new', { forceFresh: true })).toBe('new')
    expect(await other.get('plain', { skipL1: true })).toBe('new')
  })

  it('keep the order of calls that nobody waited for: what is set after the invalidation is there', async () => {
    await cacheManager.set('order', 'before', { tags: ['order'] })
    await Promise.all([cacheManager.deleteByTag('order'), cacheManager.set('order', 'after', { tags: ['order'] })])
    expect(await cacheManager.get('order')).toBe('after')
  })

  it('keep the order of calls on a key that nobody waited for: what is deleted last does not come back', async () => {
    const [, , removed] = await Promise.all([
      cacheManager.deleteByTag('order'),
      cacheManager.set('order:deleted', 'deleted afterwards', { tags: ['order'] }),
      cacheManager.delete('order:deleted'),
    ])
    expect(removed).toBe(true)
    expect(await cacheManager.get('order:deleted', { skipL1: true })).toBeNull()
  })

  it('keep the order of calls on a key that nobody waited for: what is set last stays', async () => {
    const calls = [
      cacheManager.deleteByTag('order'),
      cacheManager.set('order:set', 'first', { tags: ['order'] }),
      cacheManager.get('order:set'),
      cacheManager.set('order:set', 'last'),
    ]
    expect(await Promise.all(calls)).toEqual([true, true, 'first', true])
    expect(await cacheManager.get('order:set', { skipL1: true })).toBe('last')
  })

  if (store === 'redis') it('keep that order where another process invalidated them, and the last value is so large that it goes another way', async () => {
    const own = { keyPrefix: `${keyPrefix}large:` }
    const [one, other] = [open(own).cacheManager, open({ ...own, ...asAnother }).cacheManager]
    const large = 'x'.repeat(70_000)
    for (const tag of ['first', 'second', 'third']) {
      await other.expireByTag(tag)
      const options = { tags: [tag] }
      expect(await Promise.all([one.set(tag, 'small', options), one.set(tag, large, options)])).toEqual([true, true])
      expect((await one.get(tag, { skipL1: true })) === large).toBe(true)
    }
  })

  it.each<[string, (cache: Cache) => Promise<unknown>, object]>([
    ['expired', (cache) => cache.expire('anew'), {}],
    ['loaded by force', async () => undefined, { forceFresh: true }],
    ['deleted', (cache) => cache.delete('anew'), {}],
  ])('do not keep a key from being cached anew that was set after an invalidation and is %s', async (_, change, options) => {
    const cache = open({ keyPrefix: `${keyPrefix}anew:` }).cacheManager
    await cache.deleteByTag('anew')
    await cache.set('anew', 'old', { tags: ['anew'] })
    await change(cache)
    expect(await cache.getOrSet('anew', async () => 'new', options)).toBe('new')
    expect(await cache.get('anew', { skipL1: true })).toBe('new')
  })

  it('are those of the last write: one that names none has none', async () => {
    await cacheManager.set('changed', 1, { tags: ['before'] })
    await cacheManager.set('changed', 2, { tags: ['after'] })
    await cacheManager.deleteByTag('before')
    expect(await cacheManager.get('changed')).toBe(2)
    await cacheManager.set('changed', 3)
    await cacheManager.deleteByTag('after')
    expect(await cacheManager.get('changed')).toBe(3)
  })

  it('can be as many as 64, and each of them counts', async () => {
    const tags = Array.from({ length: 64 }, (_, n) => `many:${n}`)
    for (const tag of ['many:0', 'many:31', 'many:63']) {
      await cacheManager.set('many', 1, { tags })
      expect(await cacheManager.get('many')).toBe(1)
      await cacheManager.deleteByTag(tag)
      expect(await cacheManager.get('many')).toBeNull()
    }
    await cacheManager.set('twice', 1, { tags: ['a', 'a', 'a'] })
    expect(await cacheManager.get('twice')).toBe(1)
  })

  it('outlive what has them, however long that is', async () => {
    await cacheManager.set('long', 1, { ttl: '60d', tags: ['long'] })
    await cacheManager.set('for good', 2, { persist: true, tags: ['for good'] })
    expect(await cacheManager.getMany(['long', 'for good'])).toEqual([1, 2])
    if (store === 'redis') {
      const markers = (await outside().call('KEYS', `${keyPrefix}h:tag:*}:t:*`)) as string[]
      const left = async (tag: string) => Number(await outside().call('PTTL', markers.find((name) => name.endsWith(`:t:${tag}`)) ?? ''))
      expect(await left('long')).toBeGreaterThan(60 * 86_400_000)
      expect(await left('for good')).toBe(-1)
    }
    await cacheManager.deleteByTag(['long', 'for good'])
    expect(await cacheManager.getMany(['long', 'for good'])).toEqual([null, null])
  })

  it('cost one call, however much has them', async () => {
    const keys = Array.from({ length: 2_000 }, (_, n) => `crowd:${n}`)
    await cacheManager.setMany(keys.map((key) => ({ key, value: key })), { tags: ['crowd'] })
    expect(await cacheManager.getMany(keys)).toEqual(keys)
    await cacheManager.deleteByTag('crowd')
    expect((await cacheManager.getMany(keys)).filter((value) => value !== null)).toEqual([])
  })

  it('are invalidated for loads of many keys as for one', async () => {
    const [started, answer] = [gate(), gate<number[]>()]
    const loader = vi.fn(() => (started.open(), answer.opened))
    const loading = cacheManager.getOrSetMany(['batch:1', 'batch:2'], loader, { tags: ['batch'] })
    await started.opened
    await cacheManager.deleteByTag('batch')
    answer.open([1, 2])
    expect(await loading).toEqual([1, 2])
    expect(await cacheManager.getMany(['batch:1', 'batch:2'])).toEqual([null, null])
  })

  it('must be texts of 1 to 256 characters, no more than 64', async () => {
    const notTags = ['', 5, null, undefined, {}, 'x'.repeat(257), '\ud800']
    await areRefused('options.tags[1]', notTags.map((tag) => ['a', tag]), (tags) => cacheManager.set('wrong', 1, { tags }))
    await areRefused('options.tags[1]', notTags.map((tag) => ['a', tag]), (tags) => cacheManager.getOrSet('wrong', () => 1, { tags }))
    await areRefused('options.tags', ['a', 5, null, {}, Array.from({ length: 65 }, (_, n) => `${n}`)], (tags) => cacheManager.set('wrong', 1, { tags }))
    await areRefused('tags[1]', notTags.map((tag) => ['a', tag]), (tags) => cacheManager.deleteByTag(tags))
    await areRefused('tags', ['', 5, null, undefined, {}, 'x'.repeat(257), '\ud800'], (tags) => cacheManager.expireByTag(tags))
    expect(await cacheManager.exists('wrong')).toBe(false)
  })

  it('that are too long together are refused by the name of the option', async () => {
    const tags = Array.from({ length: 64 }, (_, n) => `${n}`.padStart(256, 'x'))
    await areRefused('options.tags', [tags], (all) => cacheManager.set('too long', 1, { tags: all }))
    await areRefused('options.tags', [tags], (all) => cacheManager.getOrSet('too long', () => expect.unreachable('the loader ran'), { tags: all }))
    expect(await cacheManager.exists('too long')).toBe(false)
  })

  if (store === 'redis') it('whose marker the server has lost make what has them a miss, never fresh', async () => {
    const { cacheManager: cache } = open({ keyPrefix: `${keyPrefix}lost:`, nearCache: 'off' })
    await cache.set('lost', 1, { tags: ['lost'] })
    expect(await cache.get('lost')).toBe(1)
    const [marker] = (await outside().call('KEYS', `${keyPrefix}lost:h:tag:*:t:lost`)) as [string]
    expect(await outside().call('DEL', marker)).toBe(1)
    expect(await cache.get('lost')).toBeNull()
    expect(await cache.getOrSet('lost', () => 'again', { tags: ['lost'] })).toBe('again')
    expect(await cache.get('lost')).toBe('again')
  })
})
