// What goes into the cache comes out of it, the same on both stores.
import { describe, expect, it } from 'vitest'
import { waitFor } from '../support/wait-for'
import { areRefused, reasonOf } from './loads'
import { onStore, stores } from './stores'

const values: [string, unknown][] = [
  ['an object', { id: 1, name: 'Ada', nested: { list: [1, 'two', null, true] } }],
  ['an array', [1, [2, [3]], {}]],
  ['a text', 'plain'],
  ['an empty text', ''],
  ['a text that looks like JSON', '{"a":1}'],
  ['a text that looks like a number', '007'],
  ['a text with every plane of Unicode', 'ä€𝄞\u0000\u0007\n"\\/👩‍👩‍👧'],
  ['zero', 0],
  ['a negative number', -1.5e-7],
  ['a large number', Number.MAX_SAFE_INTEGER],
  ['true', true],
  ['false', false],
  ['null', null],
  ['an empty object', {}],
  ['an empty array', []],
  ['an object with dangerous names', JSON.parse('{"__proto__":{"polluted":true},"constructor":1}')],
  ['half a megabyte', 'x'.repeat(512 * 1024)],
]

describe.each(stores)('the cache on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const { cacheManager } = holdfast

  it.each(values)('gives back %s as it was', async (name, value) => {
    expect(await cacheManager.set(`value:${name}`, value)).toBe(true)
    expect(await cacheManager.get(`value:${name}`)).toEqual(value)
    expect(await cacheManager.exists(`value:${name}`)).toBe(true)
  })

  it('gives each caller a value of its own', async () => {
    await cacheManager.set('own', { list: [1] })
    const first = await cacheManager.get<{ list: number[] }>('own')
    first!.list.push(2)
    expect(await cacheManager.get('own')).toEqual({ list: [1] })
  })

  it('keeps the value as it was when set was called', async () => {
    const value = { state: 'before' }
    const stored = cacheManager.set('moment', value)
    value.state = 'after'
    await stored
    expect(await cacheManager.get('moment')).toEqual({ state: 'before' })
  })

  it('stores what JSON makes of a value: dates as text, undefined fields left out', async () => {
    const when = new Date(0)
    await cacheManager.set('json', { when, gone: undefined, list: [undefined], text: { toJSON: () => 'own' } })
    expect(await cacheManager.get('json')).toEqual({ when: when.toISOString(), list: [null], text: 'own' })
  })

  it('answers null and false for a key that is not there', async () => {
    expect(await cacheManager.get('missing')).toBeNull()
    expect(await cacheManager.exists('missing')).toBe(false)
    expect(await cacheManager.delete('missing')).toBe(false)
  })

  it('tells a cached null from a missing key by exists', async () => {
    await cacheManager.set('null', null)
    expect(await cacheManager.get('null')).toBeNull()
    expect(await cacheManager.exists('null')).toBe(true)
    expect(await cacheManager.exists('no null')).toBe(false)
  })

  it('replaces and deletes', async () => {
    await cacheManager.set('turn', 1)
    await cacheManager.set('turn', 2)
    expect(await cacheManager.get('turn')).toBe(2)
    expect(await cacheManager.delete('turn')).toBe(true)
    expect(await cacheManager.get('turn')).toBeNull()
    expect(await cacheManager.delete('turn')).toBe(false)
    await cacheManager.set('turn', 3)
    expect(await cacheManager.get('turn')).toBe(3)
  })

  it('keeps the order of calls on one key that nobody waited for', async () => {
    const answers = await Promise.all([
      cacheManager.set('order', 1),
      cacheManager.get('order'),
      cacheManager.set('order', 2),
      cacheManager.get('order'),
      cacheManager.delete('order'),
      cacheManager.get('order'),
      cacheManager.set('order', 3),
      cacheManager.get('order'),
    ])
    expect(answers).toEqual([true, 1, true, 2, true, null, true, 3])
  })

  it('refuses what is nested too deeply for JSON, and takes what is not', async () => {
    const deep = (levels: number, inmost: unknown): unknown => Array.from({ length: levels }).reduce((inner, _, level) => (level % 2 === 0 ? [inner] : { a: inner }), inmost)
    await areRefused('value', [100_000].map((levels) => deep(levels, 1)), (value) => cacheManager.set('too deep', value))
    const wrong = await reasonOf(cacheManager.set('too deep', { list: [1, deep(100_000, 1), 2n] }))
    expect(wrong).toMatchObject({ code: 'E_INVALID', path: 'value.list[2]' })
    expect(await cacheManager.set('deep', deep(1_000, 1))).toBe(true)
    expect(JSON.stringify(await cacheManager.get('deep'))).toBe(JSON.stringify(deep(1_000, 1)))
    expect(await cacheManager.exists('too deep')).toBe(false)
  })

  it('takes an AbortSignal as signal and nothing else', async () => {
    const none = [{ aborted: false }, { aborted: true }, {}, null, 5, 'text', new AbortController()]
    await areRefused('options.signal', none, (signal) => cacheManager.get('signal', { signal }))
    await areRefused('options.signal', none, (signal) => cacheManager.warm([{ key: 'signal', value: 1 }], { signal }))
  })

  it('answers a thousand calls of one tick, each with its own', async () => {
    const numbers = Array.from({ length: 1000 }, (_, index) => index)
    await Promise.all(numbers.map((n) => cacheManager.set(`many:${n}`, { n })))
    expect(await Promise.all(numbers.map((n) => cacheManager.get(`many:${n}`)))).toEqual(numbers.map((n) => ({ n })))
  })

  it('keeps the same key apart under another prefix option', async () => {
    await cacheManager.set('shared', 'in cache')
    await cacheManager.set('shared', 'in views', { prefix: 'views' })
    expect(await cacheManager.get('shared')).toBe('in cache')
    expect(await cacheManager.get('shared', { prefix: 'views' })).toBe('in views')
    expect(await cacheManager.delete('shared', { prefix: 'views' })).toBe(true)
    expect(await cacheManager.exists('shared', { prefix: 'views' })).toBe(false)
    expect(await cacheManager.exists('shared')).toBe(true)
  })

  it('keeps the same key apart under another key prefix', async () => {
    const other = open({ keyPrefix: `other:${process.pid}:` })
    await cacheManager.set('apart', 1)
    expect(await other.cacheManager.get('apart')).toBeNull()
    await other.cacheManager.set('apart', 2)
    expect(await cacheManager.get('apart')).toBe(1)
    await other.cacheManager.clear()
    expect(await cacheManager.get('apart')).toBe(1)
  })
})

