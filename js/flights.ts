// One load for everybody in this process who asks for the same key at the same time.
//
// A flight is detached when its key is deleted, set or cleared: whoever asks from then on starts a new
// one, so nobody is served what was loaded before a delete that he saw return.

import type { Found } from './inbox.js'
import { NAMESPACE_COLON, NAMESPACE_END } from './keys.js'
import { now } from './timing.js'

/** After so long a load that has not ended, or shown that it goes on, is left alone: who asks from then on loads anew. */
export const LONGEST_LOAD_MS = 120_000

/** Before the name of a key: loads of what is missing, by force, and of what is fresh but due. No family begins so. */
export const PLAIN = ''
export const FORCED = NAMESPACE_END
export const REFRESH = NAMESPACE_COLON
const KINDS = [PLAIN, FORCED, REFRESH]

/** Something under way that others may join. */
export interface Flight {
  /** Its outcome. */
  readonly promise: Promise<unknown>
  /** What is there although it is not fresh, as soon as that is known. */
  stale: Found | null
  /** Resolves when it is known whether there is something stale. */
  readonly looked: Promise<void>
  /** When those who wait are answered at the latest; Infinity: nobody said so. */
  readonly until: number
  /** When it showed last that it goes on; absent: when it began. */
  readonly aliveAt?: number
  /** The markers of the tags that it was asked to give; it may carry any where nobody said so. */
  readonly tags?: readonly string[]
}

interface Entry {
  /** Callers with other flags (memory allowed or not) get a load of their own. */
  readonly flags: number
  readonly since: number
  readonly flight: Flight
}

function isAlive({ flight, since }: Entry): boolean {
  return now() - (flight.aliveAt ?? since) < LONGEST_LOAD_MS
}

export class Flights {
  private readonly entries = new Map<string, Entry>()

  /** The load under way for this key, if it may be joined. */
  find(key: string, flags: number): Flight | null {
    const entry = this.entries.get(key)
    if (entry === undefined || entry.flags !== flags) return null
    return isAlive(entry) ? entry.flight : null
  }

  /** Lets others join a load until it ends. Where one is under way that can't be joined, it stays. */
  share(key: string, flags: number, flight: Flight): void {
    const present = this.entries.get(key)
    if (present !== undefined && isAlive(present)) return
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

  /** The same for everything that may carry one of these tags. */
  detachTagged(tags: readonly string[]): void {
    for (const [key, { flight }] of this.entries) {
      if (flight.tags === undefined || flight.tags.some((tag) => tags.includes(tag))) this.entries.delete(key)
    }
  }
}
