// An independent count of what the statistics count, after docs/cache.md.
import type { Instance } from '../stores'

type CacheStats = ReturnType<Instance['cacheManager']['getStats']>
type CacheCounts = CacheStats['namespaces'][string]

const fields = [
  'hits', 'misses', 'sets', 'deletes', 'errors', 'refused', 'stale', 'loads', 'loadErrors', 'coalesced', 'fenced', 'loadsAvoided',
  'hot', 'memory', 'near', 'redis',
  // Hits of which is known only that a copy or Redis answered.
  'behind',
  // Misses, or callers who shared a load: nobody says which.
  'eitherWay',
] as const
export type Field = (typeof fields)[number]
export type Layer = 'hot' | 'memory' | 'near' | 'redis' | 'behind'

type Page = Record<Field, number>

const page = (): Page => Object.fromEntries(fields.map((field) => [field, 0])) as Page

export class Books {
  private readonly total = page()
  private readonly each = new Map<string, Page>()

  /** `owner`: the namespace that it is counted for besides, as it is called in the statistics. */
  add(owner: string | null, field: Field, by = 1): void {
    this.total[field] += by
    if (owner !== null) this.of(owner)[field] += by
  }

  hit(owner: string | null, layer: Layer, isStale: boolean): void {
    this.add(owner, 'hits')
    this.add(owner, layer)
    if (isStale) this.add(owner, 'stale')
  }

  reset(owner: string): void {
    Object.assign(this.of(owner), page())
  }

  /** What is counted otherwise, in words; nothing when all is equal. */
  differences(stats: CacheStats): string[] {
    const lines = differencesOf('in total', this.total, stats)
    for (const [owner, counted] of this.each) {
      const own = stats.namespaces[owner]
      if (own === undefined) lines.push(`${owner} is not counted`)
      else lines.push(...differencesOf(owner, counted, own))
    }
    return lines
  }

  private of(owner: string): Page {
    let counted = this.each.get(owner)
    if (counted === undefined) this.each.set(owner, (counted = page()))
    return counted
  }
}

function differencesOf(what: string, counted: Page, stats: CacheCounts): string[] {
  const { layers, savings, evicted, entries, bytes, hitRate, ...plain } = stats
  const { hot, memory, near, redis, behind, misses, coalesced, loadsAvoided, eitherWay, ...expected } = counted
  const told: Partial<Record<string, number>> = plain
  const all = layers.hot + layers.near + layers.redis + layers.memory
  const reads = expected.hits + stats.misses
  const equal: [string, number, number][] = [
    ...Object.entries(expected).map(([field, number]): [string, number, number] => [field, number, told[field] ?? Number.NaN]),
    ['hits of all layers', expected.hits, all],
    ['hot', hot, layers.hot],
    ['memory', memory, layers.memory],
    ['near and redis', near + redis + behind, layers.near + layers.redis],
    ['misses and coalesced', misses + coalesced + eitherWay, stats.misses + stats.coalesced],
    ['hitRate', expected.hits === 0 ? 0 : expected.hits / reads, hitRate],
    // Nothing here is large enough to be dropped for room.
    ['evicted', 0, evicted],
  ]
  // What is not known more exactly may be in each of them.
  const between: [string, number, number, number][] = [
    ['near', near, behind, layers.near],
    ['redis', redis, behind, layers.redis],
    ['misses', misses, eitherWay, stats.misses],
    ['coalesced', coalesced, eitherWay, stats.coalesced],
    ['loadsAvoided', loadsAvoided, eitherWay, savings.loadsAvoided],
  ]
  const wrong = equal.filter(([, number, is]) => !(Math.abs(number - is) < 1e-9)).map(([field, number, is]) => `${field} is ${is}, counted were ${number}`)
  const beyond = between.filter(([, least, more, is]) => !(is >= least && is <= least + more))
  wrong.push(...beyond.map(([field, least, more, is]) => `${field} is ${is}, counted were ${least} to ${least + more}`))
  if (!(entries >= 0 && bytes >= 0 && savings.timeSavedMs >= 0)) wrong.push('a count is below zero')
  return wrong.map((line) => `${what}: ${line}`)
}
