// Every part of what the cache costs, in the order of the report.
import { batches, manyAtHand } from './batches.mjs'
import { coherence } from './coherence.mjs'
import { halfOpen } from './half-open.mjs'
import { hits } from './hits.mjs'
import { invalidation } from './invalidation.mjs'
import { scale } from './scale.mjs'
import { shared } from './shared.mjs'
import { tagged } from './tagged.mjs'

export const suite = {
  command: 'bench:cache',
  title: 'What the cache costs',
  file: 'RESULTS-cache.md',
  child: '../cache/child.mjs',
  rounds: 7,
  lasts: 'about 20 minutes',
  parts: [hits, shared, tagged, manyAtHand, batches, invalidation, scale, coherence, halfOpen],
  packagesOf,
  notTheSame: [
    'Redis and the clients share the machine: with few cores, a client that uses more threads takes time from the ' +
      'server.',
    'BentoCache, cacheable and cache-manager have their defaults in memory, but for the room that 20,000 entries need. ' +
      "cacheable's default clones the object that it holds; cache-manager's hands out the object itself, so that it " +
      'was given text where a parsed hit is measured.',
    'Holdfast keeps each value in an envelope with its stamp, 28 bytes and what its tags need.',
    'lru-cache has no tags, no Redis and no promises: it is there as the floor of what a parsed hit can cost.',
  ],
}

/** Those of the contenders, and what puts two of them on Redis. */
function packagesOf(contenders) {
  const names = contenders.map((contender) => contender.package).filter((name) => name !== undefined)
  const keyv = contenders.some(({ package: name, redis }) => redis && /^cache/.test(name))
  return keyv ? [...names, '@keyv/redis'] : names
}
