// A primary and three workers of node:cluster, all with the same configuration. Each worker writes and
// reads, and says who it is to the server; they end when the primary is told to.
import cluster from 'node:cluster'
import { once } from 'node:events'

import { createHoldfast } from 'holdfast'

const [url, keyPrefix] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {} })
const { cacheManager, redisClient } = holdfast
const name = cluster.isPrimary ? 'primary' : `worker ${cluster.worker.id}`

const use = async () => {
  const kept = await cacheManager.set(name, name)
  const entry = await cacheManager.getEntry(name, { skipL1: true })
  const { value, source } = entry ?? {}
  return { name, kept, value, source, client: await redisClient.getClient().call('CLIENT', 'ID') }
}

if (cluster.isPrimary) {
  // Connected before it forks: nothing of that may be inherited.
  const said = [await use()]
  for (const _ of [1, 2, 3]) {
    const [answer] = await once(cluster.fork(), 'message')
    said.push(answer)
  }
  said.push(await use())
  console.log(JSON.stringify(said))
  await once(process.stdin, 'data')
  const workers = Object.values(cluster.workers)
  await Promise.all(workers.map((worker) => (worker.send('end'), once(worker, 'exit'))))
  console.log(`exit codes: ${workers.map((worker) => worker.process.exitCode)}`)
  process.stdin.destroy()
} else {
  process.send(await use())
  await once(process, 'message')
  process.disconnect()
}
await holdfast.close()
