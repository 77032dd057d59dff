// An app that changes raw keys which merge, whether Redis is there or not. It prints each change before it is made
// ('+') and when it was answered ('='), until somebody kills it.
import { writeSync } from 'node:fs'

import { createHoldfast } from 'holdfast'

const [url, keyPrefix, journalPath, round] = process.argv.slice(2)
const fallback = { journalPath, journalSync: 'always', rawChanges: 'merge' }
const holdfast = createHoldfast({ env: {}, url, keyPrefix, fallback })
const { fallbackManager, isRedisAvailable, redisClient } = holdfast

if (round === 'last') {
  // Only against hanging.
  setTimeout(() => process.exit(1), 60_000).unref()
  const timer = setInterval(() => {
    // It may have nothing to take over, and then nothing else asks for Redis.
    if (!isRedisAvailable() || fallbackManager.getStats().journalDepth > 0) return
    clearInterval(timer)
    void holdfast.close()
  }, 10)
} else {
  const client = redisClient.getClient()
  const change = async (...words) => {
    const line = words.join(' ')
    writeSync(1, `+ ${line}\n`)
    await client.call(...words)
    writeSync(1, `= ${line}\n`)
  }
  const work = async (worker) => {
    for (let n = 0; ; n++) {
      const id = `${worker}:${round}:${n}`
      await change('INCRBY', 'counter', 1 + (n % 3))
      await change('RPUSH', 'list', id)
      await change('HSET', 'hash', `last:${worker}`, id, id, 'kept')
      await change('SADD', 'set', id)
      if (n % 3 !== 2) continue
      const former = `${worker}:${round}:${n - 1}`
      await change('HDEL', 'hash', former)
      await change('SREM', 'set', former)
    }
  }
  for (let worker = 0; worker < 5; worker++) void work(worker)
}
