// Limits on Redis: many keys, and one that all ask for.
import { commandsOf, holdfast, ranBetween } from './contenders.mjs'
import {
  DEFAULT_ID, ENOUGH, KEYS, WINDOW_SECONDS, flexible, keys, openFlexibleRedis, openOurs, oursWithEach,
} from './limiters.mjs'
import { TOGETHER, closedLoop, measured, randomOrder } from './loop.mjs'

const GOAL = 2.5
/** So short that what is called for in the warm-up fills most of its 32 parts. */
const SHORT_SECONDS = 2
const SCRIPTS = ['eval', 'evalsha', 'fcall']
const WAYS = [['random', 'random keys'], ['hot', 'one key']]

export const limits = {
  id: 'limits',
  title: 'Limits on Redis',
  about:
    `${TOGETHER} callers at a time, each of whom waits for its answer before it asks again: of random keys out of ` +
    `${KEYS.toLocaleString('en')}, and of one key that all ask for. The limit is ${ENOUGH.toLocaleString('en')} in ` +
    `${WINDOW_SECONDS} seconds, so that nothing is refused, which would cost less. Of all contenders an answer says ` +
    'whether the call may go on, what is left, and when it comes back. How many scripts Redis ran for a call shows ' +
    'how it came to its answer: ours asks for different keys that are called for together with one script; and of a busy ' +
    'key its windows, but not its token bucket, take units ahead, and decide the next calls in the process. ' +
    `rate-limiter-flexible asks for each call, and has fixed windows only. The window of ${SHORT_SECONDS} seconds ` +
    'shows what a sliding window costs whose keys have been busy for as long as it is: of that of a minute only the ' +
    'last seconds have entries here.',
  columns: WAYS.flatMap(([id, title]) => [
    { id: `${id}-rate`, title: `${title}, calls a second` },
    { id: `${id}-p50`, title: `${title}, p50, ms` },
    { id: `${id}-p99`, title: `${title}, p99, ms` },
    { id: `${id}-scripts`, title: `${title}, scripts a call` },
  ]),
  contenders: [
    ...oursWithEach({ redis: true }),
    {
      ...holdfast,
      id: 'holdfast-short',
      label: `Holdfast, sliding window of ${SHORT_SECONDS} seconds`,
      redis: true,
      open: (settings) => openOurs({ ...settings, algorithm: 'sliding-window', windowSeconds: SHORT_SECONDS }),
    },
    { ...flexible, id: 'flexible', label: 'rate-limiter-flexible, ioredis', redis: true, open: openFlexibleRedis },
    {
      ...flexible,
      id: 'flexible-pipelined',
      label: 'rate-limiter-flexible, ioredis with auto-pipelining',
      redis: true,
      open: (settings) => openFlexibleRedis({ ...settings, autoPipelining: true }),
    },
  ],
  measure,
  goals: WAYS.map(([id, title]) => ({
    text:
      `limit on Redis, ${title}, ${TOGETHER} at a time, sliding window: at least ${GOAL} times the rate of ` +
      'rate-limiter-flexible over ioredis',
    of: [DEFAULT_ID, `${id}-rate`],
    by: ['flexible', `${id}-rate`],
    atLeast: GOAL,
  })),
}

async function measure({ open }, { port }) {
  const { take } = await open({ port })
  // Every key is there before it is measured.
  await closedLoop((turn) => take(keys[turn]), KEYS)
  const at = randomOrder(KEYS)
  const calls = { random: (turn) => take(keys[at(turn)]), hot: () => take('client:hot') }
  const figures = {}
  for (const [id] of WAYS) {
    let before = null
    const found = await measured(calls[id], { begun: async () => (before = await commandsOf(port)) })
    const scripts = ranBetween(before, await commandsOf(port), SCRIPTS) / found.calls
    Object.assign(figures, {
      [`${id}-rate`]: found.rate,
      [`${id}-p50`]: found.p50Ms,
      [`${id}-p99`]: found.p99Ms,
      [`${id}-scripts`]: scripts,
    })
  }
  return figures
}
