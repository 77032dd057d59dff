// The same figures with a thousand entries and with a million.
import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { info, infoField } from '../lib/asker.mjs'
import { valueOf } from '../lib/plan.mjs'
import { median } from '../lib/statistics.mjs'
import { TTL_SECONDS, inMemory, onRedis, openHoldfast } from './contenders.mjs'
import { TOGETHER } from './reading.mjs'
import { microsPerCall } from './timing.mjs'

const ENTRIES = [1_000, 10_000, 100_000, 1_000_000]
const VALUE_BYTES = 100
/** Each entry has one tag of each of ten groups of ten, so that a tag covers a tenth of all entries. */
const GROUPS = 10
const IN_GROUP = 10
/** Of each group so many tags are invalidated. */
const INVALIDATED = 2
const WARM_UPS = 100
const CHUNK = 1_000
const SAMPLE = 1_000
/** Below, what the process itself takes is more than what the entries take. */
const LEAST_FOR_RSS = 100_000

const counted = (entries) => entries.toLocaleString('en')
const idOf = (where, entries) => `${where.id}-${entries}`
const goal = (where, column, words, [large, small], atMost) => ({
  text: `${words}, ${where.label}: with ${counted(large)} entries at most ${atMost} times that with ${counted(small)}`,
  of: [idOf(where, large), column],
  by: [idOf(where, small), column],
  atMost,
})
const WAYS = [['alone', 'hit, one at a time'], ['company', `hit, ${TOGETHER} in Promise.all`]]
/** Past the texts at hand in JavaScript, which hold all of the smaller stores and little of the largest. */
const PAST = [['past-alone', 'past the hot tier, one at a time'], ['past-company', `past the hot tier, ${TOGETHER} in Promise.all`]]
const lruCache = { id: 'lru-cache', label: 'lru-cache + JSON.parse', package: 'lru-cache' }
/** A map alone, to see what the machine's caches make of size. */
const COMPARED = [10_000, 1_000_000]

export const scale = {
  id: 'scale',
  title: 'Scale',
  mostRounds: 3,
  limitMs: 600_000,
  about:
    `Values of ${VALUE_BYTES} bytes, each entry with ${GROUPS} tags of ${GROUPS * IN_GROUP}, so that a tag covers a ` +
    `tenth of all entries; written with \`setMany\`, ${CHUNK} at a time. Hits are of random keys, on Redis with ` +
    `\`skipL1\`, so that each asks the server; in memory also past the hot tier, which holds all of 10,000 such ` +
    'entries and a twentieth of a million. lru-cache, a map without tags, shows what size alone costs on this ' +
    `machine. Invalidating is the median of ${GROUPS * INVALIDATED} calls for a tag ` +
    `each, after ${WARM_UPS} for other tags; then a sample must be gone or there, by its tags. Memory has ` +
    '`maxMemoryMb: 8192`. "Counted" is `getStats().bytes`, "RSS" what the process grew by, "Redis" the growth of ' +
    '`used_memory`; each per entry, key and value included.',
  columns: [
    { id: 'invalidate', title: 'invalidate a tag, ms' },
    ...[...WAYS, ...PAST].map(([id, title]) => ({ id, title: `${title}, µs` })),
    { id: 'counted', title: 'counted, bytes' },
    { id: 'rss', title: 'RSS, bytes' },
    { id: 'redis', title: 'Redis, bytes' },
    { id: 'fill', title: 'written, entries a second' },
  ],
  contenders: [...[inMemory, onRedis].flatMap((where) => linesOf(where, ENTRIES)), ...linesOf(lruCache, COMPARED)],
  compared: [inMemory, onRedis].flatMap((where) => [
    [idOf(where, 1_000_000), idOf(where, 1_000)],
    [idOf(where, 1_000_000), idOf(where, 10_000)],
  ]).concat([[idOf(lruCache, 1_000_000), idOf(lruCache, 10_000)]]),
  measure,
  goals: [inMemory, onRedis].flatMap((where) => [
    goal(where, 'invalidate', 'invalidating a tag', [1_000_000, 1_000], 1.5),
    ...(where === inMemory ? [...WAYS, ...PAST] : WAYS).map(([id, title]) => goal(where, id, title, [1_000_000, 10_000], 1.3)),
  ]),
}

function linesOf(where, sizes) {
  return sizes.map((entries) => ({
    ...where,
    id: idOf(where, entries),
    label: `${where.label}, ${counted(entries)} entries`,
    entries,
  }))
}

