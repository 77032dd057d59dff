// lru-cache and its `fetch`: memory alone, so only what happens within a process can be asked of it.

export default {
  id: 'lru-cache',
  label: 'lru-cache',
  package: 'lru-cache',
  can: [],
  setUp:
    '`new LRUCache({ max, ttl, fetchMethod })` (README); a hard timeout is ' +
    '`fetch(key, { signal: AbortSignal.timeout(ms) })` (its typings); memory alone, without tags',

  async open() {
    const { LRUCache } = await import('lru-cache')
    const cache = new LRUCache({
      max: 1_000,
      ttl: 3_600_000,
      fetchMethod: (_key, _stale, { signal, context: load }) => load(signal),
    })
    return {
      getOrSet: (key, load, { hardTimeoutMs } = {}) =>
        cache.fetch(key, {
          context: load,
          ...(hardTimeoutMs === undefined ? {} : { signal: AbortSignal.timeout(hardTimeoutMs) }),
        }),
      get: async (key) => cache.get(key),
      set: async (key, value) => cache.set(key, value),
      delete: async (key) => cache.delete(key),
    }
  },
}
