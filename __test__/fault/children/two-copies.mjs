// Two copies of the package with an addon of their own each, in one process, as when two versions of it
// are installed: one beside this script, the other in the folder that is given.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Worker, isMainThread, workerData } from 'node:worker_threads'

const [url, keyPrefix, folder] = isMainThread ? process.argv.slice(2) : workerData
const copies = [createRequire(import.meta.url)('holdfast'), createRequire(join(folder, 'index.js'))(folder)]
const options = { url, keyPrefix, env: {} }
const instances = copies.map(({ createHoldfast }) => createHoldfast(options))
const [one, two] = instances
const said = {}

// Many at once, so that slots and wakes of both are in use together.
const calls = Array.from({ length: 500 }, (_, n) => instances[n % 2].cacheManager.set(`key:${n}`, n))
said.kept = (await Promise.all(calls)).every(Boolean)
const read = Array.from({ length: 500 }, (_, n) => instances[(n + 1) % 2].cacheManager.get(`key:${n}`))
said.read = (await Promise.all(read)).every((value, n) => value === n)

// Apart: what is forced on one is not forced on the other.
await one.fallbackManager.forceFallbackMode(true)
said.sources = await Promise.all(instances.map(async ({ cacheManager }) => (await cacheManager.getEntry('key:1'))?.source))
await one.fallbackManager.forceFallbackMode(false)
await one.fallbackManager.syncWithRedis()

// An error of one is told as an error by the other.
const error = await two.cacheManager.get('').catch((thrown) => thrown)
said.errors = copies.map(({ HoldfastError }) => [HoldfastError.isInstance(error), error instanceof HoldfastError])

if (isMainThread) {
  // Each has one for commands and, a while after the first read, one on which the server tells of changes.
  do {
    const list = String(await one.redisClient.getClient().call('CLIENT', 'LIST', 'TYPE', 'normal'))
    const all = list.trim().split('\n')
    const changes = all.filter((line) => /\bflags=\w*[tB]/.test(line)).length
    said.connections = { commands: all.length - changes, changes }
  } while (said.connections.changes < 2)
  // And in a worker thread as well.
  const worker = new Worker(new URL(import.meta.url), { workerData: [url, keyPrefix, folder] })
  said.worker = await new Promise((resolve, reject) => {
    worker.once('exit', resolve)
    worker.once('error', reject)
  })
}
await Promise.all(instances.map((instance) => instance.close()))
if (isMainThread) console.log(JSON.stringify(said))
