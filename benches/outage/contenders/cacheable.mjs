// cacheable with Redis behind its memory, as the part "Non-Blocking with @keyv/redis" of its README sets it up.
export default {
  id: 'cacheable',
  label: 'cacheable',
  package: 'cacheable',
  setUp: '`createKeyvNonBlocking(url)` as secondary store, `nonBlocking: true` (README, "Non-Blocking with @keyv/redis")',

  async open({ port }) {
    const { Cacheable } = await import('cacheable');
    const { createKeyvNonBlocking } = await import('@keyv/redis');
    const secondary = createKeyvNonBlocking(`redis://127.0.0.1:${port}`);
    const cache = new Cacheable({ secondary, nonBlocking: true });
    cache.on('error', () => {});
    return {
      get: async (key) => (await cache.get(key)) ?? null,
      set: (key, value) => cache.set(key, value, '1h'),
      delete: (key) => cache.delete(key),
    };
  },
};
