// Every contender, in the order of the table. A contender is an object with
//   id, label, package    how it is called, and which package's version is reported
//   can                   what it has: 'share' (Redis behind memory), 'tags', 'remember' (keys made of arguments)
//   marker                with tags: the pattern of the keys that say when a tag was invalidated
//   setUp                 how it is set up, and which of its documents says so
//   open({ port, tags })  promises { getOrSet(key, load, { tags, hardTimeoutMs }), get(key), set(key, value, { tags }),
//                         delete(key) }, and with tags deleteByTag(tag), with 'remember' remember(work).
//                         `load` is given an AbortSignal by those that have one.
import bentocache from './contenders/bentocache.mjs'
import cacheManager from './contenders/cache-manager.mjs'
import cacheable from './contenders/cacheable.mjs'
import holdfast from './contenders/holdfast.mjs'
import lruCache from './contenders/lru-cache.mjs'

export const contenders = [holdfast, bentocache, cacheable, cacheManager, lruCache]
