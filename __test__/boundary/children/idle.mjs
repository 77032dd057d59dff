// Uses Redis and memory, listens, closes nothing and has nothing more to do.
import { createHoldfast } from 'holdfast'

const [url] = process.argv.slice(2)
const redis = createHoldfast({ url, env: {} })
const memory = createHoldfast({ url: 'memory:', env: {} })
redis.on('state-change', () => {})
for (const { cacheManager } of [redis, memory]) {
  await cacheManager.set('idle', 1)
  if ((await cacheManager.get('idle')) !== 1) throw new Error('it was not there')
}
console.log(redis.isRedisAvailable() ? 'connected' : 'not connected')