describe('the cache on redis, seen from outside', () => {
  const { holdfast, keyPrefix, outside } = onStore('redis')
  const { cacheManager } = holdfast

  it('stores under {keyPrefix}{prefix}:{key}', async () => {
    await cacheManager.set('user:1', { a: 1 })
    await cacheManager.set('user:1', { a: 2 }, { prefix: 'views' })
    expect(await outside().call('EXISTS', `${keyPrefix}cache:user:1`, `${keyPrefix}views:user:1`)).toBe(2)
  })

  it('leaves a small value readable', async () => {
    await cacheManager.set('small', { a: 'readable' })
    expect(await outside().call('GET', `${keyPrefix}cache:small`)).toContain('{"a":"readable"}')
  })

  it('reads a plain value that somebody else wrote, as JSON', async () => {
    await outside().call('SET', `${keyPrefix}cache:foreign`, '{"a":[1,2]}')
    expect(await cacheManager.get('foreign')).toEqual({ a: [1, 2] })
    expect(await cacheManager.exists('foreign')).toBe(true)
    expect(await cacheManager.delete('foreign')).toBe(true)
    expect(await outside().call('EXISTS', `${keyPrefix}cache:foreign`)).toBe(0)
  })

  it('misses what somebody else deleted', async () => {
    await cacheManager.set('taken', 1)
    expect(await cacheManager.get('taken')).toBe(1)
    await outside().call('DEL', `${keyPrefix}cache:taken`)
    await waitFor('word of it', async () => (await cacheManager.get('taken')) === null)
  })
})
