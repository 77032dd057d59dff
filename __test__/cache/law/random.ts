// Chance that can be had again: numbers that look random and are the same for the same seed.

export interface Random {
  /** A whole number from 0 up to, and without, the end. */
  below: (end: number) => number
  pick: <T>(from: readonly T[]) => T
  /** True so many times of a hundred. */
  isLucky: (percent: number) => boolean
}

/** Source: mulberry32. */
export function generator(seed: number): Random {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (end: number): number => Math.floor(next() * end)
  return { below, pick: (from) => from[below(from.length)] as (typeof from)[number], isLucky: (percent) => below(100) < percent }
}

/** The same in each run, unless it is told: a number, or `HOLDFAST_LAW_SEED=random`. A law that is broken names it. */
export function lawSeed(): number {
  const told = process.env['HOLDFAST_LAW_SEED']
  if (told === 'random') return Math.floor(Math.random() * 2 ** 31)
  return told !== undefined && /^[0-9]+$/.test(told) ? Number(told) : 1
}
