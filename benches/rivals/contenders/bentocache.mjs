// BentoCache with its three parts as the page "Multi Tier" of its documentation sets them up.

export default {
  id: 'bentocache',
  label: 'BentoCache',
  package: 'bentocache',
  can: ['share', 'tags'],
  marker: '*__bc:t:*',
  setUp: 'memory of 10 MB, Redis behind it, and the Redis bus (documentation, "Multi Tier")',

  async open({ port }) {
    const { BentoCache, bentostore } = await import('bentocache')
    const { memoryDriver } = await import('bentocache/drivers/memory')
    const { redisDriver, redisBusDriver } = await import('bentocache/drivers/redis')
    const connection = { host: '127.0.0.1', port }
    const bento = new BentoCache({
      default: 'multitier',
      stores: {
        multitier: bentostore()
          .useL1Layer(memoryDriver({ maxSize: '10mb' }))
          .useL2Layer(redisDriver({ connection }))
          .useBus(redisBusDriver({ connection })),
      },
    })
    return {
      getOrSet: (key, load, { tags, hardTimeoutMs: hardTimeout } = {}) =>
        bento.getOrSet({ key, ttl: '1h', tags, hardTimeout, factory: (context) => load(context.signal) }),
      get: (key) => bento.get({ key }),
      set: (key, value, { tags } = {}) => bento.set({ key, value, tags, ttl: '1h' }),
      delete: (key) => bento.delete({ key }),
      deleteByTag: (tag) => bento.deleteByTag({ tags: [tag] }),
    }
  },
}
