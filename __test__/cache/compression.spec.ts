// Large values are compressed when that saves something, and nobody notices.
import { describe, expect, it } from 'vitest'
import { onStore, stores } from './stores'

const repetitive = { text: 'holdfast '.repeat(20_000) }
const small = { text: 'holdfast' }

describe.each(stores)('compression on %s', (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const { cacheManager } = holdfast

  it.each([
    ['a large value', repetitive, {}],
    ['a large value without compression', repetitive, { compress: false }],
    ['a small value', small, {}],
    ['a value that can not be compressed', { text: noise(40_000) }, {}],
    ['a large text of many alphabets', 'äλж中🜁'.repeat(2000), {}],
  ])('gives back %s as it was', async (name, value, options) => {
    await cacheManager.set(name, value, options)
    expect(await cacheManager.get(name)).toEqual(value)
    expect(await cacheManager.get(name, options)).toEqual(value)
  })

  it('reads values of an instance that compresses otherwise', async () => {
    const other = open({ commandTimeoutMs: 4000 })
    await other.cacheManager.set('across', repetitive, { compress: false })
    if (store === 'redis') expect(await cacheManager.get('across')).toEqual(repetitive)
    else expect(await other.cacheManager.get('across')).toEqual(repetitive)
  })

  if (store === 'redis') it('stores a large value in a fraction of its length, unless told not to', async () => {
    await cacheManager.set('packed', repetitive)
    await cacheManager.set('loose', repetitive, { compress: false })
    const [packed, loose] = (await outside().pipeline([
      ['STRLEN', `${keyPrefix}cache:packed`],
      ['STRLEN', `${keyPrefix}cache:loose`],
    ])) as number[]
    expect(packed).toBeLessThan(20_000)
    expect(loose).toBeGreaterThan(180_000)
    expect(await outside().call('GET', `${keyPrefix}cache:loose`)).toContain(JSON.stringify(repetitive))
  })
})

/** The same noise in every run. */
function noise(length: number): string {
  let state = 12345
  let text = ''
  while (text.length < length) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    text += String.fromCharCode(32 + (state >>> 8) % 95)
  }
  return text
}
