// The third process: it reads every key from the server itself, with a client that shares no line with the
// package, and judges what stands there. It looks at keys that are left alone while the soak goes on, so that
// what was lost is found although it is written again later; and at every key in the end.

import { now, pause } from './clock.mjs'
import { told } from './calls.mjs'
import { WRITERS, sideName, storedName } from './names.mjs'
import { stampOf, valueOf } from './stored.mjs'
import { testSupport } from './support.mjs'
import { mayStand, verdictOn } from './verdict.mjs'

const { RespClient } = await testSupport('resp-client')
const { port } = JSON.parse(process.argv[2])
const AT_ONCE = 256

const timeline = { wipes: [], memory: [], synced: Object.fromEntries(WRITERS.map((by) => [by, []])) }
/** By key: left alone, and not looked at since. */
const resting = new Map()
/** By key: as it was told last. */
const latest = new Map()
/** Wrong as far as is known: what explains it may still be on its way here. */
let suspects = []
let looks = 0
let finishing = false

const heard = {
  rest(record) {
    resting.set(record.key, record)
    latest.set(record.key, record)
  },
  reuse({ key, at }) {
    resting.delete(key)
    suspects = suspects.filter((suspect) => suspect.read || suspect.record.key !== key || suspect.at < at)
  },
  /** What a process read of a key that it had itself. */
  doubt: (record) => suspects.push({ record, at: record.at, stored: null, stands: record.read, read: true }),
  synced: ({ by, moment }) => timeline.synced[by].push(moment),
  wiped: (wipe) => timeline.wipes.push(wipe),
  'on-memory': ({ by, from, to }) => timeline.memory.push({ by, from, to }),
  async finish() {
    finishing = true
    await looking
    const early = suspects.filter(isWrong)
    suspects = []
    for (const record of latest.values()) resting.set(record.key, record)
    await look([...latest.values()])
    // What was found before is not counted twice.
    const late = suspects.filter(isWrong).filter(({ record }) => !early.some((other) => other.record.key === record.key))
    const wrong = [...early, ...late]
    process.send({ type: 'judged', keys: latest.size, looks, wrong: await Promise.all(wrong.map(described)) })
  },
}

process.on('message', (message) => void heard[message.type](message))
process.on('disconnect', () => process.exit())

let client
let looking
while (!finishing) {
  const ready = [...resting.values()].filter(isInStep).slice(0, AT_ONCE)
  looking = look(ready).catch(() => {
    // The server is away; those keys are looked at again.
    client?.close()
    client = undefined
  })
  await looking
  await pause(20)
}

/** Whether nothing of the key can wait in a journal any more. */
function isInStep({ key, by, at }) {
  const writers = key.startsWith('shared:') ? WRITERS : [by]
  return writers.every((writer) => timeline.synced[writer].at(-1) > at)
}

async function look(records) {
  if (records.length === 0) return
  client ??= await RespClient.connect({ port })
  client.encoding = 'latin1'
  const replies = await client.pipeline(records.map(({ key }) => ['GET', storedName(key)]))
  const at = now()
  if (replies.some((reply) => reply instanceof Error)) throw replies.find((reply) => reply instanceof Error)
  records.forEach((record, index) => {
    // Taken up again while the server was asked: what it answered may be newer.
    if (resting.get(record.key) !== record) return
    resting.delete(record.key)
    looks++
    const suspect = { record, at, stored: replies[index], stands: valueOf(replies[index], record.key) }
    if (isWrong(suspect)) suspects.push(suspect)
  })
}

function isWrong({ record, stands, at }) {
  return verdictOn(record, stands, at, timeline) !== 'right'
}

async function described({ record, stored, stands, at, read }) {
  const { key, calls } = record
  const side = await client.call('GET', sideName(key))
  return {
    key,
    at,
    verdict: read ? 'stale' : verdictOn(record, stands, at, timeline),
    stands: `${read ? 'answered' : 'holds'} ${stands ?? 'nothing'}`,
    stamp: stampOf(stored),
    side: stampOf(side),
    may: [...mayStand(record, at, timeline)].map((id) => id ?? 'nothing'),
    calls: calls.map(told),
  }
}
