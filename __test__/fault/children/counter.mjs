// Counts up, 10 times in each round: a worker thread, or, with a journal, an app that kills itself with -9.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, rounds, journalPath] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {}, fallback: { rawChanges: 'merge', journalPath } })
const client = holdfast.redisClient.getClient()
for (let round = 0; round < Number(rounds); round++) {
  await Promise.all(Array.from({ length: 10 }, () => client.call('INCR', 'counter')))
}
if (journalPath !== undefined) process.kill(process.pid, 'SIGKILL')
await holdfast.close()
