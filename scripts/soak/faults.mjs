// What befalls the server and the network, in an order and at times that the seed decides.
//
// Faults come in storms: within seconds the server is killed and frozen again and again, also in the middle of a
// return, and one process is cut off beside that. Then there is a calm, so long that the package takes the server
// for a steady one again: else it would hold back its return for longer each time, and hardly ever be online.

import { now, pause } from './clock.mjs'

const PERIOD_MS = 19_000
const FIRST_MS = 1_500
const KILLS_OF_A_STORM = 5
const FREEZES_OF_A_STORM = 2
const CUTS_OF_A_STORM = 2
/** No storm begins later than so long before the end. */
const LAST_MS = 8_000

/** The least that a run of so many seconds has to show. */
export function leastFaults(seconds) {
  return { kills: Math.floor((seconds / 60) * 12), freezes: Math.floor((seconds / 60) * 6) }
}

/** [{ at, server: [...], network: [...] }], times in ms from the start. */
export function stormsOf(random, seconds) {
  const storms = []
  for (let at = FIRST_MS; at + LAST_MS <= seconds * 1_000; at += PERIOD_MS) {
    const kills = Array.from({ length: KILLS_OF_A_STORM }, (_, number) => ({
      kind: 'kill',
      keepsData: number % 2 === 0,
      awayMs: random.between(20, 400),
      // Some hit the return from the one before.
      afterMs: random.chance(0.3) ? random.between(0, 80) : random.between(200, 900),
    }))
    const freezes = Array.from({ length: FREEZES_OF_A_STORM }, (_, number) => ({
      kind: 'freeze',
      // Too short for a verdict, and long enough for one.
      forMs: number === 0 ? random.between(100, 900) : random.between(1_050, 1_600),
      afterMs: random.between(0, 600),
    }))
    const cuts = Array.from({ length: CUTS_OF_A_STORM }, () => ({
      kind: 'cut',
      ...CUTS[random.below(CUTS.length)],
      forMs: random.between(300, 3_000),
      afterMs: random.between(100, 1_500),
    }))
    storms.push({ at, server: random.shuffled([...kills, ...freezes]), network: cuts })
  }
  return storms
}

/** How a process is cut off. Where only replies are held back, what it calls still takes effect. */
const CUTS = [
  { mode: 'refuse', direction: 'both' },
  { mode: 'blackhole', direction: 'both' },
  { mode: 'blackhole', direction: 'toClient' },
]

export class Faults {
  counts = { kills: 0, emptied: 0, freezes: 0, cuts: 0 }
  #server
  #proxy
  #by
  #tell

  /** `by` is the process behind the proxy; `tell(type, fields)` tells the judge. */
  constructor({ server, proxy, by, tell }) {
    this.#server = server
    this.#proxy = proxy
    this.#by = by
    this.#tell = tell
  }

  async storm({ server, network }) {
    await Promise.all([this.#each(server), this.#each(network)])
  }

  async #each(faults) {
    for (const fault of faults) {
      await this[fault.kind](fault)
      await pause(fault.afterMs)
    }
  }

  async kill({ keepsData, awayMs }) {
    const wipe = await this.#server.kill({ keepsData })
    this.counts.kills++
    if (!keepsData) {
      this.counts.emptied++
      this.#tell('wiped', wipe)
    }
    await pause(awayMs)
    await this.#server.start()
  }

  async freeze({ forMs }) {
    this.#server.freeze()
    this.counts.freezes++
    await pause(forMs)
    this.#server.thaw()
  }

  async cut({ mode, direction, forMs }) {
    await this.#proxy.set(mode, direction)
    this.counts.cuts++
    const isolates = direction === 'both'
    if (isolates) this.#tell('cut', { by: this.#by, from: now() })
    await pause(forMs)
    if (isolates) this.#tell('joined', { to: now() })
    await this.#proxy.set('pass')
  }
}
