// Holdfast without any Redis, used as an app uses it. Nothing is closed at the end: the process must end by itself.

process.env.REDIS_URL = 'memory:'
const { cacheManager, AICacheManager, fallbackManager, pubSubManager, redisClient } = require('@/lib/cache')

test('a value comes back as it was set, until it is deleted', async () => {
  expect(await cacheManager.set('user', { name: 'Ada', tags: ['a', 'b'] }, { ttl: 60 })).toBe(true)
  expect(await cacheManager.get('user')).toEqual({ name: 'Ada', tags: ['a', 'b'] })
  expect(await cacheManager.exists('user')).toBe(true)
  expect(await cacheManager.delete('user')).toBe(true)
  expect(await cacheManager.get('user')).toBeNull()
})

test('fifty callers of one missing key run its factory once', async () => {
  let runs = 0
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => cacheManager.getOrSet('slow', async () => ({ run: ++runs }))),
  )
  expect(runs).toBe(1)
  expect(new Set(answers.map((answer) => answer.run))).toEqual(new Set([1]))
})

test("a factory's own error reaches its caller unchanged", async () => {
  const mine = new TypeError('mine')
  await expect(cacheManager.getOrSet('broken', () => Promise.reject(mine))).rejects.toBe(mine)
})

test('an AI answer is found by its prompt and model', async () => {
  await AICacheManager.cacheResponse('What is a hold fast?', { text: 'It holds.' }, 'model-1')
  expect(await AICacheManager.getCachedResponse('What is a hold fast?', 'model-1')).toEqual({ text: 'It holds.' })
  expect(await AICacheManager.getCachedResponse('What is a hold fast?', 'model-2')).toBeNull()
})

test('the fallback manager gives back the type it was given', async () => {
  for (const value of ['7', 7, true, { deep: [1, null] }]) {
    expect(await fallbackManager.set('typed', value, 60)).toBe(true)
    expect(await fallbackManager.get('typed')).toEqual(value)
  }
})

test('nothing is dialled', async () => {
  await cacheManager.get('anything')
  expect(redisClient.getConnectionState()).toMatchObject({ isConnected: false, isConnecting: false })
})

test('answers come although a test keeps the timers to itself', async () => {
  jest.useFakeTimers()
  try {
    expect(await Promise.all([cacheManager.set('still', 1), cacheManager.get('still')])).toEqual([true, 1])
    // More than are given in a row before the event loop has its turn.
    for (let n = 0; n < 2_500; n++) expect(await cacheManager.get('still', { skipL1: true })).toBe(1)
    let hear
    const heard = new Promise((resolve) => (hear = resolve))
    await pubSubManager.subscribe('news', ({ data }) => hear(data))
    await pubSubManager.publish('news', 'hello')
    expect(await heard).toBe('hello')
  } finally {
    jest.useRealTimers()
    await pubSubManager.unsubscribe('news')
  }
})

test("an error is one of this test's own world", async () => {
  const error = await cacheManager.set('', 1).catch((reason) => reason)
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({ code: 'E_INVALID' })
})
