// cacheable with Redis behind its memory, as its README sets it up; every call waits for both.

export default {
  id: 'cacheable',
  label: 'cacheable',
  package: 'cacheable',
  can: ['share', 'tags', 'remember'],
  marker: '*--cacheable--tags--:*:tag:*',
  setUp:
    '`new Cacheable({ secondary: new KeyvRedis(url) })` (README), with `tags: true` where there are tags; its ' +
    '`getOrSet` takes no tags, so a `BEFORE_SET` hook puts them on what was loaded',

  async open({ port, tags: usesTags }) {
    const { Cacheable } = await import('cacheable')
    const { default: KeyvRedis } = await import('@keyv/redis')
    const cache = new Cacheable({ secondary: new KeyvRedis(`redis://127.0.0.1:${port}`), tags: usesTags })
    cache.on('error', () => {})
    const tagsOfLoads = new Map()
    cache.onHook('BEFORE_SET', (item) => (item.tags ??= tagsOfLoads.get(item.key)))
    return {
      getOrSet(key, load, { tags } = {}) {
        tagsOfLoads.set(key, tags)
        return cache.getOrSet(key, () => load(), { ttl: '1h' })
      },
      get: (key) => cache.get(key),
      set: (key, value, { tags } = {}) => cache.set(key, value, { ttl: '1h', tags }),
      delete: (key) => cache.delete(key),
      deleteByTag: (tag) => cache.tags.invalidateTag(tag),
      remember: (work) => cache.wrap(work, { ttl: '1h' }),
    }
  },
}
