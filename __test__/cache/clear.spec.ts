// clear empties what it names and nothing beside it.
import { describe, expect, it } from 'vitest'
import { onStore, stores } from './stores'

describe.each(stores)('clear on %s', (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const { cacheManager, AICacheManager, fallbackManager, clearAllCache } = holdfast

  it.each(['users', 'users:a', 'u*', 'u?ers', '[a-z]', 'u\\', '{users}', 'users%', 'Ü'])('of %j leaves what only begins so', async (prefix) => {
    const beside = `${prefix}Abc`
    await Promise.all([
      cacheManager.set('1', 'cleared', { prefix }),
      cacheManager.set('nested:2', 'cleared', { prefix }),
      cacheManager.set('1', 'stays', { prefix: beside }),
      cacheManager.set(`${prefix}:1`, 'stays'),
      cacheManager.set('1', 'stays', { prefix: 'usersXYZ' }),
    ])
    await cacheManager.clear(prefix)
    expect(await cacheManager.get('1', { prefix })).toBeNull()
    expect(await cacheManager.get('nested:2', { prefix })).toBeNull()
    expect(await cacheManager.get('1', { prefix: beside })).toBe('stays')
    expect(await cacheManager.get(`${prefix}:1`)).toBe('stays')
    expect(await cacheManager.get('1', { prefix: 'usersXYZ' })).toBe('stays')
  })

  it('without a prefix empties the cache and no other family', async () => {
    await cacheManager.set('gone', 1)
    await fallbackManager.set('kept', 1)
    await AICacheManager.cacheConversation('kept', [1])
    await cacheManager.clear()
    expect(await cacheManager.get('gone')).toBeNull()
    expect(await fallbackManager.get('kept')).toBe(1)
    expect(await AICacheManager.getCachedConversation('kept')).toEqual([1])
  })

  it('by its other name does the same', async () => {
    await cacheManager.set('gone', 1)
    await fallbackManager.set('kept', 2)
    await clearAllCache()
    expect(await cacheManager.get('gone')).toBeNull()
    expect(await fallbackManager.get('kept')).toBe(2)
  })

  it('removes thousands', async () => {
    const numbers = Array.from({ length: 5000 }, (_, n) => n)
    await Promise.all(numbers.map((n) => cacheManager.set(`k${n}`, n, { prefix: 'crowd' })))
    await cacheManager.clear('crowd')
    const left = await Promise.all(numbers.map((n) => cacheManager.exists(`k${n}`, { prefix: 'crowd' })))
    expect(left.filter(Boolean)).toEqual([])
  })

  it('of another instance leaves ours', async () => {
    const other = open({ keyPrefix: `${keyPrefix}*` })
    await cacheManager.set('ours', 1)
    await other.cacheManager.set('theirs', 1)
    await other.cacheManager.clear()
    expect(await other.cacheManager.get('theirs')).toBeNull()
    expect(await cacheManager.get('ours')).toBe(1)
  })

  it('of AI answers takes responses and conversations only', async () => {
    await AICacheManager.cacheResponse('p', 'r', 'm')
    await AICacheManager.cacheConversation('c', [1])
    await cacheManager.set('stays', 1)
    await AICacheManager.clearCache()
    expect(await AICacheManager.getCachedResponse('p', 'm')).toBeNull()
    expect(await AICacheManager.getCachedConversation('c')).toBeNull()
    expect(await cacheManager.get('stays')).toBe(1)
  })

  if (store === 'redis') it('touches no key of anybody else', async () => {
    await outside().pipeline([['SET', `${keyPrefix}mine`, 'raw'], ['SET', `${keyPrefix}cach`, 'raw'], ['LPUSH', `${keyPrefix}cacheish`, 'raw']])
    await cacheManager.set('gone', 1)
    await cacheManager.clear()
    expect(await outside().call('EXISTS', `${keyPrefix}mine`, `${keyPrefix}cach`, `${keyPrefix}cacheish`)).toBe(3)
  })
})
