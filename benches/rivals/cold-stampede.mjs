// A cold key and several processes: how many of all the callers' loaders run?
import { now, pause } from '../../scripts/soak/clock.mjs'
import { counted, settled } from './settled.mjs'

const PROCESSES = 4
const CALLERS = 50
const LOAD_MS = 300
const ARRIVALS = 'bench:arrived'
/** Against a process that does not come, whose failure is what will be told. */
const ARRIVAL_LIMIT_MS = 20_000

export const coldStampede = {
  id: 'cold-stampede',
  title:
    `${PROCESSES} processes with ${CALLERS} callers each ask for a cold key at the same time; ` +
    `a load takes ${LOAD_MS} ms.`,
  needs: ['share'],
  verdicts: { once: 'one load for all of them', repeated: 'more than one process loads' },
  parts: { call },

  async show({ child }) {
    const children = Array.from({ length: PROCESSES }, () => child('call'))
    // None of them may still run when the next scenario begins.
    await Promise.allSettled(children)
    const found = await Promise.all(children)
    const runs = found.map((one) => one.runs)
    const all = runs.reduce((sum, count) => sum + count, 0)
    if (all === 0) throw new Error(`No loader ran: callers got ${counted(found.flatMap(({ outcomes }) => outcomes))}.`)
    return {
      happened:
        `${all} loader ${all === 1 ? 'run' : 'runs'} (${runs.join(', ')} in each process); ` +
        `callers got ${counted(found.flatMap(({ outcomes }) => outcomes))}`,
      verdict: all === 1 ? 'once' : 'repeated',
    }
  },
}

async function call(cache, { port }) {
  await cache.get('warm')
  await allArrived(port)
  let runs = 0
  const load = async () => {
    runs += 1
    await pause(LOAD_MS)
    return 'value'
  }
  const outcomes = await Promise.all(Array.from({ length: CALLERS }, () => settled(cache.getOrSet('user:1', load))))
  return { runs, outcomes }
}

/** They wait for each other at a counter of the server, with a client of no contender's. */
async function allArrived(port) {
  const { Redis } = await import('ioredis')
  const redis = new Redis({ host: '127.0.0.1', port })
  await redis.incr(ARRIVALS)
  const bound = now() + ARRIVAL_LIMIT_MS
  while (Number(await redis.get(ARRIVALS)) < PROCESSES) {
    if (now() > bound) throw new Error('The other processes did not come.')
    await pause(2)
  }
  redis.disconnect()
}
