// Uses Redis and memory, listens, closes nothing and has nothing more to do.
import { createHoldfast } from 'holdfast'

const [url, nearCache = 'auto'] = process.argv.slice(2)
const redis = createHoldfast({ url, nearCache, env: {} })
const memory = createHoldfast({ url: 'memory:', env: {} })
redis.on('state-change', () => {})
for (const { cacheManager } of [redis, memory]) {
  await cacheManager.set('idle', 1)
  if ((await cacheManager.get('idle')) !== 1) throw new Error('it was not there')
}
const connected = redis.isRedisAvailable()
// The connection that tells of changes is idle, too.
while (connected && nearCache !== 'off' && (await redis.cacheManager.getEntry('idle')).source !== 'near') {
  await new Promise((resolve) => setTimeout(resolve, 5))
}
console.log(connected ? 'connected' : 'not connected')
