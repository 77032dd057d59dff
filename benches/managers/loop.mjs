// Calls in a closed loop: so many workers that each wait for an answer before they ask again.
import { performance } from 'node:perf_hooks'

/** As many callers as ask at the same time. */
export const TOGETHER = 64
const SECONDS = 2
const WARMUP_SECONDS = 1
/** So many latencies are kept; what is faster is measured without them. */
const MOST_LATENCIES = 2 ** 23

/** So many calls of `perform(turn)`, turns counted from `first` on. */
export async function closedLoop(perform, count, together = TOGETHER, first = 0) {
  let turn = first
  const end = first + count
  const worker = async () => {
    while (turn < end) {
      const mine = turn
      turn += 1
      await perform(mine)
    }
  }
  await Promise.all(Array.from({ length: together }, worker))
}

/** Calls for some seconds after a warm-up; { rate, p50Ms, p99Ms, calls }. `begun` is called between both. */
export async function measured(perform, { together = TOGETHER, begun = () => {} } = {}) {
  const warm = await timed(perform, together, WARMUP_SECONDS, null, 0)
  await begun()
  const latencies = new Float64Array(MOST_LATENCIES)
  const { calls, ms } = await timed(perform, together, SECONDS, latencies, warm.calls)
  return { rate: (calls * 1_000) / ms, calls, ...percentiles(latencies.subarray(0, Math.min(calls, MOST_LATENCIES))) }
}

async function timed(perform, together, seconds, latencies, first) {
  const began = performance.now()
  const until = began + seconds * 1_000
  let calls = 0
  const worker = async () => {
    for (let called = performance.now(); called < until; ) {
      const mine = calls
      calls += 1
      await perform(first + mine)
      const answered = performance.now()
      if (latencies !== null && mine < MOST_LATENCIES) latencies[mine] = answered - called
      called = answered
    }
  }
  await Promise.all(Array.from({ length: together }, worker))
  return { calls, ms: performance.now() - began }
}

/** { p50Ms, p99Ms } of latencies in ms, which are sorted where they stand. */
export function percentiles(latencies) {
  latencies.sort()
  const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))]
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}

/** The same random sequence of whole numbers below `count` for all contenders: `at(turn)`. */
export function randomOrder(count) {
  const order = new Uint32Array(2 ** 20)
  let seed = 7_919
  for (let index = 0; index < order.length; index += 1) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    order[index] = Math.floor((seed / 2 ** 32) * count)
  }
  return (turn) => order[turn & (order.length - 1)]
}
