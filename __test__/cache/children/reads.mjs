// A process that reads a counter, from copies where it can, until it has come to the end, and says what was wrong.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, last] = process.argv.slice(2)
const { cacheManager, close } = createHoldfast({ url, keyPrefix, env: {} })
const wrong = []
let seen = -1
let reads = 0
while (seen < Number(last)) {
  const read = await cacheManager.get('counter')
  if (read !== null && read < seen) wrong.push([seen, read])
  seen = read ?? seen
  if (reads++ === 0) console.log('reading')
  // As an app does, now and then.
  if (reads % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
}
const { hot, near, redis } = cacheManager.getStats().layers
console.log(JSON.stringify({ wrong, fromCopies: hot + near > 0, fromRedis: redis > 0 }))
while ((await cacheManager.get('counter')) !== null) await new Promise((resolve) => setTimeout(resolve, 2))
console.log('deleted')
await cacheManager.shutdown()
