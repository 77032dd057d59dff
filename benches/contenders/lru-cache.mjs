// lru-cache holding JSON text: the floor for anything that parses. It is no async API; the caller's await is still paid.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'lru-cache',
  label: 'lru-cache + JSON.parse',
  package: 'lru-cache',
  serves: ['memory'],

  load: () => require('lru-cache'),

  open({ LRUCache }, { lifetimeSeconds }) {
    const cache = new LRUCache({ max: 10_000, ttl: lifetimeSeconds * 1000 });
    return {
      get(key) {
        const text = cache.get(key);
        return text === undefined ? null : JSON.parse(text);
      },
      set: (key, value) => cache.set(key, JSON.stringify(value)),
      close() {},
    };
  },
};
