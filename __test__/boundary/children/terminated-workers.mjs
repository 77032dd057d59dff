// Twenty workers with two hundred operations each; every one is terminated somewhere in the middle.
import { Worker } from 'node:worker_threads'
import { createHoldfast } from 'holdfast'

const [url, seed] = process.argv.slice(2)
const WORKERS = 20
const OPERATIONS = 200

// Places that look random and are the same in every run of a seed.
let state = Number(seed)
const random = (below) => {
  state = (state * 1103515245 + 12345) % 2147483648
  return Math.floor((state / 2147483648) * below)
}

function runOne(number) {
  const worker = new Worker(new URL('load-worker.mjs', import.meta.url), {
    workerData: { url, number, operations: OPERATIONS },
  })
  // Some before their first answer, some with everything in flight, some after the last one.
  const at = number % 5 === 0 ? 0 : 1 + random(OPERATIONS)
  let answers = 0
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', resolve)
    if (at === 0) worker.once('online', () => worker.terminate())
    worker.on('message', () => {
      if (++answers === at) worker.terminate()
    })
  })
}

await Promise.all(Array.from({ length: WORKERS }, (_, number) => runOne(number)))

const holdfast = createHoldfast({ url, env: {} })
const values = Array.from({ length: OPERATIONS }, (_, n) => holdfast.cacheManager.set(`after:${n}`, n))
if (!(await Promise.all(values)).every(Boolean)) throw new Error('not everything was kept')
const entry = await holdfast.cacheManager.getEntry('after:199')
console.log(`after them: ${entry.value} from ${entry.source}`)
