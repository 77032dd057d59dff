// What it takes to invalidate a tag that many entries carry.
import { performance } from 'node:perf_hooks'
import { valueOf } from '../lib/plan.mjs'
import { median } from '../lib/statistics.mjs'
import {
  TTL_MS, TTL_SECONDS, bento, cacheable, inMemory, onRedis, openBento, openCacheable, openHoldfast,
} from './contenders.mjs'

const ENTRIES = 20_000
const SMALL = 20
const SMALL_TAGS = 20
const OTHERS = 200
const SAMPLE = 500
const CHUNK = 500

export const invalidation = {
  id: 'invalidation',
  title: 'Invalidating a tag',
  about:
    `Lower is better. One call, awaited, for a tag that ${ENTRIES.toLocaleString('en')} entries carry; before it, as ` +
    `a warm-up, ${SMALL_TAGS} calls for tags of ${SMALL} entries each, of which the median is shown. Afterwards ` +
    `${SAMPLE} of the entries are asked for and must be gone, and ${OTHERS} that carry another tag must be there.`,
  columns: [
    { id: 'large', title: `${ENTRIES.toLocaleString('en')} entries, ms` },
    { id: 'small', title: `${SMALL} entries, ms` },
  ],
  contenders: [
    { ...onRedis, open: openOurs },
    { ...inMemory, open: openOurs },
    { ...bento, label: 'BentoCache, memory', open: openBentoTags },
    { ...bento, id: 'bentocache-redis', label: 'BentoCache, Redis', redis: true, open: openBentoTags },
    { ...cacheable, label: 'cacheable, memory', open: openCacheableTags },
    { ...cacheable, id: 'cacheable-redis', label: 'cacheable, Redis', redis: true, open: openCacheableTags },
  ],
  // Like is compared with like.
  compared: [
    [onRedis.id, 'bentocache-redis'],
    [onRedis.id, 'cacheable-redis'],
    [inMemory.id, 'bentocache'],
    [inMemory.id, 'cacheable'],
  ],
  measure,
  goals: [onRedis, inMemory].map(({ id, label }) => ({
    text: `invalidating a tag of ${ENTRIES.toLocaleString('en')} entries, ${label}: under 1 ms`,
    of: [id, 'large'],
    under: 1,
    unit: 'ms',
  })),
}

const named = (name, count) => Array.from({ length: count }, (_, index) => `${name}:${index}`)

async function measure({ open }, { port }) {
  const { set, reads, deleteByTag } = await open({ port })
  const write = async (keys, tag) => {
    for (let from = 0; from < keys.length; from += CHUNK) {
      const chunk = keys.slice(from, from + CHUNK)
      await Promise.all(chunk.map((key, index) => set(key, valueOf(100, from + index), [tag])))
    }
  }
  const large = named('large', ENTRIES)
  const others = named('others', OTHERS)
  const small = named('small', SMALL_TAGS).map((tag) => ({ tag, keys: named(tag, SMALL) }))
  await write(large, 'large')
  await write(others, 'others')
  for (const { tag, keys } of small) await write(keys, tag)
  const sample = large.filter((_, index) => index % (ENTRIES / SAMPLE) === 0)
  const expect = async (keys, isThere) => {
    for (const read of reads) {
      const found = await Promise.all(keys.map(read))
      const wrong = found.filter((value) => (value !== null && value !== undefined) !== isThere).length
      if (wrong > 0) throw new Error(`${wrong} of ${keys.length} entries are ${isThere ? 'gone' : 'still there'}.`)
    }
  }
  const timed = async (tag) => {
    const began = performance.now()
    await deleteByTag(tag)
    return performance.now() - began
  }
  for (const keys of [sample, others, ...small.map((one) => one.keys)]) await expect(keys, true)
  const times = []
  for (const { tag } of small) times.push(await timed(tag))
  const found = { small: median(times), large: await timed('large') }
  await expect(sample, false)
  for (const { keys } of small) await expect(keys, false)
  await expect(others, true)
  return found
}

function openOurs({ port }) {
  const cache = openHoldfast({ port })
  return {
    set: (key, value, tags) => cache.set(key, value, { ttl: TTL_SECONDS, tags }),
    reads: [(key) => cache.get(key), (key) => cache.get(key, { skipL1: true })],
    deleteByTag: (tag) => cache.deleteByTag(tag),
  }
}

async function openBentoTags({ port }) {
  // By default its memory keeps 1,000 entries.
  const cache = await openBento({ port, tiers: port === null ? 'memory' : 'both', maxItems: 2 * ENTRIES })
  return {
    set: (key, value, tags) => cache.set({ key, value, tags, ttl: TTL_MS }),
    reads: [(key) => cache.get({ key })],
    deleteByTag: (tag) => cache.deleteByTag({ tags: [tag] }),
  }
}

async function openCacheableTags({ port }) {
  const cache = await openCacheable({ port, tags: true })
  return {
    set: (key, value, tags) => cache.set(key, value, { ttl: TTL_MS, tags }),
    reads: [(key) => cache.get(key)],
    deleteByTag: (tag) => cache.tags.invalidateTag(tag),
  }
}
