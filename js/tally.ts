// What only this side sees of the cache's work. It is counted here and handed over to the native side, where all
// copies of the module meet, a moment after something was counted.

import { later } from './timing.js'

/** The owner of what is counted for nobody. */
export const UNCOUNTED = -1

const HAND_OVER_MS = 500

/** The counts of one owner since they were handed over, by the native side's names. */
export class Counts {
  hot = 0
  loadsAvoided = 0
  timeSavedMs = 0
  private rare = { stale: 0, loads: 0, loadErrors: 0, coalesced: 0 }

  /** `tally` hears of counts that wait; null: nobody wants them. */
  constructor(
    readonly owner: number,
    private readonly tally: Tally | null,
  ) {}

  /** An answer of the hot tier. */
  hit(): void {
    if (this.hot++ === 0) this.tally?.changed(this)
  }

  /** A loader that did not have to run. */
  avoided(ms: number): void {
    if (this.loadsAvoided++ === 0) this.tally?.changed(this)
    this.timeSavedMs += ms
  }

  get stale(): number {
    return this.rare.stale
  }
  set stale(count: number) {
    this.rare.stale = count
    this.tally?.changed(this)
  }

  get loads(): number {
    return this.rare.loads
  }
  set loads(count: number) {
    this.rare.loads = count
    this.tally?.changed(this)
  }

  get loadErrors(): number {
    return this.rare.loadErrors
  }
  set loadErrors(count: number) {
    this.rare.loadErrors = count
    this.tally?.changed(this)
  }

  get coalesced(): number {
    return this.rare.coalesced
  }
  set coalesced(count: number) {
    this.rare.coalesced = count
    this.tally?.changed(this)
  }

  /** Takes everything out. */
  take(): Record<string, number> {
    const { hot, loadsAvoided, rare } = this
    const timeSavedMs = Math.round(this.timeSavedMs)
    this.hot = this.loadsAvoided = this.timeSavedMs = 0
    this.rare = { stale: 0, loads: 0, loadErrors: 0, coalesced: 0 }
    return { hot, loadsAvoided, timeSavedMs, ...rare }
  }
}

export class Tally {
  private readonly owners = new Map<number, Counts>()
  private readonly nobody = new Counts(UNCOUNTED, null)
  /** Those with something to hand over. */
  private readonly waiting = new Set<Counts>()
  private isDue = false

  /** `hand` takes the rows, as JSON. It never throws. */
  constructor(private readonly hand: (rows: string) => void) {}

  of(owner: number): Counts {
    if (owner === UNCOUNTED) return this.nobody
    let counts = this.owners.get(owner)
    if (counts === undefined) {
      counts = new Counts(owner, this)
      this.owners.set(owner, counts)
    }
    return counts
  }

  /** There is something to hand over. */
  changed(counts: Counts): void {
    this.waiting.add(counts)
    if (this.isDue) return
    this.isDue = true
    // It holds no process open.
    later(this.flush, HAND_OVER_MS).unref()
  }

  readonly flush = (): void => {
    this.isDue = false
    if (this.waiting.size > 0) this.hand(this.take())
  }

  /** Takes the counts out, as the rows that the native side reads. */
  take(): string {
    const rows: [owner: number, name: string, by: number][] = []
    for (const counts of this.waiting) {
      for (const [name, by] of Object.entries(counts.take())) if (by > 0) rows.push([counts.owner, name, by])
    }
    this.waiting.clear()
    return JSON.stringify(rows)
  }
}
