// Writes as fast as it can, and ends in the middle of it, as its last argument says: `exit` ends by
// itself, `signal` is ended from outside, `orderly` shuts down at SIGTERM and tells what was acknowledged.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, ending] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {} })
const { cacheManager, redisClient } = holdfast
const client = redisClient.getClient()
const acknowledged = []
let going = true
let told = false

if (ending === 'orderly') {
  process.once('SIGTERM', async () => {
    going = false
    await holdfast.close()
    await Promise.all(writers)
    console.log(`acknowledged ${acknowledged.join()}`)
    process.exit(0)
  })
}

let next = 0
async function write() {
  while (going) {
    const number = next++
    try {
      if (await cacheManager.set(`load:${number}`, number)) acknowledged.push(number)
      await Promise.all([cacheManager.get(`load:${number - 1}`), client.call('INCR', 'count')])
    } catch (error) {
      if (error.code !== 'E_CLOSED') throw error
    }
    if (acknowledged.length < 2000 || told) continue
    told = true
    console.log('under load')
    if (ending === 'exit') process.exit(7)
  }
}
const writers = Array.from({ length: 200 }, write)
await Promise.all(writers)
