// cacheable with its memory store alone. It clones objects by default; here it holds text that is parsed, as the others do.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'cacheable',
  label: 'cacheable',
  package: 'cacheable',
  serves: ['memory'],

  load: () => require('cacheable'),

  open({ Cacheable }, { lifetimeSeconds }) {
    const cache = new Cacheable();
    return {
      async get(key) {
        const text = await cache.get(key);
        return text === undefined ? null : JSON.parse(text);
      },
      set: (key, value) => cache.set(key, JSON.stringify(value), lifetimeSeconds * 1000),
      close: () => cache.disconnect(),
    };
  },
};
