// Several limits of one call against one.
import { holdfast, openHoldfast, openIoredis } from './contenders.mjs'
import { ENOUGH, KEYS, flexible, keys } from './limiters.mjs'
import { TOGETHER, closedLoop, measured, randomOrder } from './loop.mjs'

const WINDOWS = [['minute', 60], ['hour', 3_600], ['day', 86_400]]
const COUNTS = [[1, 'one'], [WINDOWS.length, 'three']]
const again = (at) => (turn) => keys[at(turn)]
const once = () => (turn) => `once:${turn}`
const WAYS = [
  ['alone', 'one at a time', 1, again],
  ['company', `${TOGETHER} at a time`, TOGETHER, again],
  ['once', `${TOGETHER} at a time, new keys`, TOGETHER, once],
]
const GOAL = 1.3

export const policies = {
  id: 'policies',
  title: 'Three limits of one call',
  about:
    `Lower is better. Time per call of random keys out of ${KEYS.toLocaleString('en')}, with one limit (a minute) and ` +
    'with three (a minute, an hour, a day), sliding windows; and of keys of which none comes twice, so that each call ' +
    'is a step on Redis: of those that come again ours takes units ahead, and decides most calls in the process. It decides all ' +
    "three in one step: each is charged, or none. rate-limiter-flexible's RateLimiterUnion asks Redis for each by " +
    'itself, and charges those that allow the call though another refuses it; its one limit is no union.',
  columns: WAYS.flatMap(([id, title]) => COUNTS.map(([, name]) => ({ id: `${name}-${id}`, title: `${name}, ${title}, µs` }))),
  contenders: [
    { ...holdfast, id: 'holdfast', label: 'Holdfast, Redis', redis: true, open: openOurs },
    { ...holdfast, id: 'holdfast-memory', label: 'Holdfast, memory', open: openOurs },
    { ...flexible, id: 'flexible', label: 'rate-limiter-flexible, Redis', redis: true, open: openFlexible },
    { ...flexible, id: 'flexible-memory', label: 'rate-limiter-flexible, memory', open: openFlexible },
  ],
  compared: [['holdfast', 'flexible'], ['holdfast-memory', 'flexible-memory']],
  measure,
  goals: WAYS.map(([id, title]) => ({
    text: `three limits on Redis, ${title}: under ${GOAL} times the time of one`,
    of: ['holdfast', `three-${id}`],
    by: ['holdfast', `one-${id}`],
    under: GOAL,
  })),
}

async function measure({ open }, { port }) {
  const limiterOf = await open({ port })
  const at = randomOrder(KEYS)
  const figures = {}
  const takes = COUNTS.map(([count, name]) => [name, limiterOf(count)])
  for (const [, take] of takes) await closedLoop((turn) => take(keys[turn]), KEYS)
  for (const [id, , together, keysBy] of WAYS) {
    const key = keysBy(at)
    for (const [name, take] of takes) {
      const { rate } = await measured((turn) => take(key(turn)), { together })
      figures[`${name}-${id}`] = 1_000_000 / rate
    }
  }
  return figures
}

async function openOurs({ port }) {
  const instance = await openHoldfast({ port })
  const source = port === null ? 'local' : 'redis'
  return (count) => {
    const limits = WINDOWS.slice(0, count).map(([name, window]) => ({ name, limit: ENOUGH, window }))
    const limiter = instance.createRateLimiter({ name: `bench-${count}`, limits })
    return async (key) => {
      const result = await limiter.check(key)
      if (!result.success || result.source !== source || result.limits.length !== count) {
        throw new Error(`${key}: ${result.reason ?? 'allowed'}, by ${result.source}.`)
      }
    }
  }
}

async function openFlexible({ port }) {
  const { RateLimiterMemory, RateLimiterRedis, RateLimiterUnion } = await import('rate-limiter-flexible')
  const storeClient = port === null ? null : await openIoredis({ port })
  return (count) => {
    const each = WINDOWS.slice(0, count).map(([name, duration]) => {
      const options = { points: ENOUGH, duration, keyPrefix: `${name}-${count}` }
      return storeClient === null ? new RateLimiterMemory(options) : new RateLimiterRedis({ ...options, storeClient })
    })
    // They reject by themselves when they refuse.
    const limiter = count === 1 ? each[0] : new RateLimiterUnion(...each)
    return (key) => limiter.consume(key)
  }
}