async function measure({ entries, ours }, { port }) {
  if (!ours) return await measureLru(entries)
  const cache = openHoldfast({ port, ...(port === null ? { fallback: { maxMemoryMb: 8_192 } } : {}) })
  await cache.set('warm', valueOf(VALUE_BYTES, 0))
  await cache.delete('warm')
  const before = await memoryOf(port)
  const fillMs = await fill(cache, entries)
  const after = await memoryOf(port)
  const stats = cache.getStats()
  if (port === null && (stats.entries < entries || stats.evicted > 0)) {
    throw new Error(`Of ${entries} entries memory holds ${stats.entries}, and dropped ${stats.evicted}.`)
  }
  const past = readsOf(cache, entries, { skipL1: true })
  // Each for itself, so that none finds in the hot tier what another has brought there.
  const hits = await microsPerCall(port === null ? readsOf(cache, entries) : past)
  const { alone, company } = port === null ? await microsPerCall(past) : {}
  const pastHot = port === null ? { 'past-alone': alone, 'past-company': company } : {}
  const invalidate = await invalidateTags(cache)
  await checkSample(cache, entries)
  return {
    invalidate,
    ...hits,
    ...pastHot,
    fill: entries / (fillMs / 1_000),
    ...(port === null ? { counted: stats.bytes / stats.entries } : { redis: (after.redis - before.redis) / entries }),
    ...(port === null && entries >= LEAST_FOR_RSS ? { rss: (after.rss - before.rss) / entries } : {}),
  }
}

async function measureLru(entries) {
  const { LRUCache } = await import('lru-cache')
  const cache = new LRUCache({ max: entries })
  for (let index = 0; index < entries; index += 1) cache.set(keyOf(index), JSON.stringify(valueOf(VALUE_BYTES, index)))
  return await microsPerCall(readsOf({ get: async (key) => JSON.parse(cache.get(key)) }, entries))
}

async function fill(cache, entries) {
  const began = performance.now()
  for (let from = 0; from < entries; from += CHUNK) {
    const items = Array.from({ length: Math.min(CHUNK, entries - from) }, (_, index) => ({
      key: keyOf(from + index),
      value: valueOf(VALUE_BYTES, from + index),
      options: { tags: tagsOf(from + index) },
    }))
    const kept = await cache.setMany(items, { ttl: TTL_SECONDS })
    if (!kept.every(Boolean)) throw new Error(`Of the entries from ${from} on not all were kept.`)
  }
  return performance.now() - began
}

const keyOf = (index) => `entry:${index}`
const tagOf = (group, place) => `tag:${group}:${place}`
/** For each group a place that looks random. */
const placesOf = (index) =>
  Array.from({ length: GROUPS }, (_, group) => (Math.imul(index + 1, 2_654_435_761 + 81_006 * group) >>> 16) % IN_GROUP)
const tagsOf = (index) => placesOf(index).map((place, group) => tagOf(group, place))

/** Keys in an order that looks random, and is the same in every run. */
function readsOf(cache, entries, options) {
  let state = 1
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return Math.floor((state / 0x80000000) * entries)
  }
  const check = (value, index) => {
    if (value?.id !== index) throw new Error(`A read of ${keyOf(index)} was no hit.`)
  }
  return {
    async alone(count) {
      for (let turn = 0; turn < count; turn += 1) {
        const index = next()
        check(await cache.get(keyOf(index), options), index)
      }
    },
    async company(count) {
      for (let turn = 0; turn < count; turn += TOGETHER) {
        const indexes = Array.from({ length: TOGETHER }, next)
        const found = await Promise.all(indexes.map((index) => cache.get(keyOf(index), options)))
        found.forEach((value, place) => check(value, indexes[place]))
      }
    },
  }
}

async function invalidateTags(cache) {
  // What is compiled with use is compiled by then, however few reads there were before.
  for (let turn = 0; turn < WARM_UPS; turn += 1) await cache.deleteByTag(`warm:${turn}`)
  const times = []
  for (let place = 0; place < INVALIDATED; place += 1) {
    for (let group = 0; group < GROUPS; group += 1) {
      const began = performance.now()
      await cache.deleteByTag(tagOf(group, place))
      times.push(performance.now() - began)
    }
  }
  return median(times)
}

async function checkSample(cache, entries) {
  let kept = 0
  for (let index = 0; index < entries; index += Math.max(1, Math.floor(entries / SAMPLE))) {
    const isCovered = placesOf(index).some((place) => place < INVALIDATED)
    const isThere = (await cache.get(keyOf(index))) !== null
    if (isThere === isCovered) throw new Error(`${keyOf(index)} is ${isThere ? 'still there' : 'gone'}.`)
    if (isThere) kept += 1
  }
  if (kept === 0) throw new Error('The sample has no entry that should be there.')
}

async function memoryOf(port) {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const redis = port === null ? null : Number(infoField(await info(port, 'memory'), 'used_memory'))
  return { rss: process.memoryUsage.rss(), redis }
}
