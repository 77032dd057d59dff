// Statistics equal an independent count over 100,000 random calls, in total and for each namespace, as docs/cache.md
// defines what is counted. Which layer answered is known by what can be seen: whether a call handed anything over,
// what it asked for, and what `getEntry` says.
import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { generator } from '../support/random'
import { Books } from './law/books'
import { Broken, Player } from './law/player'
import { Core } from './law/scene'
import { lawSeed } from './law/seed'
import { Play, type Mix } from './law/steps'
import { World } from './law/world'
import { opener, patient, stores } from './stores'

const CALLS = 100_000
/** In every second stretch of so many calls the counts are compared at each step; in the others they gather. */
const STRETCH = 25_000
/** Calls that are told of when a count is wrong. */
const SHOWN = 40
const seed = lawSeed()

const mix: Mix = { again: 5, read: 22, write: 16, several: 13, load: 20, finish: 17, loadMany: 4, tag: 3, pattern: 1, clear: 1, elsewhere: 0, reset: 1 }

describe.each(stores)('statistics on %s', (store) => {
  const url = store === 'memory' ? 'memory:' : `redis://127.0.0.1:${inject('redisPort')}`
  const { open, closeAll } = opener({ url, keyPrefix: `stats-law:${randomUUID()}:`, ...patient })
  afterAll(closeAll)

  it(`equal an independent count over ${CALLS} random calls`, { timeout: 600_000 }, async () => {
    const random = generator(seed)
    const fallback = { maxMemoryMb: 2 }
    const instance = open({ fallback })
    const common = { store, seesAtOnce: true }
    const core = new Core({ ...common, instance, own: new World(), books: new Books(), hasCopies: true })
    // Loads beside the other one, as another process: it has a connection and counts of its own.
    const second = { ...common, own: new World(), books: new Books(), hasCopies: false }
    const other = store === 'redis' ? new Core({ ...second, instance: open({ fallback, nearCache: 'off' }) }) : null
    const player = new Player('stats_', [core], { isTight: true })
    const play = new Play(player, { ...mix, elsewhere: other === null ? 0 : 4 }, other)
    const compare = (): void => {
      const cores = other === null ? [core] : [core, other]
      const lines = cores.flatMap((each) => each.books?.differences(each.instance.cacheManager.getStats()) ?? [])
      if (lines.length > 0) fail(lines.join('\n'))
      player.trail.length = 0
    }
    const fail = (why: string): never => {
      const last = player.trail.slice(-SHOWN).join('\n')
      return expect.unreachable(`${why}\nHOLDFAST_LAW_SEED=${seed}, after ${player.calls} calls, the last of which were\n${last}`)
    }
    for (let id = 0; player.calls < CALLS; id++) {
      await play.step({ id, seed: random.below(2 ** 31) }).catch((error: unknown) => {
        if (error instanceof Broken) fail(error.message)
        throw error
      })
      // A load under way is counted when it begins, or when it ends.
      if (play.loads.flights.length === 0 && Math.floor(player.calls / STRETCH) % 2 === 0) compare()
    }
    await play.end()
    compare()
  })
})
