// A function of the user's that is called while answers are handed out may call the cache, and may throw: nobody else
// loses his answer by it.
import { describe, expect, it } from 'vitest'
import { reasonOf } from './loads'
import { onStore, stores } from './stores'

describe.each(stores)('a deserializer on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast
  const writing = (deserialize: (text: string) => unknown) => ({
    serializer: { serialize: JSON.stringify, deserialize: (text: string | Uint8Array) => deserialize(String(text)) },
  })
  const fill = async (key: string) => {
    await cacheManager.set(key, { n: 1 }, writing(JSON.parse))
    await cacheManager.setMany(['a', 'b'].map((name) => ({ key: `${key}:${name}`, value: name })))
  }

  it('may write and read, and so much that it crosses at once', async () => {
    await fill('calls')
    const inner: Promise<unknown>[] = []
    const calling = writing((text) => {
      inner.push(cacheManager.set('calls:seen', true), cacheManager.get('calls:a'))
      inner.push(cacheManager.getMany(Array.from({ length: 600 }, () => 'calls:b')), cacheManager.set('calls:large', 'x'.repeat(100_000)))
      return JSON.parse(text) as unknown
    })
    const outer = [cacheManager.get('calls:a'), cacheManager.get('calls', calling), cacheManager.get('calls:b'), cacheManager.set('calls:after', 1)]
    expect(await Promise.all(outer)).toEqual(['a', { n: 1 }, 'b', true])
    expect(await Promise.all(inner)).toEqual([true, 'a', Array.from({ length: 600 }, () => 'b'), true])
    expect(await cacheManager.getMany(['calls:seen', 'calls:after'])).toEqual([true, 1])
  })

  it('may throw: its key is an E_DATA with what it threw, and the others have their answers', async () => {
    await fill('throws')
    const mine = new Error('not mine')
    const failing = writing(() => {
      throw mine
    })
    const failed = reasonOf(cacheManager.get('throws', failing))
    const others = [cacheManager.get('throws:a'), cacheManager.get('throws:b'), cacheManager.set('throws:after', 1)]
    expect(await Promise.all(others)).toEqual(['a', 'b', true])
    expect(await failed).toMatchObject({ name: 'HoldfastError', code: 'E_DATA', cause: mine })
  })
})
