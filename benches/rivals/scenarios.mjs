// Every failure that is shown, in the order of the table. A scenario is an object with
//   id, title   how it is called, and what is done in it, in a sentence
//   needs       what a contender must have (`can` of contenders.mjs) to be in it
//   verdicts    the words that it can end with, and what each says
//   parts       {[name]: async (cache, message) => facts}: what is done in a process of the contender's own
//   show({ contender, child, redis })   promises { happened, verdict }: `child(part, message)` runs a part in a fresh
//               process and gives its facts, `redis` is a client that no contender knows of
import { coldStampede } from './cold-stampede.mjs'
import { commandsPerHit } from './commands-per-hit.mjs'
import { deleteDuringLoad, tagDuringLoad } from './delete-during-load.mjs'
import { evictedMarker } from './evicted-marker.mjs'
import { failingLoader } from './failing-loader.mjs'
import { hashCollision } from './hash-collision.mjs'
import { hungLoader } from './hung-loader.mjs'
import { valueShapes } from './value-shapes.mjs'

export const scenarios = [
  deleteDuringLoad,
  tagDuringLoad,
  failingLoader,
  evictedMarker,
  commandsPerHit,
  hashCollision,
  hungLoader,
  coldStampede,
  valueShapes,
]
