// The connection on which Redis tells of changes falls silent without being closed: how long do copies answer?
import { now, pause } from '../../scripts/soak/clock.mjs'
import { median } from '../lib/statistics.mjs'
import { onRedis, openHoldfast, untilNear } from './contenders.mjs'
import { startPeer } from './peer.mjs'

const TIMES = 5
const LIMIT_MS = 10_000
const KEY = 'watched'

export const halfOpen = {
  id: 'half-open',
  title: 'A half-open link',
  about:
    "Lower is better. All of a process' connections go through a proxy; of the one that asked for CLIENT TRACKING " +
    'the proxy stops to carry bytes, in both directions, and closes nothing. Then another process, past the proxy, ' +
    'writes a key of which the first has a copy. The time is from the stop to the first read that gives the new ' +
    `value: until then hits were answered from the copy. ${TIMES} times, each on a new link.`,
  columns: [
    { id: 'median', title: 'hits stopped after, median, ms' },
    { id: 'longest', title: 'longest, ms' },
  ],
  contenders: [onRedis],
  measure,
  goals: [
    {
      text: 'hits stop after the link fell silent, longest: within 1 s',
      of: [onRedis.id, 'longest'],
      atMost: 1_000,
      unit: 'ms',
      worst: true,
    },
  ],
}

async function measure(_, { port }) {
  const peer = startPeer('./half-open-peer.mjs', { port })
  const { proxyPort } = await peer({ deed: 'listen' })
  const cache = openHoldfast({ port: proxyPort })
  await cache.set(KEY, 0)
  const times = []
  for (let turn = 1; turn <= TIMES; turn += 1) {
    await untilNear(cache, KEY)
    // Signs of life are asked for four times a second: the link falls silent at another moment between them each time.
    await pause(600 + turn * 47)
    times.push(await stoppedAfter(cache, turn, peer({ deed: 'freeze', key: KEY, value: turn })))
  }
  return { median: median(times), longest: Math.max(...times) }
}

async function stoppedAfter(cache, value, deed) {
  const { frozen, at } = await deed
  if (frozen !== 1) throw new Error(`${frozen} connections have asked for tracking; 1 was expected.`)
  let old = 0
  while ((await cache.get(KEY)) !== value) {
    if (now() - at > LIMIT_MS) throw new Error(`Hits did not stop within ${LIMIT_MS / 1_000} s.`)
    old += 1
    await new Promise(setImmediate)
  }
  if (old === 0) throw new Error('The new value was seen at once: the link was not silent.')
  return now() - at
}
