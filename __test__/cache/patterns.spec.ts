// deletePattern removes what matches, and nothing beside it.
import { describe, expect, it } from 'vitest'
import { areRefused } from './loads'
import { gate, onStore, stores } from './stores'

/** A pattern that means a text itself: a backslash before each character that means more. */
const literally = (text: string): string => text.replaceAll(/[\\*?[\]^]/g, String.raw`\$&`)

const special = [
  '*', '?', '[a-z]', '[', ']', '\\', '\\*', '^', '{a}', '{', '}', '{}', '%7B', '%', '%25', 'a:b', ':', ' ', '\n', '\0', 'ä', 'a\u0308', '🜁', '-', '__proto__',
  'plain', 'plainer', 'plai',
]

describe.each(stores)('deletePattern on %s', (store) => {
  const { holdfast, keyPrefix, outside } = onStore(store)
  const { cacheManager, AICacheManager } = holdfast

  it.each<[string, string[], string[]]>([
    ['user:*', ['user:1', 'user:', 'user:a:b'], ['users:1', 'user', 'xuser:1']],
    ['*:done', ['a:done', ':done', 'a:b:done'], ['done', 'a:done:']],
    ['*mid*', ['mid', 'amid', 'midst', 'a mid b'], ['mi', 'm id']],
    ['a?c', ['abc', 'a?c', 'a:c'], ['ac', 'abbc']],
    ['[ab]x', ['ax', 'bx'], ['cx', 'x', '[ab]x']],
    ['[^ab]x', ['cx', '^x'], ['ax', 'bx']],
    ['[b-d]', ['b', 'c', 'd'], ['a', 'e', '-']],
    ['plain', ['plain'], ['plain ', ' plain', 'plainer']],
    ['*', ['anything', '*', ':'], []],
    [String.raw`\*`, ['*'], ['a', '**']],
    [String.raw`a\?`, ['a?'], ['ab']],
    [String.raw`\[a\]`, ['[a]'], ['a']],
  ])('%j takes what it means', async (pattern, matching, others) => {
    const prefix = `means:${Buffer.from(pattern).toString('hex')}`
    await Promise.all([...matching, ...others].map((key) => cacheManager.set(key, key, { prefix })))
    expect(await cacheManager.deletePattern(pattern, { prefix })).toBe(matching.length)
    expect(await cacheManager.getMany(matching, { prefix })).toEqual(matching.map(() => null))
    expect(await cacheManager.getMany(others, { prefix })).toEqual(others)
    expect(await cacheManager.deletePattern(pattern, { prefix })).toBe(0)
  })

  it.each(special)('the text of %j takes that key and no other', async (key) => {
    const prefix = `text:${special.indexOf(key)}`
    await Promise.all(special.map((each) => cacheManager.set(each, each, { prefix })))
    expect(await cacheManager.deletePattern(literally(key), { prefix })).toBe(1)
    expect(await cacheManager.getMany(special, { prefix })).toEqual(special.map((each) => (each === key ? null : each)))
  })

  async function left(pattern: string, keys: string[]): Promise<string[]> {
    const prefix = `left:${Buffer.from(pattern).toString('hex')}`
    await Promise.all(keys.map((key) => cacheManager.set(key, key, { prefix })))
    await cacheManager.deletePattern(pattern, { prefix })
    return (await cacheManager.getMany<string>(keys, { prefix })).filter((value) => value !== null)
  }

  it('takes nothing by characters that only stand for others where keys are stored', async () => {
    // Braces and percent signs are stored as %7B, %7D and %25.
    const keys = ['{', '|', '}', '%', '2', '5', '7', 'B', 'D', 'a']
    expect(await left('[{}]', keys)).toEqual(['|', '%', '2', '5', '7', 'B', 'D', 'a'])
    expect(await left('[%]', keys)).toEqual(['{', '|', '}', '2', '5', '7', 'B', 'D', 'a'])
    expect(await left('[^{]', keys)).toEqual(['{'])
    expect(await left('[{-}]', keys)).toEqual(['%', '2', '5', '7', 'B', 'D', 'a'])
  })

  it('takes one character for ? and for a class, in however many bytes it is stored', async () => {
    expect(await left('?', ['a', '{', '}', '%', 'ä', '🜁', '\n', 'ab', '{}'])).toEqual(['ab', '{}'])
    expect(await left('a?c', ['a{c', 'a%c', 'aäc', 'a🜁c', 'ac', 'a{}c'])).toEqual(['ac', 'a{}c'])
    expect(await left('[äö]', ['ä', 'ö', 'a', 'o', 'ü'])).toEqual(['a', 'o', 'ü'])
  })

  it('reaches beyond no prefix, however alike', async () => {
    const prefixes = ['reach', 'reach2', 'rea', '*', 'r*', 'reach:inner']
    await Promise.all(prefixes.map((prefix) => cacheManager.set('1', prefix, { prefix })))
    await cacheManager.set('reach:1', 'a key')
    expect(await cacheManager.deletePattern('1', { prefix: 'r*' })).toBe(1)
    expect(await cacheManager.deletePattern('?', { prefix: 'reach' })).toBe(1)
    const left = await Promise.all(prefixes.map((prefix) => cacheManager.get('1', { prefix })))
    expect(left).toEqual([null, 'reach2', 'rea', '*', null, 'reach:inner'])
    expect(await cacheManager.get('reach:1')).toBe('a key')
  })

  it('touches no other family', async () => {
    await AICacheManager.cacheConversation('c', [1])
    await cacheManager.set('mine', 1)
    await cacheManager.deletePattern('*')
    expect(await AICacheManager.getCachedConversation('c')).toEqual([1])
  })

  it('removes thousands, and tells how many', async () => {
    const keys = Array.from({ length: 3_000 }, (_, n) => `crowd:${n}`)
    await cacheManager.setMany(keys.map((key) => ({ key, value: 1 })), { prefix: 'thousands' })
    await cacheManager.set('stays', 1, { prefix: 'thousands' })
    expect(await cacheManager.deletePattern('crowd:*', { prefix: 'thousands' })).toBe(3_000)
    expect((await cacheManager.getMany(keys, { prefix: 'thousands' })).filter((value) => value !== null)).toEqual([])
    expect(await cacheManager.get('stays', { prefix: 'thousands' })).toBe(1)
  })

  it('takes what is stale, too', async () => {
    await cacheManager.set('stale:1', 'old', { grace: 60 })
    await cacheManager.expire('stale:1')
    expect(await cacheManager.get('stale:1', { allowStale: true })).toBe('old')
    await cacheManager.deletePattern('stale:*')
    expect(await cacheManager.get('stale:1', { allowStale: true })).toBeNull()
  })

  it('during a load lets nothing through that was loaded before', async () => {
    const [started, answer] = [gate(), gate<string>()]
    const loading = cacheManager.getOrSet('during:1', () => (started.open(), answer.opened))
    await started.opened
    await cacheManager.deletePattern('during:*')
    const next = cacheManager.getOrSet('during:1', async () => 'new')
    answer.open('old')
    expect(await loading).toBe('old')
    expect(await next).toBe('new')
    expect(await cacheManager.get('during:1')).toBe('new')
  })

  it('during a load whose key does not match leaves it alone', async () => {
    const [started, answer] = [gate(), gate<string>()]
    const loading = cacheManager.getOrSet('beside:1', () => (started.open(), answer.opened))
    await started.opened
    await cacheManager.deletePattern('other:*')
    answer.open('loaded')
    expect(await loading).toBe('loaded')
    expect(await cacheManager.get('beside:1')).toBe('loaded')
  })

  it('takes texts of 1 to 65,536 bytes', async () => {
    await areRefused('pattern', ['', 5, null, undefined, {}, 'x'.repeat(65_537), '\ud800'], (pattern) => cacheManager.deletePattern(pattern))
    await areRefused('options.prefix', ['', 5, 'h'], (prefix) => cacheManager.deletePattern('a', { prefix }))
  })

  if (store === 'redis') it('touches no key that is not of the cache', async () => {
    await outside().pipeline([['SET', `${keyPrefix}cach`, 'raw'], ['SET', `${keyPrefix}mine`, 'raw'], ['LPUSH', `${keyPrefix}cacheish:a`, 'raw']])
    await cacheManager.deletePattern('*')
    expect(await outside().call('EXISTS', `${keyPrefix}cach`, `${keyPrefix}mine`, `${keyPrefix}cacheish:a`)).toBe(3)
  })
})
