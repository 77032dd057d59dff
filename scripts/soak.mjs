// `npm run soak`: two processes write and read while their Redis is killed, frozen, emptied, and one of them is
// cut off. In the end, and all the while, a third one looks for what was lost and what came back.
//   npm run soak -- --seconds 60    for so long instead of 600 s
//   npm run soak -- --seed 7        with the faults of an earlier run
//   npm run soak -- --fenced        with `fencedWrites`, and bytes of connections that were given up arrive late

import { parseArgs } from 'node:util'

import { endAll, endOnSignals } from './lib/processes.mjs'
import { redisServer } from './lib/tools.mjs'
import { child } from './soak/children.mjs'
import { now, pause } from './soak/clock.mjs'
import { Faults, leastFaults, stormsOf } from './soak/faults.mjs'
import { WRITERS } from './soak/names.mjs'
import { randomOf } from './soak/random.mjs'
import { report } from './soak/report.mjs'
import { Server } from './soak/server.mjs'
import { testSupport } from './soak/support.mjs'

const WRITES_A_MINUTE = 100_000

const say = (text) => process.stdout.write(`${text}\n`)

const { seconds, seed, fenced } = settingsFrom(process.argv.slice(2))
endOnSignals()
try {
  say(`soak: ${seconds} s, seed ${seed} (--seed ${seed} repeats the faults)`)
  const { text, failures } = await soak(seconds, seed, fenced)
  say(`\n${text}\n`)
  say(failures.length === 0 ? 'nothing lost, nothing returned, nothing left pending' : `FAILED: ${failures.join('; ')}`)
  process.exitCode = failures.length === 0 ? 0 : 1
} catch (error) {
  process.stderr.write(`soak: ${error.stack}\n`)
  process.exitCode = 1
}
endAll('SIGKILL')
process.exit()

async function soak(seconds, seed, fenced) {
  const { FaultProxy } = await testSupport('fault-proxy')
  const random = randomOf(seed)
  const server = await Server.start(await redisServer(say))
  const proxy = await FaultProxy.start({ port: server.port })
  const judge = child('judge.mjs', { port: server.port }, () => {})
  const cutOff = WRITERS.at(-1)
  const writers = WRITERS.map((by) => {
    const url = by === cutOff ? proxy.url : server.url
    return child('writer.mjs', { by, url, seed: random.below(2 ** 31), fencedWrites: fenced }, (message) => pass(message))
  })
  const toAll = (type) => writers.forEach((writer) => writer.send(type))
  const fromAll = (type) => Promise.all(writers.map((writer) => writer.next(type)))
  function pass(message) {
    if (message.type === 'hand-over') writers[1 - WRITERS.indexOf(message.by)].send('hand-over', message)
    else if (['rest', 'reuse', 'on-memory', 'synced', 'doubt'].includes(message.type)) judge.send(message.type, message)
  }

  await fromAll('ready')
  const began = now()
  const faults = new Faults(server, proxy, (wipe) => judge.send('wiped', wipe))
  const ending = Promise.all(writers.map(({ next }) => next('never')))
  // Whoever ends early is noticed below, too; in the end they are meant to.
  ending.catch(() => {})
  toAll('start')
  await Promise.race([ending, befall(faults, stormsOf(random, seconds, { late: fenced }), began, seconds)])

  const stopped = fromAll('stopped')
  toAll('stop')
  await stopped
  // What was handed over before is passed on by now: messages keep their order.
  const drained = fromAll('drained')
  toAll('drain')
  const figures = await drained
  const judged = judge.next('judged')
  judge.send('finish')
  const least = { sets: Math.floor((seconds / 60) * WRITES_A_MINUTE), ...leastFaults(seconds) }
  const found = report({ seconds, began, writers: figures, judged: await judged, faults: faults.counts, least })
  await Promise.all([judge, ...writers].map((one) => one.end()))
  await proxy.close()
  await server.end()
  return found
}

/** The storms, and the calm after each of them. */
async function befall(faults, storms, began, seconds) {
  for (const storm of storms) {
    await pause(Math.max(0, began + storm.at - now()))
    const words = `${inWords(storm.first)}; ${storm.server.map(inWords).join(', ')}; beside: ${storm.beside.map(inWords).join(', ')}`
    say(`${((now() - began) / 1000).toFixed(1).padStart(7)} s  ${words}`)
    await faults.storm(storm)
  }
  await pause(Math.max(0, began + seconds * 1000 - now()))
}

function inWords(fault) {
  if (fault.kind === 'kill') return fault.keepsData ? 'kill' : 'kill and empty'
  if (fault.kind === 'freeze') return `freeze ${fault.forMs} ms`
  return `cut (${fault.mode}${fault.direction === 'both' ? '' : ', replies'}) ${fault.forMs} ms`
}

function settingsFrom(args) {
  const options = { seconds: { type: 'string' }, seed: { type: 'string' }, fenced: { type: 'boolean', default: false } }
  const { values } = parseArgs({ args, options })
  const whole = (name, otherwise, least) => {
    const value = values[name] === undefined ? otherwise : Number(values[name])
    if (Number.isInteger(value) && value >= least) return value
    process.stderr.write(`soak: --${name} is a whole number from ${least} on\n`)
    process.exit(2)
  }
  const seed = whole('seed', Math.floor(Math.random() * 2 ** 31), 0)
  return { seconds: whole('seconds', 600, 10), seed, fenced: values.fenced }
}
