// Holdfast with a URL, and a serializer that keeps more than JSON does.
import { createRequire } from 'node:module'

// Resolved from the package's root, so that the entry of `exports` is what gets loaded.
const require = createRequire(new URL('../../../package.json', import.meta.url))

const KEY_PREFIX = 'rivals:'
const ALWAYS = { ttl: 3_600, serializer: 'structured' }

export default {
  id: 'holdfast',
  label: 'Holdfast',
  package: 'holdfast',
  can: ['share', 'tags', 'remember'],
  marker: `${KEY_PREFIX}h:tag:*`,
  setUp: "`createHoldfast({ url, keyPrefix })`, and `serializer: 'structured'` at each call",

  async open({ port }) {
    const { createHoldfast } = require('holdfast')
    const holdfast = createHoldfast({ url: `redis://127.0.0.1:${port}`, keyPrefix: KEY_PREFIX, env: {} })
    const { cacheManager, FallbackCache } = holdfast
    // An older build takes the options and does nothing with them, which would be shown as a failure of its own.
    if (typeof cacheManager.deleteByTag !== 'function') {
      throw new Error('This build of Holdfast has no tags yet: build a newer one, or run with --only rivals.')
    }
    return {
      getOrSet: (key, load, options) =>
        cacheManager.getOrSet(key, (context) => load(context.signal), { ...ALWAYS, ...options }),
      get: (key) => cacheManager.get(key),
      set: (key, value, options) => cacheManager.set(key, value, { ...ALWAYS, ...options }),
      delete: (key) => cacheManager.delete(key),
      deleteByTag: (tag) => cacheManager.deleteByTag(tag),
      remember: (work) => FallbackCache.memoize(work, { ttl: ALWAYS.ttl }),
    }
  },
}
