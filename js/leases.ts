// The rights to load that this process holds: renewed while their loaders run, so that others wait for a long
// load and don't wait long for a process that was killed.

import type { Batch } from './batch.js'
import { holdLease, type Place } from './entries.js'
import { FLAG_UNCOUNTED } from './generated/operations.js'
import { every, now } from './timing.js'

/** For how long others leave a load to its process. */
export const LEASE_MS = 10_000
const RENEW_MS = 3_000
const OPERATION = 'cacheManager.getOrSet'

/** A right to load. */
export interface Lease {
  readonly place: Place
  readonly token: string
  /** When it was last seen that the load goes on; at first when it began. */
  aliveAt: number
  readonly since: number
}

export class Leases {
  private readonly held = new Set<Lease>()
  private timer: NodeJS.Timeout | null = null

  /** `longestMs`: a load that shows nothing for longer is left to whoever wants it. */
  constructor(
    private readonly batch: () => Batch,
    private readonly longestMs: number,
  ) {}

  hold(place: Place, token: string): Lease {
    const lease: Lease = { place: { ...place, flags: place.flags | FLAG_UNCOUNTED }, token, since: now(), aliveAt: now() }
    this.held.add(lease)
    if (this.timer === null) {
      this.timer = every(this.renew, RENEW_MS)
      this.timer.unref()
    }
    return lease
  }

  /** The load shows that it goes on. */
  goesOn(lease: Lease): void {
    lease.aliveAt = now()
  }

  /** The load ended; what it brought is written with the lease. */
  end(lease: Lease): void {
    this.held.delete(lease)
    if (this.held.size > 0 || this.timer === null) return
    clearInterval(this.timer)
    this.timer = null
  }

  /** The load brought nothing to write: others need not wait. */
  giveBack(lease: Lease): void {
    this.end(lease)
    this.send(lease, 0)
  }

  private readonly renew = (): void => {
    const at = now()
    for (const lease of this.held) {
      if (at - lease.aliveAt > this.longestMs) this.held.delete(lease)
      else if (at - lease.since >= RENEW_MS) this.send(lease, LEASE_MS)
    }
  }

  private send({ place, token }: Lease, leaseMs: number): void {
    try {
      // A lease that is lost only means that others load, too.
      holdLease(this.batch(), place, token, leaseMs, OPERATION).catch(() => {})
    } catch {
      // The instance was closed meanwhile.
    }
  }
}
