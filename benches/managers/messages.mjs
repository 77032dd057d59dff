// Messages: published and received in one process, many at a time and one by one.
import { performance } from 'node:perf_hooks'
import { isDeepStrictEqual } from 'node:util'
import { pause } from '../../scripts/soak/clock.mjs'
import { valueOf } from '../lib/plan.mjs'
import { commandsOf, holdfast, openHoldfast, openIoredis, openNodeRedis, ranBetween } from './contenders.mjs'
import { percentiles } from './loop.mjs'

const SIZE = 100
const WINDOW = 1_000
const SECONDS = 2
const WARMUP_SECONDS = 1
const SINGLE = 1_000
const SINGLE_WARMUP = 100
const EVERY_MS = 4
const LIMIT_MS = 30_000
const CHANNEL = 'bench'
const values = Array.from({ length: WINDOW }, (_, index) => valueOf(SIZE, index))

const IOREDIS = [['ioredis', 'ioredis with auto-pipelining', true], ['ioredis-plain', 'ioredis', false]]

export const messages = {
  id: 'messages',
  title: 'Messages',
  about:
    `Objects of ${SIZE} bytes of JSON, published on a channel and received in the same process, made into JSON and ` +
    'parsed by all contenders; over one connection that publishes and one that listens, as each library has them. ' +
    `Throughput: ${WINDOW.toLocaleString('en')} are under way, and for each that arrives another is published; all ` +
    `must arrive, in order. Latency: from the call of \`publish\` to the handler, ${SINGLE.toLocaleString('en')} ` +
    `single messages, each ${EVERY_MS} ms after the one before it arrived. Ours also carries an id and a time with ` +
    'each message.',
  columns: [
    { id: 'rate', title: 'messages a second' },
    { id: 'p50', title: 'single, p50, ms' },
    { id: 'p99', title: 'single, p99, ms' },
  ],
  contenders: [
    { ...holdfast, id: 'holdfast', label: 'Holdfast', redis: true, open: openOurs },
    ...IOREDIS.map(([id, label, autoPipelining]) => ({
      id, label, package: 'ioredis', redis: true, open: (settings) => openOnIoredis({ ...settings, autoPipelining }),
    })),
    { id: 'node-redis', label: 'node-redis', package: 'redis', redis: true, open: openOnNodeRedis },
  ],
  measure,
  goals: [
    {
      text:
        `messages, ${WINDOW.toLocaleString('en')} under way: at least 2 times the rate of ioredis with ` +
        'auto-pipelining',
      of: ['holdfast', 'rate'],
      by: ['ioredis', 'rate'],
      atLeast: 2,
    },
    ...IOREDIS.map(([id, label]) => ({
      text: `single message, median latency: at most 1.2 times that of ${label}`,
      of: ['holdfast', 'p50'],
      by: [id, 'p50'],
      atMost: 1.2,
    })),
  ],
}

async function measure({ open }, { port }) {
  let take = null
  const publish = await open({ port, received: (data) => take(data) })
  const single = (data) =>
    new Promise((resolve, reject) => {
      take = resolve
      publish(data).catch(reject)
    })
  for (const value of values.slice(0, 10)) {
    if (!isDeepStrictEqual(await single(value), value)) throw new Error('A message did not come as it was published.')
  }
  const stream = (seconds) => streamed(publish, (taker) => (take = taker), seconds)
  await stream(WARMUP_SECONDS)
  const before = await commandsOf(port)
  const { rate, count } = await stream(SECONDS)
  const published = ranBetween(before, await commandsOf(port), ['publish'])
  if (published < count) throw new Error(`${count} messages came, but Redis was given ${published}.`)
  const latencies = new Float64Array(SINGLE)
  for (let turn = -SINGLE_WARMUP; turn < SINGLE; turn += 1) {
    const began = performance.now()
    await single(values[(turn + SINGLE_WARMUP) % WINDOW])
    if (turn >= 0) latencies[turn] = performance.now() - began
    await pause(EVERY_MS)
  }
  const { p50Ms, p99Ms } = percentiles(latencies)
  return { rate, p50: p50Ms, p99: p99Ms }
}

/** A window full is kept under way for so long, and then all are waited for. */
function streamed(publish, listen, seconds) {
  return new Promise((resolve, reject) => {
    let next = 0
    let came = 0
    const began = performance.now()
    const until = began + seconds * 1_000
    const late = setTimeout(() => reject(new Error(`${next - came} of ${next} messages did not come.`)), LIMIT_MS)
    const give = () => {
      publish(values[next % WINDOW]).catch(reject)
      next += 1
    }
    listen((data) => {
      if (data.id !== came % WINDOW) reject(new Error(`Message ${came} was number ${data.id}.`))
      came += 1
      const now = performance.now()
      if (now < until) give()
      else if (came === next) {
        clearTimeout(late)
        resolve({ rate: (came * 1_000) / (now - began), count: came })
      }
    })
    for (let index = 0; index < WINDOW; index += 1) give()
  })
}

async function openOurs({ port, received }) {
  const { publish, subscribe } = await openHoldfast({ port })
  await subscribe(CHANNEL, ({ data, degraded, late }) => {
    if (degraded || late) throw new Error('A message did not come by Redis.')
    received(data)
  })
  return async (data) => {
    if (!(await publish(CHANNEL, data))) throw new Error('A message was not taken.')
  }
}

async function openOnIoredis({ port, autoPipelining, received }) {
  const publisher = await openIoredis({ port, enableAutoPipelining: autoPipelining })
  const subscriber = await openIoredis({ port })
  await subscriber.subscribe(CHANNEL)
  subscriber.on('message', (_, text) => received(JSON.parse(text)))
  return (data) => publisher.publish(CHANNEL, JSON.stringify(data))
}

async function openOnNodeRedis({ port, received }) {
  const publisher = await openNodeRedis({ port })
  const subscriber = await openNodeRedis({ port })
  await subscriber.subscribe(CHANNEL, (text) => received(JSON.parse(text)))
  return (data) => publisher.publish(CHANNEL, JSON.stringify(data))
}
