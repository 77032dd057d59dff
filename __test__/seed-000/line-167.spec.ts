// Seed 000, line 167: the cache manager.
import { describe, expect, it } from 'vitest'
import { cacheManager, AICacheManager } from '@/lib/cache/cache-manager'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 167, on %s', (store) => {
  const { keyPrefix, outside } = onStore(store)
  const conversationData = { messages: [{ role: 'user', content: 'Hi' }], topic: null }
  let runs = 0
  const performExpensiveOperation = async (): Promise<{ rows: number[] }> => {
    runs += 1
    return { rows: [1, 2, 3] }
  }

  it('generates a value once and gives it back, and keeps a conversation', async () => {
    const generate = async () => {
      // Get or generate value
      const data = await cacheManager.getOrSet('expensive-op', async () => {
        return await performExpensiveOperation();
      }, { ttl: 3600 });
      return data
    }
    const rows: number[] = (await generate()).rows
    expect(rows).toEqual([1, 2, 3])
    expect((await generate()).rows).toEqual([1, 2, 3])
    expect(runs).toBe(1)

    // AI-specific caching
    await AICacheManager.cacheConversation('conv123', conversationData);

    expect(await AICacheManager.getCachedConversation('conv123')).toEqual(conversationData)
  })

  if (store === 'redis') it('keeps a conversation for a day under its documented key', async () => {
    const [ttl] = await outside().pipeline([['TTL', `${keyPrefix}ai:conversation:conv123`]])
    expect(ttl).toBeGreaterThan(86390)
    expect(ttl).toBeLessThanOrEqual(86400)
  })
})
