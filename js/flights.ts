// One load for everybody in this process who asks for the same key at the same time.
//
// A flight is detached when its key is deleted, set or cleared: whoever asks from then on starts a new
// one, so nobody is served what was loaded before a delete that he saw return.

import type { Found } from './inbox.js'

/** After so long a load that has not ended is left alone: who asks from then on loads anew. */
export const LONGEST_LOAD_MS = 120_000

/** Before the name of a key: loads of what is missing, by force, and of what is fresh but due. */
export const PLAIN = ''
export const FORCED = '!'
export const REFRESH = '~'
const KINDS = [PLAIN, FORCED, REFRESH]

const now = performance.now.bind(performance)

/** A load under way. */
export interface Flight {
  /** Its outcome. */
  promise: Promise<unknown>
  /** What is there although it is not fresh, as soon as that is known. */
  stale: Found | null
  /** Resolves when it is known whether there is something stale. */
  looked: Promise<void>
  /** When it ends at the latest; Infinity: nobody said so. */
  until: number
}

interface Entry {
  /** Callers with other flags (memory allowed or not) get a load of their own. */
  readonly flags: number
  readonly since: number
  readonly flight: Flight
}

export class Flights {
  private readonly entries = new Map<string, Entry>()

  /** The load under way for this key, if it may be joined. */
  find(key: string, flags: number): Flight | null {
    const entry = this.entries.get(key)
    if (entry === undefined || entry.flags !== flags) return null
    return now() - entry.since < LONGEST_LOAD_MS ? entry.flight : null
  }

  /** Lets others join a load until it ends. Where one is under way that can't be joined, it stays. */
  share(key: string, flags: number, flight: Flight): void {
    const present = this.entries.get(key)
    if (present !== undefined && now() - present.since < LONGEST_LOAD_MS) return
    const entry: Entry = { flags, since: now(), flight }
    this.entries.set(key, entry)
    const leave = (): void => {
      if (this.entries.get(key) === entry) this.entries.delete(key)
    }
    flight.promise.then(leave, leave)
  }

  /** From now on callers start anew for this key. */
  detach(key: string): void {
    if (this.entries.size === 0) return
    for (const kind of KINDS) this.entries.delete(kind + key)
  }

  /** The same for every key that begins so. */
  detachAll(prefix: string): void {
    const prefixes = KINDS.map((kind) => kind + prefix)
    for (const key of this.entries.keys()) {
      if (prefixes.some((each) => key.startsWith(each))) this.entries.delete(key)
    }
  }
}
