// A process that asks for one key as often as it can: it says that it is ready, waits for a word in the list `go`, asks
// with so many callers for so many ms, says when what was allowed was asked and answered, and waits for a word in the list
// `end`: until then it gives back what it does not need. Times are ms of a clock that all processes of a host share.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, options, callers, forMs] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {}, silenceMs: 20_000, commandTimeoutMs: 20_000 })
const client = holdfast.redisClient.getClient()
const limiter = holdfast.createRateLimiter(JSON.parse(options))
const now = () => Number(process.hrtime.bigint()) / 1e6

await limiter.status('key')
console.log('ready')
await client.call('BLPOP', 'go', 0)

const allowed = []
let refused = 0
const sources = new Set()
const end = now() + Number(forMs)
async function ask() {
  while (now() < end) {
    const asked = now()
    const { success, source } = await limiter.check('key')
    sources.add(source)
    if (success) allowed.push([asked, now()])
    else {
      refused++
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
await Promise.all(Array.from({ length: Number(callers) }, ask))
console.log(`said ${JSON.stringify({ allowed, refused, sources: [...sources] })}`)
console.log('done')
await client.call('BLPOP', 'end', 0)
await holdfast.close()
