// A worker that does as it is told: opens an instance, writes and reads, says what came, and stays or ends.
import { parentPort, workerData } from 'node:worker_threads'
import { createHoldfast } from 'holdfast'

const { options, keys, value, wait, stay, warm } = workerData
const { cacheManager } = createHoldfast({ env: {}, ...options })
if (warm) {
  await cacheManager.exists('anything')
  parentPort.postMessage('connected')
  await new Promise((resolve) => parentPort.once('message', resolve))
}
const writes = keys.map((key) => cacheManager.set(key, value))
if (stay) parentPort.once('message', () => parentPort.close())
if (wait) {
  const kept = await Promise.all(writes)
  const read = await Promise.all(keys.map((key) => cacheManager.get(key)))
  parentPort.postMessage({ kept, read })
} else {
  // A turn later everything is handed over, and nothing is answered yet.
  setImmediate(() => parentPort.postMessage('handed over'))
}
