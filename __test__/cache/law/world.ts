// What a cache holds, as a Map: the law's own idea of it, after the documents. It knows no time, no wire and no
// copies: what was called before is there, what was invalidated is not.

/** What stands under a key. */
export interface Entry {
  readonly value: unknown
  /** Only who takes what is old sees it. */
  readonly isStale: boolean
  readonly tags: readonly string[]
}

/** The right to load a key; whoever loads beside another one has the same. */
export interface Lease {
  readonly by: string
}

/** What reads see: a value, or nothing. */
export type Seen = { readonly value: unknown; readonly isStale: boolean } | null

export function visible(entry: Entry | null, takesStale: boolean): Seen {
  return entry === null || (entry.isStale && !takesStale) ? null : entry
}

export class World {
  /** Counts what happens; an invalidation is later than all that began before it. */
  now = 0
  readonly leases = new Map<string, Lease>()
  /** Keys whose value a tag has taken: it is never read again, and may still lie there. */
  readonly ghosts = new Set<string>()
  private readonly marks = new Map<string, number>()
  /** All that ever stood under a key, the last of which stands there now. */
  private readonly histories = new Map<string, (Entry | null)[]>()

  entry(key: string): Entry | null {
    return this.history(key).at(-1) ?? null
  }

  /** How often the key has changed. */
  version(key: string): number {
    return this.history(key).length - 1
  }

  since(key: string, version: number): (Entry | null)[] {
    return this.history(key).slice(version)
  }

  set(key: string, entry: Entry | null): void {
    this.now++
    this.leases.delete(key)
    this.ghosts.delete(key)
    this.history(key).push(entry)
  }

  /** Makes stale what is there. */
  expire(key: string): void {
    const entry = this.entry(key)
    this.now++
    this.leases.delete(key)
    if (entry !== null) this.history(key).push({ ...entry, isStale: true })
  }

  /** A loaded value: it takes the place of what stands there, and nobody else's right. */
  fill(key: string, entry: Entry): void {
    this.now++
    this.ghosts.delete(key)
    this.history(key).push(entry)
  }

  invalidate(tag: string, removes: boolean): void {
    this.marks.set(tag, ++this.now)
    for (const [key, history] of this.histories) {
      const entry = history.at(-1) ?? null
      if (entry === null || !entry.tags.includes(tag)) continue
      if (removes) this.ghosts.add(key)
      if (removes || !entry.isStale) history.push(removes ? null : { ...entry, isStale: true })
    }
  }

  /** Whether one of these was invalidated since. */
  wasInvalidated(tags: readonly string[], since: number): boolean {
    return tags.some((tag) => (this.marks.get(tag) ?? -1) > since)
  }

  /** What a clear or a pattern takes; the fewest and the most that it may count. */
  remove(covers: (key: string) => boolean): { least: number; most: number } {
    this.now++
    for (const key of [...this.leases.keys()].filter(covers)) this.leases.delete(key)
    let [least, most] = [0, 0]
    for (const key of [...this.histories.keys()].filter(covers)) {
      const isThere = this.entry(key) !== null
      if (isThere) least++
      if (isThere || this.ghosts.delete(key)) most++
      if (isThere) this.set(key, null)
    }
    return { least, most }
  }

  private history(key: string): (Entry | null)[] {
    let history = this.histories.get(key)
    if (history === undefined) this.histories.set(key, (history = [null]))
    return history
  }
}
