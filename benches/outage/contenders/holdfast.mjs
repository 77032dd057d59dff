// Holdfast as its README sets it up: a URL, and nothing else.
import { createRequire } from 'node:module';

// Resolved from the package's root, so that the entry of `exports` is what gets loaded.
const require = createRequire(new URL('../../../package.json', import.meta.url));

export default {
  id: 'holdfast',
  label: 'Holdfast',
  package: 'holdfast',
  setUp: '`createHoldfast({ url })`, all else by default (README)',

  async open({ port }) {
    const holdfast = require('holdfast').createHoldfast({ url: `redis://127.0.0.1:${port}`, env: {} });
    const { cacheManager } = holdfast;
    return {
      get: (key) => cacheManager.get(key),
      set: (key, value) => cacheManager.set(key, value),
      delete: (key) => cacheManager.delete(key),
    };
  },
};
