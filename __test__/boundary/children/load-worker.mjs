// A worker with everything in flight at once. It tells of every answer, and never ends by itself.
import { parentPort, workerData } from 'node:worker_threads'
import { createHoldfast } from 'holdfast'

const { url, number, operations } = workerData
const { cacheManager, redisClient } = createHoldfast({ url, env: {} })
const client = redisClient.getClient()
parentPort.on('message', () => {})
for (let n = 0; n < operations; n++) {
  const key = `worker:${number}:${n}`
  const kinds = [
    () => cacheManager.set(key, { n }),
    () => cacheManager.get(key),
    () => client.call('INCR', key),
    () => cacheManager.getOrSet(key, async () => n),
  ]
  void kinds[n % kinds.length]().then(() => parentPort.postMessage(n))
}
