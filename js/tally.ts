// What only this side sees of the cache's work, counted until the native side takes it over.

/** The owner of what is counted for nobody. */
export const UNCOUNTED = -1

/** So many hits may wait to be handed over. */
const MOST = 4096

/** The counts of one owner, by the native side's names. */
export class Counts {
  hot = 0
  stale = 0
  loads = 0
  loadErrors = 0
  coalesced = 0
  loadsAvoided = 0
  timeSavedMs = 0

  constructor(private readonly tally: Tally) {}

  /** An answer of the hot tier. */
  hit(): void {
    if (++this.hot >= MOST) this.tally.flush()
  }

  /** A loader that did not have to run. */
  avoided(ms: number): void {
    this.loadsAvoided++
    this.timeSavedMs += ms
  }
}

export class Tally {
  private readonly owners = new Map<number, Counts>()
  private readonly nobody = new Counts(this)

  /** `hand` takes the rows, as JSON. */
  constructor(private readonly hand: (rows: string) => void) {}

  of(owner: number): Counts {
    if (owner === UNCOUNTED) return this.nobody
    let counts = this.owners.get(owner)
    if (counts === undefined) {
      counts = new Counts(this)
      this.owners.set(owner, counts)
    }
    return counts
  }

  flush(): void {
    this.nobody.hot = 0
    this.hand(this.take())
  }

  /** Takes the counts out, as the rows that the native side reads. */
  take(): string {
    const rows: [number, string, number][] = []
    for (const [owner, counts] of this.owners) {
      const { hot, stale, loads, loadErrors, coalesced, loadsAvoided, timeSavedMs } = counts
      const all = { hot, stale, loads, loadErrors, coalesced, loadsAvoided, timeSavedMs: Math.round(timeSavedMs) }
      for (const [name, by] of Object.entries(all)) if (by > 0) rows.push([owner, name, by])
      Object.assign(counts, { hot: 0, stale: 0, loads: 0, loadErrors: 0, coalesced: 0, loadsAvoided: 0, timeSavedMs: 0 })
    }
    return JSON.stringify(rows)
  }
}
