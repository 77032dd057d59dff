// Every contender, in the order of the tables. A contender is an object with
//   id, label, package       how it is called, and which package's version is reported
//   serves                   'redis', 'memory' or both: the tables it appears in
//   load()                   loads the library, and nothing before it does: cold starts are timed from here
//   open(library, settings)  settings: {port: number | null (memory), lifetimeSeconds}; gives (or promises)
//                            {get(key), set(key, value), close()}, where get gives an object of the caller's own, parsed
//                            from JSON, or null; optionally source(key): which store answers.
import bentocache from './bentocache.mjs';
import cacheManager from './cache-manager.mjs';
import cacheable from './cacheable.mjs';
import holdfast from './holdfast.mjs';
import ioredisAutoPipelining from './ioredis-auto-pipelining.mjs';
import ioredis from './ioredis.mjs';
import lruCache from './lru-cache.mjs';
import nodeRedis from './node-redis.mjs';
import valkeyGlide from './valkey-glide.mjs';

export const contenders = [
  holdfast,
  ioredis,
  ioredisAutoPipelining,
  nodeRedis,
  valkeyGlide,
  bentocache,
  cacheable,
  cacheManager,
  lruCache,
];

export function contenderNamed(id) {
  const found = contenders.find((contender) => contender.id === id);
  if (found === undefined) {
    throw new Error(`No contender "${id}". There are: ${contenders.map((contender) => contender.id).join(', ')}.`);
  }
  return found;
}
