// One of the two processes that write. It is told to start, to stop and to drain; it tells what it called.

import { createRequire } from 'node:module'

import { Calls } from './calls.mjs'
import { now, pause, within } from './clock.mjs'
import { KEYS_OF_A_TASK, KEY_PREFIX, OWN_TASKS, READ_TASKS, SHARED_KEYS, SHARED_TASKS, WRITERS, ownKey, sharedKey } from './names.mjs'
import { OwnKeys } from './own-keys.mjs'
import { randomOf } from './random.mjs'
import { SharedKeys } from './shared-keys.mjs'
import { watch } from './watch.mjs'

/** Longer than any call may take, by far: what is pending then stays pending. */
const SETTLED_WITHIN_MS = 30_000
/** The return from an outage is held back for up to 30 s when a server goes up and down. */
const DRAINED_WITHIN_MS = 90_000

const { by, url, seed, fencedWrites } = JSON.parse(process.argv[2])
const { createHoldfast } = createRequire(new URL('../../package.json', import.meta.url))('holdfast')
const holdfast = createHoldfast({ url, env: {}, keyPrefix: KEY_PREFIX, fencedWrites })
const random = randomOf(seed)
const tell = (type, fields) => process.send({ type, by, at: now(), ...fields })
const calls = new Calls(holdfast.cacheManager, by, random, (doubt) => tell('doubt', doubt))

const rest = (history) => tell('rest', { key: history.key, calls: history.calls })
const reuse = (key) => tell('reuse', { key })
const handOver = ({ key, calls }) => tell('hand-over', { key, calls })

const own = Array.from({ length: OWN_TASKS }, (_, task) => new OwnKeys(by, task, { calls, random, rest, reuse }))
const shared = new SharedKeys(calls, random, { handOver, rest, reuse })
const watched = watch(holdfast, tell)
let running = true

const told = {
  start() {
    for (let number = WRITERS.indexOf(by); number < SHARED_KEYS; number += WRITERS.length) shared.take(sharedKey(number), [])
    for (const keys of own) void repeat(() => keys.turn())
    for (let task = 0; task < SHARED_TASKS; task++) void repeat(() => shared.turn())
    for (let task = 0; task < READ_TASKS; task++) void repeat(() => calls.peek(anyKey()))
  },
  'hand-over': ({ key, calls }) => shared.take(key, calls),
  async stop() {
    running = false
    shared.stop()
    await within(SETTLED_WITHIN_MS, () => calls.pending === 0)
    tell('stopped')
  },
  async drain() {
    const drained = await within(DRAINED_WITHIN_MS, () => watched.isSynced())
    for (const history of [...own.flatMap(({ histories }) => histories), ...shared.histories]) rest(history)
    const { counts, pending, slowestMs, notes } = calls
    tell('drained', { drained, counts, pending, slowestMs, notes, ...watched.figures() })
  },
}

async function repeat(turn) {
  while (running) {
    await turn()
    await pause(random.between(8, 32))
  }
}

function anyKey() {
  if (random.chance(0.2)) return sharedKey(random.below(SHARED_KEYS))
  return ownKey(WRITERS[random.below(WRITERS.length)], random.below(OWN_TASKS), random.below(KEYS_OF_A_TASK))
}

process.on('message', (message) => void told[message.type](message))
// Without the soak there is nothing left to do.
process.on('disconnect', () => process.exit())
tell('ready')
