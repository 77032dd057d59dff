// Chance that can be had again: numbers that look random and are the same for the same seed.

export interface Random {
  /** A number from 0 up to, and without, 1. */
  unit: () => number
  /** A whole number from 0 up to, and without, the end. */
  below: (end: number) => number
  pick: <T>(from: readonly T[]) => T
  /** True so many times of a hundred. */
  isLucky: (percent: number) => boolean
}

/** mulberry32: small, and good enough to choose test cases by. */
export function generator(seed: number): Random {
  let state = seed | 0
  const unit = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (end: number): number => Math.floor(unit() * end)
  return { unit, below, pick: (from) => from[below(from.length)] as (typeof from)[number], isLucky: (percent) => below(100) < percent }
}
