// Two processes over one Redis: when does one that has a copy see what the other wrote?
import { now, pause } from '../../scripts/soak/clock.mjs'
import { median } from '../lib/statistics.mjs'
import { coherentStores } from './coherent-stores.mjs'
import { onRedis } from './contenders.mjs'
import { startPeer } from './peer.mjs'

const WRITES = 200
const KEYS = 10
const LIMIT_MS = 5_000

export const coherence = {
  id: 'coherence',
  title: 'Coherence',
  about:
    'Lower is better. Process A has a copy of a key and reads it in every turn of its event loop; process B writes ' +
    `it, ${WRITES} times. The time is from B's call of \`set\` to A's first read of what it wrote. Then A writes and ` +
    `reads by itself, ${WRITES} times: how many reads gave the old value, called right after \`set\` was called, and ` +
    'after it was awaited.',
  columns: [
    { id: 'median', title: 'seen after, median, ms' },
    { id: 'longest', title: 'longest, ms' },
    { id: 'staleCalled', title: 'old own value, `set` called' },
    { id: 'staleAwaited', title: 'old own value, `set` awaited' },
  ],
  contenders: coherentStores,
  measure,
  goals: [
    ['median', "another process' write is seen after, median: under 50 ms", 50, 'ms'],
    ['longest', "another process' write is seen after, longest: under 50 ms", 50, 'ms'],
    ['staleCalled', 'own write, read as soon as `set` is called: no old value', 1, 'reads'],
    ['staleAwaited', 'own write, read as soon as `set` is awaited: no old value', 1, 'reads'],
  ].map(([column, text, under, unit]) => ({ text, of: [onRedis.id, column], under, unit, worst: true })),
}

async function measure(contender, { port }) {
  const store = await contender.open({ port })
  const peer = startPeer('./coherence-peer.mjs', { contenderId: contender.id, port })
  const keys = Array.from({ length: KEYS }, (_, index) => `coherent:${index}`)
  for (const key of keys) await store.set(key, { turn: -1 })
  const times = []
  for (let turn = 0; turn < WRITES; turn += 1) {
    const key = keys[turn % KEYS]
    await store.copy(key)
    // What is done in the background now and then may come at any moment of it.
    await pause(turn % 11)
    times.push(await seenAfter(store, key, turn, peer({ key, turn })))
  }
  return { median: median(times), longest: Math.max(...times), ...(await ownWrites(store, keys)) }
}

async function seenAfter(store, key, turn, written) {
  const bound = now() + LIMIT_MS
  while ((await store.get(key))?.turn !== turn) {
    if (now() > bound) throw new Error(`A write of another process was not seen within ${LIMIT_MS / 1_000} s.`)
    await new Promise(setImmediate)
  }
  const seen = now()
  const { began } = await written
  return seen - began
}

async function ownWrites(store, keys) {
  const stale = { staleCalled: 0, staleAwaited: 0 }
  for (let turn = WRITES; turn < 2 * WRITES; turn += 1) {
    const key = keys[turn % KEYS]
    await store.copy(key)
    const kept = store.set(key, { turn })
    if ((await store.get(key))?.turn !== turn) stale.staleCalled += 1
    await kept
    if ((await store.get(key))?.turn !== turn) stale.staleAwaited += 1
  }
  return stale
}
