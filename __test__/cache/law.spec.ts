// Whatever is called, the cache answers like a Map that knows what was invalidated: sequences drawn by chance, with
// loads that run while other calls are made, by one process and by two. Documents: docs/cache.md, cache-loading.md,
// cache-invalidation.md, near-cache.md. A law that is broken says its seed and the shortest steps that were found.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Player } from './law/player'
import { Core } from './law/scene'
import { lawSeed } from './law/seed'
import { broken, drawn, Play, shortest, type Mix, type Step } from './law/steps'
import { World } from './law/world'
import { generator } from '../support/random'
import { waitFor } from '../support/wait-for'
import { asAnother, opener, patient, type InstanceOptions, type Store } from './stores'

/** Steps of a sequence. */
const LENGTH = 40
/** How much is spent on making a broken sequence shorter. */
const ATTEMPTS = 150
const SHORTER_MS = 30_000
const seed = lawSeed()
let played = 0

const alone: Mix = { again: 1, read: 20, write: 20, several: 4, load: 25, finish: 12, loadMany: 5, tag: 6, pattern: 2, clear: 2, elsewhere: 0, reset: 0 }
/** Of two processes nobody waits for the other one's answers. */
const two: Mix = { ...alone, several: 0 }

interface Setting {
  readonly name: string
  readonly store: Store
  readonly sequences: number
  readonly mix: Mix
  /** Of each core. */
  readonly options: readonly InstanceOptions[]
  /** Whether all see what one did when it is answered. */
  readonly seesAtOnce: boolean
}

const settings: Setting[] = [
  { name: 'memory', store: 'memory', sequences: 200, mix: alone, options: [{}], seesAtOnce: true },
  { name: 'redis', store: 'redis', sequences: 100, mix: alone, options: [{}], seesAtOnce: true },
  { name: 'memory, by two instances of a process', store: 'memory', sequences: 200, mix: two, options: [{}, {}], seesAtOnce: true },
  { name: 'redis, by two instances of a process', store: 'redis', sequences: 100, mix: two, options: [{}, {}], seesAtOnce: true },
  // Another setting makes another core, with a connection and copies of its own, as another process has.
  { name: 'redis, by two processes', store: 'redis', sequences: 100, mix: two, options: [{}, asAnother], seesAtOnce: false },
  {
    name: 'redis, by two processes that tell each other',
    store: 'redis',
    sequences: 60,
    mix: two,
    options: [{ nearCache: 'bus' }, { nearCache: 'bus', ...asAnother }],
    seesAtOnce: false,
  },
  {
    name: 'redis, by two processes without copies',
    store: 'redis',
    sequences: 60,
    mix: two,
    options: [{ nearCache: 'off' }, { nearCache: 'off', ...asAnother }],
    seesAtOnce: true,
  },
]

describe.each(settings)('the cache on $name', ({ store, sequences, mix, options, seesAtOnce }) => {
  const url = store === 'memory' ? 'memory:' : `redis://127.0.0.1:${inject('redisPort')}`
  const { open, closeAll } = opener({ url, keyPrefix: `law:${randomUUID()}:`, ...patient })
  afterAll(closeAll)
  const instances = options.map((each) => open(each))
  // Who has no connection yet that tells of changes is told of none, and on the bus tells of none.
  beforeAll(async () => {
    if (store === 'memory' || seesAtOnce) return
    for (const { cacheManager } of instances) {
      await cacheManager.set('connected', 1)
      await waitFor('the connection that tells of changes', async () => (await cacheManager.getEntry('connected'))?.source === 'near')
    }
  })
  const areOne = new Set(options.map((each) => each.commandTimeoutMs)).size === 1

  /** A play of its own: nobody else's keys, tags and namespaces. */
  function stage(): Play {
    const shared = new World()
    const cores = instances.map((instance, at) => {
      const hasCopies = options[at]?.nearCache !== 'off'
      return new Core({ store, instance, own: areOne ? shared : new World(), hasCopies, seesAtOnce })
    })
    return new Play(new Player(`s${played++}_`, cores), mix)
  }

  it('answers like a Map, whatever is called', { timeout: 600_000 }, async () => {
    const random = generator(seed)
    for (let sequence = 0; sequence < sequences; sequence++) {
      const steps = drawn(random, LENGTH)
      const first = stage()
      const why = await broken(first, steps)
      if (why === null) continue
      let attempts = ATTEMPTS
      const end = performance.now() + SHORTER_MS
      const isBroken = async (fewer: readonly Step[]): Promise<boolean> => (await broken(stage(), fewer)) !== null
      const fewer = await shortest(steps, isBroken, () => attempts-- > 0 && performance.now() < end)
      const last = stage()
      const whyLast = await broken(last, fewer)
      const { trail } = whyLast === null ? first.player : last.player
      expect.unreachable(`the law is broken (HOLDFAST_LAW_SEED=${seed}, sequence ${sequence}): ${whyLast ?? why}\n${trail.join('\n')}`)
    }
  })
})
