// The orderly end, and that one can go on after it.

process.env.REDIS_URL = process.env.HOLDFAST_TEST_REDIS_URL
process.env.REDIS_KEY_PREFIX = `jest-shutdown-${process.pid}-${Date.now()}:`
const { cacheManager, initializeRedisSystem, shutdownRedisSystem } = require('@/lib/cache')

test('what was written before the shutdown is there when it is opened again', async () => {
  await initializeRedisSystem()
  await cacheManager.set('kept', 'yes')
  await shutdownRedisSystem()
  await initializeRedisSystem()
  expect(await cacheManager.get('kept')).toBe('yes')
  await shutdownRedisSystem()
})
