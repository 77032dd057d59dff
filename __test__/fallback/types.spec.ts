// The fallback manager gives back exactly what it was given, from Redis and from memory.
import { describe, expect, it } from 'vitest'
import { onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'

const values: [string, unknown][] = [
  ['text', 'value'],
  ['empty text', ''],
  ['text of digits', '42'],
  ['text of zeros', '007'],
  ['text "true"', 'true'],
  ['text "null"', 'null'],
  ['text of JSON', '{"a":1}'],
  ['text of a JSON text', '"quoted"'],
  ['text of broken JSON', '{"a":'],
  ['text with NUL', 'a\0b'],
  ['integer', 42],
  ['zero', 0],
  ['fraction', 0.1],
  ['true', true],
  ['false', false],
  ['null', null],
  ['object', { a: [1, { b: null }] }],
  ['empty array', []],
  ['long text', 'long '.repeat(10_000)],
  ['long digits', '1'.repeat(5000)],
]

describe.each(stores)('types on %s', (store) => {
  const { holdfast, keyPrefix, outside } = onStore(store)
  const { fallbackManager, cacheManager } = holdfast

  it.each(values)('%s comes back as it was', async (name, value) => {
    expect(await fallbackManager.set(name, value)).toBe(true)
    expect(await fallbackManager.get(name)).toEqual(value)
    expect(await fallbackManager.exists(name)).toBe(true)
  })

  it('comes back in the same type while the fallback is forced, and after it', async () => {
    await fallbackManager.forceFallbackMode(true)
    await Promise.all(values.map(([name, value]) => fallbackManager.set(`forced ${name}`, value)))
    for (const [name, value] of values) expect(await fallbackManager.get(`forced ${name}`), name).toEqual(value)
    await fallbackManager.forceFallbackMode(false)
    for (const [name, value] of values) expect(await fallbackManager.get(`forced ${name}`), name).toEqual(value)
  })

  it('has keys of its own, apart from the cache', async () => {
    await fallbackManager.set('apart', 'fallback')
    expect(await cacheManager.get('apart')).toBeNull()
    await cacheManager.set('apart', 'cache')
    expect(await fallbackManager.get('apart')).toBe('fallback')
  })

  it('deletes', async () => {
    await fallbackManager.set('gone', 1)
    expect(await fallbackManager.delete('gone')).toBe(true)
    expect(await fallbackManager.get('gone')).toBeNull()
    expect(await fallbackManager.exists('gone')).toBe(false)
    expect(await fallbackManager.delete('gone')).toBe(false)
  })

  it('reads and writes many at once', async () => {
    expect(await fallbackManager.mset({ a: 1, b: 'two', c: null })).toBe(true)
    expect(await fallbackManager.mget(['c', 'missing', 'a', 'b', 'a'])).toEqual([null, null, 1, 'two', 1])
    expect(await fallbackManager.mget([])).toEqual([])
    expect(await fallbackManager.mset({})).toBe(true)
    expect(await fallbackManager.exists('c')).toBe(true)
    expect(await fallbackManager.exists('missing')).toBe(false)
  })

  if (store === 'redis') it('keeps what it was told to keep for that long, and the rest without end', async () => {
    await waitFor('Redis to answer again', () => !fallbackManager.getStats().isUsingFallback)
    await fallbackManager.set('timed', 1, 60)
    await fallbackManager.set('endless', 1)
    await fallbackManager.mset({ many: 1 }, 60)
    const lives = (await outside().pipeline(['timed', 'endless', 'many'].map((key) => ['TTL', `${keyPrefix}fallback:${key}`]))) as number[]
    expect(lives[0]).toBeGreaterThan(50)
    expect(lives[0]).toBeLessThanOrEqual(60)
    expect(lives[1]).toBe(-1)
    expect(lives[2]).toBeGreaterThan(50)
  })
})
