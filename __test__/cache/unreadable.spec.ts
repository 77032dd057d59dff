// What is stored and can't be read: reads say so, and a call that has a loader loads it anew.
import { describe, expect, it, vi } from 'vitest'
import { makeStale, reasonOf } from './loads'
import { onStore, stores } from './stores'

const custom = { serializer: { serialize: JSON.stringify, deserialize: (text: string | Uint8Array) => JSON.parse(String(text)) as unknown } }
const refusing = { serialize: JSON.stringify, deserialize: () => { throw new Error('of another version') } }

describe.each(stores)("what can't be read on %s", (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const { cacheManager } = holdfast

  it('is loaded anew and replaced', async () => {
    await cacheManager.set('migrated', 'old', custom)
    expect(await reasonOf(cacheManager.get('migrated'))).toMatchObject({ code: 'E_DATA' })
    const loader = vi.fn(() => 'new')
    expect(await cacheManager.getOrSet('migrated', loader)).toBe('new')
    expect([await cacheManager.getOrSet('migrated', loader), await cacheManager.get('migrated')]).toEqual(['new', 'new'])
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('is loaded by one loader however many ask, and by one for many keys', async () => {
    const all = ['many:a', 'many:b', 'many:c']
    await cacheManager.setMany(all.map((key) => ({ key, value: 'old' })), custom)
    await cacheManager.set('many:b', 'readable')
    const loader = vi.fn((missing: readonly string[]) => missing.map(() => 'new'))
    expect(await cacheManager.getOrSetMany(all, loader)).toEqual(['new', 'readable', 'new'])
    expect(loader.mock.calls.map(([missing]) => missing)).toEqual([['many:a', 'many:c']])
    await cacheManager.set('fifty', 'old', custom)
    const one = vi.fn(async () => 'new')
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => cacheManager.getOrSet('fifty', one))))).toEqual(new Set(['new']))
    expect(one).toHaveBeenCalledTimes(1)
  })

  it('is loaded anew where its own serializer refuses it', async () => {
    await cacheManager.set('refused', 'old', { serializer: refusing })
    expect(await cacheManager.getOrSet('refused', () => 'new', { serializer: refusing })).toBe('new')
  })

  it('does not serve when it is old, and holds nobody up who has a loader', async () => {
    await makeStale(cacheManager, 'stale', 'old', custom)
    const told = await cacheManager.getOrSet('stale', ({ stale }) => ({ stale }), { grace: 60 })
    expect(told).toEqual({ stale: null })
    await makeStale(cacheManager, 'stale:fails', 'old', custom)
    const mine = new Error('the database is gone')
    expect(await reasonOf(cacheManager.getOrSet('stale:fails', () => Promise.reject(mine), { grace: 60 }))).toBe(mine)
  })

  it('is told of by a process warning, once', async () => {
    const { cacheManager: own } = open({ keyPrefix: `${keyPrefix}told:` })
    const warnings: string[] = []
    const onWarning = ({ name, message }: Error) => void (name === 'HoldfastWarning' && warnings.push(message))
    process.on('warning', onWarning)
    for (const key of ['a', 'b']) {
      await own.set(key, 'a secret', custom)
      expect(await own.getOrSet(key, () => 'new')).toBe('new')
    }
    await vi.waitFor(() => expect(warnings).toHaveLength(1))
    process.off('warning', onWarning)
    expect(warnings[0]).toContain("getOrSet loads anew what it can't read: what is stored under this key was written by a serializer of its own")
    expect(warnings[0]).not.toContain('secret')
  })

  it('is left as it is where a raw command wrote it, and removed when it expires', async () => {
    const raw = holdfast.redisClient.getClient()
    await raw.call('SET', 'cache:raw', 'plain words')
    expect(await cacheManager.getOrSet('raw', () => 'loaded')).toBe('loaded')
    expect(await raw.call('GET', 'cache:raw')).toBe('plain words')
    await raw.call('SET', 'cache:raw', '"text"')
    expect(await cacheManager.expire('raw')).toBe(true)
    expect(await cacheManager.getEntry('raw', { allowStale: true })).toBeNull()
  })

  if (store === 'redis') it('is left as it is where something else wrote it', async () => {
    await outside().pipeline([['SET', `${keyPrefix}cache:text`, 'plain words'], ['RPUSH', `${keyPrefix}cache:list`, 'foreign']])
    const loader = vi.fn(() => 'loaded')
    for (let time = 0; time < 2; time++) expect(await cacheManager.getOrSet('text', loader)).toBe('loaded')
    expect(loader).toHaveBeenCalledTimes(2)
    expect(await outside().call('GET', `${keyPrefix}cache:text`)).toBe('plain words')
    expect(await reasonOf(cacheManager.getOrSet('list', loader))).toMatchObject({ code: 'E_DATA' })
    expect(await outside().call('LRANGE', `${keyPrefix}cache:list`, 0, -1)).toEqual(['foreign'])
  })
})
