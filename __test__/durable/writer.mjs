// An app whose Redis is away: it writes and deletes, and prints what was acknowledged, until somebody kills it.
import { writeSync } from 'node:fs'

import { createHoldfast } from 'holdfast'

const [url, keyPrefix, journalPath, journalSync, round] = process.argv.slice(2)
const holdfast = createHoldfast({ env: {}, url, keyPrefix, fallback: { journalPath, journalSync } })
const { cacheManager, fallbackManager } = holdfast

if (round === 'last') {
  // Redis is back: whatever the journals hold is replayed without anybody asking for it.
  fallbackManager.getStats()
  const timer = setInterval(() => {
    const { journalDepth, redisAvailable } = fallbackManager.getStats()
    if (!redisAvailable || journalDepth > 0) return
    clearInterval(timer)
    void holdfast.close()
  }, 10)
} else {
  let number = 0
  const write = async (worker) => {
    for (;;) {
      const n = number++
      const key = `${round}:${n}`
      const line = n % 4 === 3 ? `d old:${round}:${n}` : n % 4 === 2 ? `s shared:${worker} ${round}:${n}` : `s ${key} ${n}`
      const [kind, name, value] = line.split(' ')
      const done = kind === 'd' ? await cacheManager.delete(name) : await cacheManager.set(name, value)
      if (kind === 'd' || done) writeSync(1, `${line}\n`)
    }
  }
  for (let worker = 0; worker < 10; worker++) void write(worker)
}
