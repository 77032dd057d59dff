// Limits in memory alone.
import { microsPerCall } from '../cache/timing.mjs'
import { DEFAULT_ID, KEYS, flexible, keys, openFlexibleMemory, oursWithEach } from './limiters.mjs'
import { TOGETHER, closedLoop, randomOrder } from './loop.mjs'

const WAYS = [
  ['random-alone', 'random keys, one at a time', 1],
  ['random-company', `random keys, ${TOGETHER} at a time`, TOGETHER],
  ['hot-alone', 'one key, one at a time', 1],
  ['hot-company', `one key, ${TOGETHER} at a time`, TOGETHER],
]

export const limitsInMemory = {
  id: 'limits-memory',
  title: 'Limits in memory',
  about:
    `Lower is better. Time per call, of random keys out of ${KEYS.toLocaleString('en')} and of one key, in the same ` +
    `process, in turns; one at a time, and by ${TOGETHER} callers who each wait for their answer before they ask ` +
    'again. Both decide in the process, and answer with a promise.',
  columns: WAYS.map(([id, title]) => ({ id, title: `${title}, µs` })),
  contenders: [
    ...oursWithEach({}),
    { ...flexible, id: 'flexible', label: 'rate-limiter-flexible, RateLimiterMemory', open: openFlexibleMemory },
  ],
  measure,
  goals: WAYS.map(([id, title]) => ({
    text: `limit in memory, ${title}, sliding window: at most RateLimiterMemory's time`,
    of: [DEFAULT_ID, id],
    by: ['flexible', id],
    atMost: 1,
  })),
}

async function measure({ open }) {
  const { take } = await open({ port: null })
  await closedLoop((turn) => take(keys[turn]), KEYS)
  const at = randomOrder(KEYS)
  const ways = WAYS.map(([id, , together]) => {
    const perform = id.startsWith('hot') ? () => take('client:hot') : (turn) => take(keys[at(turn)])
    let turn = 0
    return [id, async (count) => {
      await closedLoop(perform, count, together, turn)
      turn += count
    }]
  })
  return await microsPerCall(Object.fromEntries(ways))
}
