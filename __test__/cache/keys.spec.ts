// Any text is a key, and different keys never meet.
import { describe, expect, it } from 'vitest'
import { onStore, stores } from './stores'

const keys = [
  'plain', 'user:123', 'a b', ' ', 'tab\there', 'line\nbreak', 'line\r\nbreak', 'nul\0here', '\0', '*', 'user:*', '?', '[ab]', '[a', ']',
  '{', '}', '{}', '{a}', '{a}{b}', '}{', '%7B', '%7D', '%', '%25', '%257B', '\\', '\\*', '"', "'", 'ä', 'a\u0308', '🜁', '__proto__', 'constructor',
  'toString', 'h:{x}', ':', '::', '/', '../..', 'NaN', 'null', 'undefined', '\ufeff', '\u202e', 'x'.repeat(65_536),
]

describe.each(stores)('keys on %s', (store) => {
  const { holdfast, keyPrefix, outside } = onStore(store)
  const { cacheManager, fallbackManager } = holdfast

  it('each hold their own value', async () => {
    await Promise.all(keys.map((key, n) => cacheManager.set(key, n)))
    expect(await Promise.all(keys.map((key) => cacheManager.get(key)))).toEqual(keys.map((_, n) => n))
    expect((await Promise.all(keys.map((key) => cacheManager.exists(key)))).every(Boolean)).toBe(true)
  })

  it('are deleted one at a time', async () => {
    for (const [n, key] of keys.entries()) {
      expect(await cacheManager.delete(key), key.slice(0, 20)).toBe(true)
      const next = keys[n + 1]
      if (next !== undefined) expect(await cacheManager.get(next), next.slice(0, 20)).toBe(n + 1)
    }
  })

  it('serve the fallback manager as well', async () => {
    const record = Object.fromEntries(keys.map((key, n) => [key, n]))
    Object.defineProperty(record, '__proto__', { value: keys.indexOf('__proto__'), enumerable: true })
    expect(await fallbackManager.mset(record)).toBe(true)
    expect(await fallbackManager.mget(keys)).toEqual(keys.map((_, n) => n))
  })

  it('do not meet across the border of prefix and key', async () => {
    await cacheManager.set('b:c', 1, { prefix: 'a' })
    await cacheManager.set('c', 2, { prefix: 'other' })
    expect(await cacheManager.get('b', { prefix: 'a' })).toBeNull()
    expect(await cacheManager.get('b:c', { prefix: 'a' })).toBe(1)
  })

  if (store === 'redis') it('of every kind share a slot with their side records', async () => {
    await Promise.all(keys.map((key) => cacheManager.set(key, 1)))
    await Promise.all(keys.map((key) => cacheManager.delete(key)))
    const found = (await outside().call('KEYS', `${keyPrefix}h:*`)) as string[]
    const sides = found.filter((key) => key.startsWith(`${keyPrefix}h:{`) && key.endsWith('}'))
    expect(sides.length).toBeGreaterThanOrEqual(keys.length)
    for (const side of sides) {
      const entry = side.slice(`${keyPrefix}h:{`.length, -1)
      expect(slotOf(side), entry).toBe(slotOf(entry))
    }
  })
})

/** The cluster slot of a key: CRC16 of its first non-empty {tag}, or of all of it. Source: the Redis cluster specification. */
function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = key.indexOf('}', open + 1)
  const hashed = open >= 0 && close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff
  }
  return crc % 16_384
}
