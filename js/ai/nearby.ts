// Leaders whose streams are kept by memory: others who ask have them in the same process, though perhaps as another
// instance or another copy of this package. They are found by the holder of the lease, a random number that only
// whoever shares the memory is told.

import type { Tail } from './tail.js'

const NEARBY = Symbol.for('holdfast.nearby')

const world = globalThis as { [NEARBY]?: Map<string, unknown> }

export const nearby = {
  /** Lets others follow until the answer has ended. */
  offer<Chunk>(holder: string, tail: Tail<Chunk>, ended: Promise<void>): void {
    const tails = (world[NEARBY] ??= new Map())
    tails.set(holder, tail)
    void ended.then(() => tails.delete(holder))
  },

  find<Chunk>(holder: string): Tail<Chunk> | null {
    return (world[NEARBY]?.get(holder) as Tail<Chunk> | undefined) ?? null
  },
}
