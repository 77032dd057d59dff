// Every contender, in the order of the table. A contender is an object with
//   id, label, package    how it is called, and which package's version is reported
//   setUp                 how it is set up, and which of its documents says so
//   open({ port })        promises { get(key), set(key, text), delete(key) }; `set` gives false where it was not kept
//   holds(stored, text)   whether that is what was written; by default whether the stored text contains it
import bentocache from './contenders/bentocache.mjs';
import cacheable from './contenders/cacheable.mjs';
import holdfast from './contenders/holdfast.mjs';
import ioredis from './contenders/ioredis.mjs';
import nodeRedis from './contenders/node-redis.mjs';
import rateLimiterFlexible from './contenders/rate-limiter-flexible.mjs';

export const contenders = [holdfast, ioredis, nodeRedis, bentocache, cacheable, rateLimiterFlexible];

export function contenderNamed(id) {
  const found = contenders.find((contender) => contender.id === id);
  if (found === undefined) {
    throw new Error(`No contender "${id}". There are: ${contenders.map((contender) => contender.id).join(', ')}.`);
  }
  return found;
}
