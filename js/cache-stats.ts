// The cache's counts, as users see them.

/** Counts since the start of the process, or since `resetStats()`. */
export interface CacheCounts {
  /** Reads that found a value, in whatever layer. */
  hits: number
  misses: number
  /** Writes that were kept, loaded values among them. */
  sets: number
  /** Deletes that removed something. */
  deletes: number
  /** Calls that failed, and writes that neither Redis nor memory took. */
  errors: number
  /** Hits of all reads; 0 when there were none. */
  hitRate: number
  /** Hits by who answered: texts at hand, copies in this process, Redis, and memory where there is no Redis. */
  layers: { hot: number; near: number; redis: number; memory: number }
  /** Old values that served. */
  stale: number
  /** Loaders that ran, and those of them that failed. */
  loads: number
  loadErrors: number
  /** Callers who shared a load of this process. */
  coalesced: number
  /** Loaded values that were not kept, because a delete, a write or an invalidation came first. */
  fenced: number
  /** Writes that were not kept, and calls that were refused with `E_OVERLOADED`. */
  refused: number
  /** Values that were dropped from this process' memory for room. */
  evicted: number
  /** Values in this process' memory, and their bytes. */
  entries: number
  bytes: number
  /** Loads that were not needed, and what they would have taken. */
  savings: { loadsAvoided: number; timeSavedMs: number }
}

/** What `getStats` answers. */
export interface CacheStats extends CacheCounts {
  /** Who serves: Redis, memory for good, or both (Redis with memory behind it). */
  backend: 'redis' | 'memory' | 'hybrid'
  /**
   * The counts of each namespace, by its name: `{prefix}:{namespace}`, or `{prefix}:{outer}:{inner}`. In a prefix or name
   * a colon is written `%3A`, and a percent sign `%25`.
   */
  namespaces: Record<string, CacheCounts>
  /** Only of a namespace beyond the first 10,000: it counts in the whole cache alone, and all counts here are 0. */
  uncounted?: true
}

/** @internal Nothing was counted. */
export function noStats(backend: CacheStats['backend']): CacheStats {
  const none = { near: 0, redis: 0, memory: 0, misses: 0, stale: 0, sets: 0, deletes: 0, errors: 0 }
  const total = {
    ...none,
    fenced: 0,
    refused: 0,
    loadsAvoided: 0,
    timeSavedMs: 0,
    hot: 0,
    loads: 0,
    loadErrors: 0,
    coalesced: 0,
  }
  return statsOf({ total, held: { entries: 0, bytes: 0, evicted: 0 }, backend, namespaces: [] })
}

/** @internal The name under which a namespace is counted: the prefix, and the names from the outermost on. */
export function countedName(parts: readonly string[]): string {
  return parts.map((part) => part.replaceAll('%', '%25').replaceAll(':', '%3A')).join(':')
}

interface NativeCounts {
  near: number
  redis: number
  memory: number
  misses: number
  stale: number
  sets: number
  deletes: number
  errors: number
  fenced: number
  refused: number
  loadsAvoided: number
  timeSavedMs: number
  hot: number
  loads: number
  loadErrors: number
  coalesced: number
}

interface Held {
  entries: number
  bytes: number
  evicted: number
}

/** @internal As the native side tells it. */
export interface NativeStats {
  total: NativeCounts
  held: Held
  backend: 'redis' | 'memory' | 'hybrid'
  namespaces: { name: string; counts: NativeCounts; held: Held }[]
}

export function statsOf({ total, held, backend, namespaces }: NativeStats): CacheStats {
  const each = namespaces.map(({ name, counts, held: own }) => [name, countsOf(counts, own)] as const)
  return { ...countsOf(total, held), backend, namespaces: Object.fromEntries(each) }
}

function countsOf(counts: NativeCounts, { entries, bytes, evicted }: Held): CacheCounts {
  const { hot, near, redis, memory, misses } = counts
  const hits = hot + near + redis + memory
  return {
    hits,
    misses,
    sets: counts.sets,
    deletes: counts.deletes,
    errors: counts.errors,
    hitRate: hits === 0 ? 0 : hits / (hits + misses),
    layers: { hot, near, redis, memory },
    stale: counts.stale,
    loads: counts.loads,
    loadErrors: counts.loadErrors,
    coalesced: counts.coalesced,
    fenced: counts.fenced,
    refused: counts.refused,
    evicted,
    entries,
    bytes,
    savings: { loadsAvoided: counts.loadsAvoided, timeSavedMs: counts.timeSavedMs },
  }
}
