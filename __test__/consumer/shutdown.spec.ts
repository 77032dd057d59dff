// The orderly end, and that one can go on after it.

import { expect, inject, test } from 'vitest'

process.env.REDIS_URL = `redis://127.0.0.1:${inject('redisPort')}`
process.env.REDIS_KEY_PREFIX = `vitest-shutdown-${process.pid}-${Date.now()}:`
const { cacheManager, initializeRedisSystem, shutdownRedisSystem } = await import('@/lib/cache')

test('what was written before the shutdown is there when it is opened again', async () => {
  await initializeRedisSystem()
  await cacheManager.set('kept', 'yes')
  await shutdownRedisSystem()
  await initializeRedisSystem()
  expect(await cacheManager.get('kept')).toBe('yes')
  await shutdownRedisSystem()
})
