// cache-manager with its default store. It hands out the stored object itself, so text is stored and parsed instead.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'cache-manager',
  label: 'cache-manager',
  package: 'cache-manager',
  serves: ['memory'],

  load: () => require('cache-manager'),

  open({ createCache }, { lifetimeSeconds }) {
    const cache = createCache();
    return {
      async get(key) {
        const text = await cache.get(key);
        return text === undefined || text === null ? null : JSON.parse(text);
      },
      set: (key, value) => cache.set(key, JSON.stringify(value), lifetimeSeconds * 1000),
      close: () => cache.disconnect(),
    };
  },
};
