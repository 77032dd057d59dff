// An entry says where it came from and how long it still lives.
import { describe, expect, it } from 'vitest'
import { waitFor } from '../support/wait-for'
import { onStore, stores } from './stores'

describe.each(stores)('getEntry on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager, AICacheManager, fallbackManager } = holdfast

  it('says where a value came from', async () => {
    await cacheManager.set('entry', { a: 1 }, { ttl: 60 })
    const entry = await cacheManager.getEntry<{ a: number }>('entry')
    const numbers = { ttlMs: expect.any(Number), ageMs: expect.any(Number) }
    expect(entry).toEqual({ value: { a: 1 }, source: store, stale: false, ...numbers })
    expect(entry?.ageMs).toBeGreaterThanOrEqual(0)
    expect((entry?.ageMs ?? 0) + (entry?.ttlMs ?? 0)).toBeLessThanOrEqual(61_000)
  })

  it('tells a cached null from a miss', async () => {
    await cacheManager.set('null', null)
    expect(await cacheManager.getEntry('null')).toMatchObject({ value: null, source: store })
    expect(await cacheManager.getEntry('missing')).toBeNull()
  })

  it('reads where get reads', async () => {
    await cacheManager.set('elsewhere', 1, { prefix: 'views' })
    expect(await cacheManager.getEntry('elsewhere')).toBeNull()
    expect(await cacheManager.getEntry('elsewhere', { prefix: 'views' })).toMatchObject({ value: 1 })
  })

  it('says memory while the fallback is forced, and the store again afterwards', async () => {
    await cacheManager.set('before', 1)
    await fallbackManager.forceFallbackMode(true)
    await cacheManager.set('during', 2)
    expect(await cacheManager.getEntry('during')).toMatchObject({ value: 2, source: 'memory' })
    await fallbackManager.forceFallbackMode(false)
    // Until the journal has been replayed memory goes on answering.
    const there = (key: string) => cacheManager.getEntry(key, { skipL1: true })
    await waitFor('the store to answer', async () => (await there('before'))?.source === store)
    expect(await there('before')).toMatchObject({ value: 1, source: store })
    expect(await there('during')).toMatchObject({ value: 2, source: store })
  })

  it('gives an AI response with its model, its time and its source', async () => {
    const before = Date.now()
    await AICacheManager.cacheResponse('prompt', { text: 'answer' }, 'model-1')
    const entry = await AICacheManager.getCachedEntry('prompt', 'model-1')
    expect(entry).toMatchObject({ source: store })
    expect(JSON.stringify(entry)).toContain('"text":"answer"')
    expect(JSON.stringify(entry)).toContain('model-1')
    const timestamp = Number(/"timestamp":(\d+)/.exec(JSON.stringify(entry))?.[1])
    expect(timestamp).toBeGreaterThanOrEqual(before)
    expect(timestamp).toBeLessThanOrEqual(Date.now())
    expect(await AICacheManager.getCachedEntry('prompt', 'model-2')).toBeNull()
  })
})
