// Seed 000, line 73: caching.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { cacheManager, AICacheManager } from '@/lib/cache'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 73, on %s', (store) => {
  const { keyPrefix, outside } = onStore(store)
  const userData = { id: 123, name: 'Ada', roles: ['admin'], lastSeen: null }
  const prompt = 'What does a lighthouse do?'
  const response = { text: 'It warns ships.', tokens: 12 }

  it('caches a value and an AI response', async () => {
    // Basic caching
    await cacheManager.set('user:123', userData, { ttl: 3600 });
    const user = await cacheManager.get('user:123');

    // AI response caching
    await AICacheManager.cacheResponse(prompt, response, 'claude-3', 86400);
    const cached = await AICacheManager.getCachedResponse(prompt, 'claude-3');

    expect(user).toEqual(userData)
    expect(cached).toEqual(response)
    expect(await AICacheManager.getCachedResponse(prompt, 'claude-4')).toBeNull()
    expect(await AICacheManager.getCachedResponse('another prompt', 'claude-3')).toBeNull()
  })

  if (store === 'redis') it('stores the value under the documented key, for as long as it was told', async () => {
    expect(await cacheManager.set('user:123', userData, { ttl: 3600 })).toBe(true)
    const [ttl] = await outside().pipeline([['TTL', `${keyPrefix}cache:user:123`]])
    expect(ttl).toBeGreaterThan(3590)
    expect(ttl).toBeLessThanOrEqual(3600)
  })

  if (store === 'redis') it('stores the response under a hash in the ai:response family', async () => {
    expect(await AICacheManager.cacheResponse(prompt, response, 'claude-3', 86400)).toBe(true)
    const keys = (await outside().call('KEYS', `${keyPrefix}ai:response:*`)) as string[]
    expect(keys).toHaveLength(1)
    const name = keys[0]!.slice(`${keyPrefix}ai:response:`.length)
    expect(name).toMatch(/^[0-9a-f]{64}$/)
    expect(name).not.toBe(createHash('sha256').update(`${prompt}:claude-3`).digest('hex'))
    const [ttl] = await outside().pipeline([['TTL', keys[0]!]])
    expect(ttl).toBeGreaterThan(86390)
    expect(ttl).toBeLessThanOrEqual(86400)
  })
})
