// Holdfast as an application meets it: the built package by its own name, the cache manager of one instance.
import { createRequire } from 'node:module';

// Resolved from the package's root, so that the entry of `exports` is what gets loaded.
const require = createRequire(new URL('../../package.json', import.meta.url));

export default {
  id: 'holdfast',
  label: 'Holdfast',
  package: 'holdfast',
  serves: ['redis', 'memory'],

  load: () => require('holdfast'),

  open({ createHoldfast }, { port, lifetimeSeconds }) {
    const url = port === null ? 'memory:' : `redis://127.0.0.1:${port}`;
    const holdfast = createHoldfast({ url, env: {} });
    const { cacheManager } = holdfast;
    // In memory mode the embedded store is the cache itself; only against Redis is there something to skip.
    const reading = port === null ? {} : { skipL1: true };
    const writing = { ttl: lifetimeSeconds };
    return {
      get: (key) => cacheManager.get(key, reading),
      set: (key, value) => cacheManager.set(key, value, writing),
      close: () => holdfast.close(),
      // A read that memory answers because Redis is away would be a different measurement: ask before believing it.
      async source(key) {
        const entry = await cacheManager.getEntry(key, reading);
        return entry === null ? null : entry.source;
      },
    };
  },
};
