// How long a call takes: each way of calling in slices, in turns, so that a slow moment of the machine and the garbage
// of one hits all of them.
import { performance } from 'node:perf_hooks'

const SECONDS = 1
const WARMUP_SECONDS = 0.4
const SLICE_MS = 40
/** Slices are made of so many calls, so that those in company fill them. */
const UNIT = 100

/**
 * `ways` is {[name]: async (count) => makes so many calls}; answers {[name]: microseconds per call}. The `before` of a
 * way is done before each slice, and is not counted.
 */
export async function microsPerCall(ways) {
  const runs = []
  for (const [name, call] of Object.entries(ways)) {
    const rate = await warmUp(call)
    runs.push({ name, call, count: UNIT * Math.ceil((rate * SLICE_MS) / 1_000 / UNIT), calls: 0, ms: 0 })
  }
  const turns = Math.ceil((SECONDS * 1_000) / SLICE_MS)
  for (let turn = 0; turn < turns; turn += 1) {
    for (let place = 0; place < runs.length; place += 1) {
      const run = runs[(turn + place) % runs.length]
      await run.call.before?.(turn)
      const began = performance.now()
      await run.call(run.count)
      run.ms += performance.now() - began
      run.calls += run.count
    }
  }
  return Object.fromEntries(runs.map(({ name, ms, calls }) => [name, (ms * 1_000) / calls]))
}

/** The same for one call at a time with something before each that is not counted. */
export async function microsOf(call, prepare) {
  await repeated(call, prepare, WARMUP_SECONDS)
  return await repeated(call, prepare, SECONDS)
}

async function repeated(call, prepare, seconds) {
  let ms = 0
  let calls = 0
  while (ms < seconds * 1_000) {
    await prepare()
    const began = performance.now()
    await call()
    ms += performance.now() - began
    calls += 1
  }
  return (ms * 1_000) / calls
}

/** Calls until the time is up, in growing pieces, and answers the rate per second of the last one. */
async function warmUp(call) {
  const until = performance.now() + WARMUP_SECONDS * 1_000
  let count = UNIT
  for (;;) {
    const began = performance.now()
    await call(count)
    const ended = performance.now()
    if (ended >= until) return count / ((ended - began) / 1_000)
    if ((ended - began) * 4 < WARMUP_SECONDS * 1_000) count *= 2
  }
}
