// A process that loads: it says that it is ready, waits for a word in the list `go`, asks `callers` times at once for
// `key`, and says what came. Its loader counts itself, says that it runs, and ends as it is told: with a word in the
// list `answer`, by failing, after so many ms, or never.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, key, callers, how, text = '{}'] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {} })
const client = holdfast.redisClient.getClient()

const endings = {
  answer: async () => (await client.call('BLPOP', 'answer', 0))[1],
  fail: async () => {
    throw new Error('the database is gone')
  },
  never: () => new Promise(() => setInterval(() => {}, 1000)),
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms, `after ${ms} ms`))

async function load() {
  const run = await client.call('INCR', 'runs')
  console.log('loading')
  const value = await (endings[how] ?? (() => sleep(Number(how))))()
  return { run, value }
}

await client.call('PING')
console.log('ready')
await client.call('BLPOP', 'go', 0)
const asking = Array.from({ length: Number(callers) }, () => holdfast.cacheManager.getOrSet(key, load, JSON.parse(text)))
const settled = await Promise.allSettled(asking)
const answers = settled.map(({ value, reason }) => JSON.stringify(value ?? { error: reason?.message }))
console.log(`answers ${[...new Set(answers)].join(' and ')}`)
await holdfast.close()
