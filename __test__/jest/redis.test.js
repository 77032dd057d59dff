// Holdfast on a real Redis. Nothing is closed at the end: the process must end by itself.

process.env.REDIS_URL = process.env.HOLDFAST_TEST_REDIS_URL
process.env.REDIS_KEY_PREFIX = `jest-${process.pid}-${Date.now()}:`
const { cacheManager, fallbackManager, initializeRedisSystem, isRedisAvailable, redisClient } = require('@/lib/cache')

beforeAll(() => initializeRedisSystem())

test('the server is there', () => {
  expect(isRedisAvailable()).toBe(true)
})

test('a value is in Redis', async () => {
  expect(await cacheManager.set('user', { name: 'Ada' }, { ttl: 60 })).toBe(true)
  expect(await cacheManager.get('user')).toEqual({ name: 'Ada' })
  const left = await redisClient.execute('TTL', 'cache:user')
  expect(left).toBeGreaterThan(50)
  expect(left).toBeLessThanOrEqual(60)
})

test('a hundred reads of one tick all answer', async () => {
  await Promise.all(Array.from({ length: 100 }, (_, index) => cacheManager.set(`many:${index}`, { index })))
  const values = await Promise.all(Array.from({ length: 100 }, (_, index) => cacheManager.get(`many:${index}`)))
  expect(values).toEqual(Array.from({ length: 100 }, (_, index) => ({ index })))
})

test('commands and pipelines reach the server', async () => {
  expect(await redisClient.execute('SET', 'plain', 'text')).toBe('OK')
  expect(
    await redisClient.pipeline([
      { command: 'GET', args: ['plain'] },
      { command: 'INCR', args: ['plain'] },
      { command: 'INCR', args: ['counter'] },
    ]),
  ).toEqual(['text', null, 1])
})

test('forced into fallback it answers from memory, and from Redis again after', async () => {
  await fallbackManager.set('kept', { in: 'redis' }, 60)
  await fallbackManager.forceFallbackMode(true)
  expect(fallbackManager.getStats().isUsingFallback).toBe(true)
  await fallbackManager.set('meanwhile', { in: 'memory' }, 60)
  expect(await fallbackManager.get('meanwhile')).toEqual({ in: 'memory' })
  await fallbackManager.forceFallbackMode(false)
  await fallbackManager.syncWithRedis()
  expect(await fallbackManager.get('kept')).toEqual({ in: 'redis' })
  expect(await fallbackManager.get('meanwhile')).toEqual({ in: 'memory' })
})
