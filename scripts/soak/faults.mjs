// What befalls the server and the network, in an order and at times that the seed decides.
//
// Faults come in storms. First one process is cut off while the other goes on; then the server is killed and frozen
// again and again within seconds, also in the middle of a return, with more cuts beside that. The package holds
// its return back from a server that goes up and down, each time for longer, up to 30 s. So after every third storm
// there is a calm that outlasts that: else a long run would see hardly any return.

import { pause } from './clock.mjs'

const STORMS_AT_MS = [500, 20_500, 40_500]
const BLOCK_MS = 105_000
const CUTS_BESIDE = 2
/** No storm begins later than so long before the end. */
const LAST_MS = 9_000
const KILLS_A_MINUTE = 12
const FREEZES_A_MINUTE = 6

/** The least that a run of so many seconds has to show. */
export function leastFaults(seconds) {
  return { kills: Math.floor((seconds / 60) * KILLS_A_MINUTE), freezes: Math.floor((seconds / 60) * FREEZES_A_MINUTE) }
}

/**
 * [{ at, first: cut, server: [...], beside: [cut, ...] }], times in ms from the start. `late`: what a connection
 * had sent before it was given up may arrive after that.
 */
export function stormsOf(random, seconds, { late }) {
  const cuts = late ? [...CUTS, LATE] : CUTS
  const times = timesOf(seconds * 1_000)
  const planned = { kills: 0, freezes: 0 }
  return times.map((at, number) => {
    // As many as are due before the next storm.
    const due = leastFaults((times[number + 1] ?? seconds * 1_000) / 1_000)
    const kills = killsOf(random, Math.max(2, due.kills - planned.kills))
    const freezes = freezesOf(random, Math.max(1, due.freezes - planned.freezes))
    planned.kills += kills.length
    planned.freezes += freezes.length
    const beside = Array.from({ length: CUTS_BESIDE }, () => cutOf(random, cuts, 300, 2_000))
    return { at, first: cutOf(random, cuts, 1_500, 3_000), server: random.shuffled([...kills, ...freezes]), beside }
  })
}

function timesOf(lengthMs) {
  const times = []
  for (let block = 0; block < lengthMs; block += BLOCK_MS) times.push(...STORMS_AT_MS.map((at) => block + at))
  return times.filter((at) => at + LAST_MS <= lengthMs)
}

function killsOf(random, count) {
  return Array.from({ length: count }, (_, number) => ({
    kind: 'kill',
    keepsData: number % 2 === 0,
    awayMs: random.between(20, 400),
    // Some hit the return from the one before.
    afterMs: random.chance(0.3) ? random.between(0, 80) : random.between(200, 900),
  }))
}

function freezesOf(random, count) {
  return Array.from({ length: count }, () => ({
    kind: 'freeze',
    // Too short for a verdict, or long enough for one.
    forMs: random.chance(0.4) ? random.between(100, 900) : random.between(1_050, 1_600),
    afterMs: random.between(0, 600),
  }))
}

function cutOf(random, cuts, least, most) {
  const how = cuts[random.below(cuts.length)]
  return { kind: 'cut', ...how, forMs: random.between(least, most), afterMs: random.between(100, 1_500) }
}

/** How a process is cut off. Where only replies are held back, what it calls still takes effect. */
const CUTS = [
  { mode: 'refuse', direction: 'both' },
  { mode: 'blackhole', direction: 'both' },
  { mode: 'blackhole', direction: 'toClient' },
]
const LATE = { mode: 'hold', direction: 'toServer' }

export class Faults {
  counts = { kills: 0, emptied: 0, freezes: 0, cuts: 0 }
  #server
  #proxy
  #wiped

  /** `wiped({ killed, dead })` hears when the disk was emptied, before the server is started again. */
  constructor(server, proxy, wiped) {
    this.#server = server
    this.#proxy = proxy
    this.#wiped = wiped
  }

  async storm({ first, server, beside }) {
    await this.#each([first])
    await Promise.all([this.#each(server), this.#each(beside)])
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
      this.#wiped(wipe)
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
    await pause(forMs)
    // Before the process is back and has its old connections closed.
    if (mode === LATE.mode) this.#proxy.release()
    await this.#proxy.set('pass')
  }
}
