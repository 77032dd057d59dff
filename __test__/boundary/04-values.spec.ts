// Point 4 of docs/boundary.md: text crosses as text, bytes as bytes, and what was handed over is a copy.

import { describe, expect, it } from 'vitest'

import { onStore, stores } from '../cache/stores'
import { counters, range, since, turn } from './inside'

/** Texts of every width in UTF-8 and UTF-16, and those at which cutting goes wrong. */
const texts = [
  '',
  'plain',
  'ü',
  'déjà vu, naïveté',
  'Ω≈ç√∫˜µ≤≥÷',
  '日本語のテキスト',
  'שלום עולם',
  '👩‍👩‍👧‍👦 and 🏳️‍🌈',
  '𝕳𝖊𝖑𝖑𝖔',
  'e\u0301 is not é',
  '\u0000\u0001\u007f\u0080\u07ff\u0800\uffff',
  '\ufeffbegins with a mark',
  'a\r\nb\tc"d\\e',
  '🜁'.repeat(3_000),
  `${'a'.repeat(20_000)}ü${'b'.repeat(20_000)}`,
]

describe.each(stores)('values on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const { cacheManager, fallbackManager, redisClient } = holdfast
  const client = redisClient.getClient()
  const other = open()

  it('of every alphabet cross in one batch and come back as they were', async () => {
    await client.call('PING')
    await turn()
    const before = counters(other)
    await Promise.all([
      ...texts.slice(0, -1).map((text, n) => cacheManager.set(`ключ ${n} 🗝`, text)),
      ...texts.slice(0, -2).map((text, n) => fallbackManager.set(`clé ${n}`, text)),
      ...texts.slice(0, -2).map((text, n) => client.call('SET', `鍵 ${n}`, text)),
    ])
    expect(since(before, other).submits).toBe(1)
    await cacheManager.set(`ключ ${texts.length - 1} 🗝`, texts.at(-1))
    const back = await Promise.all([
      ...texts.map((_, n) => cacheManager.get(`ключ ${n} 🗝`)),
      ...texts.slice(0, -2).map((_, n) => fallbackManager.get(`clé ${n}`)),
      ...texts.slice(0, -2).map((_, n) => client.call('GET', `鍵 ${n}`)),
    ])
    expect(back).toEqual([...texts, ...texts.slice(0, -2), ...texts.slice(0, -2)])
  })

  it('that are no UTF-8 come back as the same bytes, the others as text', async () => {
    const all = Uint8Array.from(range(256))
    const parts = [all, Uint8Array.of(0xff), Uint8Array.of(0xc3, 0x28), Uint8Array.of(0xed, 0xa0, 0x80)]
    await Promise.all(parts.map((bytes, n) => client.call('SET', `bytes:${n}`, bytes)))
    await client.call('SET', 'text', Buffer.from('bytes that are ünïcode'))
    const back = await Promise.all(parts.map((_, n) => client.call<Uint8Array>('GET', `bytes:${n}`)))
    for (const [n, bytes] of parts.entries()) {
      expect(back[n], `bytes ${n}`).toBeInstanceOf(Uint8Array)
      expect([...(back[n] as Uint8Array)]).toEqual([...bytes])
    }
    expect(await client.call('GET', 'text')).toBe('bytes that are ünïcode')
    expect(await client.call('MGET', 'text', 'bytes:1', 'none')).toEqual([
      'bytes that are ünïcode',
      Buffer.of(0xff),
      null,
    ])
  })

  it.each([10, 1_000, 65_536, 65_537, 1_000_000])('of %i bytes are copied when they are handed over', async (size) => {
    const bytes = Buffer.alloc(size, 'a')
    const sent = client.call('SET', `copied:${size}`, bytes)
    bytes.fill('b')
    expect(await sent).toBe('OK')
    expect((await client.call<string>('GET', `copied:${size}`)) === 'a'.repeat(size)).toBe(true)
  })

  it('that are changed right after the call are stored as they were at the call', async () => {
    const value = { list: [1, 2, 3], deep: { name: 'before' } }
    const args = ['changed:a', 'first', 'changed:b', 'second']
    const commands = [{ command: 'MSET', args }]
    const sent = [cacheManager.set('changed', value), redisClient.pipeline(commands)]
    value.list.push(4)
    value.deep.name = 'after'
    args[1] = 'changed'
    commands.push({ command: 'DEL', args: ['changed:a'] })
    await Promise.all(sent)
    expect(await cacheManager.get('changed')).toEqual({ list: [1, 2, 3], deep: { name: 'before' } })
    expect(await client.call('MGET', 'changed:a', 'changed:b')).toEqual(['first', 'second'])
  })

  it('of a batch that is larger than the inbox all come', async () => {
    const names = range(100).map((n) => `hundred:${n}`)
    await client.call('MSET', ...names.flatMap((name, n) => [name, n]))
    const expected = range(100).map(String)
    // 200 replies of more than 100 numbers each: the inbox starts with 8,192.
    const answers = await Promise.all(range(200).map(() => client.call('MGET', ...names)))
    for (const answer of answers) expect(answer).toEqual(expected)
    const entries = await Promise.all(range(5_000).map((n) => cacheManager.set(`many:${n}`, n)))
    expect(entries.every(Boolean)).toBe(true)
    expect(await Promise.all(range(5_000).map((n) => cacheManager.get(`many:${n}`)))).toEqual(range(5_000))
  })

  it('of one reply that is larger than the inbox, 100,000 of them, come in order', async () => {
    const names = range(100_000).map((n) => `long:${n}`)
    const many = range(100_000).map((n) => (n % 1_000 === 0 ? `ü${n}` : String(n)))
    const args = names.flatMap((name, n) => [name, many[n] as string])
    expect(await redisClient.pipeline([{ command: 'MSET', args }])).toEqual(['OK'])
    const [before, replies, after] = await Promise.all([
      cacheManager.get('none'),
      redisClient.pipeline([{ command: 'MGET', args: names }]),
      cacheManager.exists('none'),
    ])
    const [back] = replies as string[][]
    expect([before, after]).toEqual([null, false])
    expect(back).toHaveLength(100_000)
    // Compared as one text: a failing comparison of the arrays would print both.
    expect(back?.join() === many.join()).toBe(true)
    expect(await client.call('GET', 'long:99999')).toBe('99999')
  })

  it('of many sizes in one batch keep their places in the text', async () => {
    const sizes = [0, 1, 12, 13, 14, 1023, 1024, 1025, 16_383, 16_384, 16_385, 70_000]
    const value = (size: number, n: number): string => String.fromCharCode(97 + (n % 26)).repeat(size)
    await Promise.all(sizes.map((size, n) => client.call('SET', `sized:${size}`, value(size, n))))
    const back = await Promise.all(sizes.map((size) => client.call<string>('GET', `sized:${size}`)))
    expect(back.map((text) => text.length)).toEqual(sizes)
    expect(back.every((text, n) => text === value(sizes[n] as number, n))).toBe(true)
  })
})

describe('a managed value on redis', () => {
  const { holdfast, keyPrefix, outside } = onStore('redis')

  it('is readable text behind its envelope, so that other tools can look at it', async () => {
    await holdfast.cacheManager.set('readable', { who: 'Zoë 🜁' })
    const stored = String(await outside().call('GET', `${keyPrefix}cache:readable`))
    expect(stored.endsWith('{"who":"Zoë 🜁"}')).toBe(true)
  })
})
