// cache-manager with memory and Redis, as its README sets up more than one store.

const HOUR_MS = 3_600_000

export default {
  id: 'cache-manager',
  label: 'cache-manager',
  package: 'cache-manager',
  can: ['share'],
  setUp: '`createCache({ stores: [createKeyv(), createKeyvRedis(url)] })` (README, "multiple stores"); it has no tags',

  async open({ port }) {
    const { createCache } = await import('cache-manager')
    const { createKeyv } = await import('cacheable')
    const { createKeyv: createKeyvRedis } = await import('@keyv/redis')
    const cache = createCache({ stores: [createKeyv(), createKeyvRedis(`redis://127.0.0.1:${port}`)] })
    return {
      getOrSet: (key, load) => cache.wrap(key, () => load(), HOUR_MS),
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value, HOUR_MS),
      delete: (key) => cache.del(key),
    }
  },
}
