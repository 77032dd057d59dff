// Every part of what limits, sessions and messages cost, in the order of the report.
import { limitsInMemory } from './limits-memory.mjs'
import { limits } from './limits.mjs'
import { messages } from './messages.mjs'
import { policies } from './policies.mjs'
import { sessionChanges, sessions } from './sessions.mjs'

export const suite = {
  command: 'bench:managers',
  title: 'What limits, sessions and messages cost',
  file: 'RESULTS-managers.md',
  child: '../managers/child.mjs',
  rounds: 5,
  lasts: 'about 15 minutes',
  parts: [limits, limitsInMemory, policies, sessions, sessionChanges, messages],
  packagesOf,
  notTheSame: [
    'Redis and the clients share the machine: with few cores, a client that uses more threads takes time from the ' +
      'server.',
    'A sliding window promises more than a fixed one, which is all that rate-limiter-flexible has: up to twice its ' +
      'limit goes through around the end of a window. Holdfast, fixed window, promises the same as it does.',
    'What rate-limiter-flexible refuses it has charged; what Holdfast refuses costs nothing. Nothing is refused here.',
    "Holdfast keeps each field of a session with the stamp of its last change, in a hash, and lists of a user's sessions; " +
      'connect-redis keeps one text for each session, and no lists.',
    'connect-redis is of version 9, the last one for Node 20.',
    'A message of Holdfast is longer on the wire by its id and its time, about 70 bytes.',
  ],
}

/** Those of the contenders, and what they reach Redis by. */
function packagesOf(contenders) {
  const names = contenders.map((contender) => contender.package)
  if (names.includes('rate-limiter-flexible')) names.push('ioredis')
  if (names.includes('connect-redis')) names.push('express-session', 'redis')
  return names
}
