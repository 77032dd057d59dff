// One load for everybody in this process who asks for the same key at the same time.
//
// A flight is detached when its key is deleted, set or cleared: whoever asks from then on starts a new
// one, so nobody is served what was loaded before a delete that he saw return.

interface Flight<Value> {
  /** Callers with other flags (memory allowed or not) get a load of their own. */
  readonly flags: number
  promise: Promise<Value>
}

export class SingleFlight {
  private readonly flights = new Map<string, Flight<unknown>>()

  /** The load under way for this key, or the one that `work` starts. Every caller gets its outcome. */
  run<Value>(key: string, flags: number, work: () => Promise<Value>): Promise<Value> {
    const present = this.flights.get(key)
    if (present !== undefined) return present.flags === flags ? (present.promise as Promise<Value>) : work()
    const flight: Flight<unknown> = { flags, promise: pending }
    this.flights.set(key, flight)
    const promise = this.watch(key, flight, work)
    flight.promise = promise
    return promise
  }

  /** From now on callers start anew for this key. */
  detach(key: string): void {
    if (this.flights.size > 0) this.flights.delete(key)
  }

  /** The same for every key that begins so. */
  detachAll(prefix: string): void {
    for (const key of this.flights.keys()) if (key.startsWith(prefix)) this.flights.delete(key)
  }

  private async watch<Value>(key: string, flight: Flight<unknown>, work: () => Promise<Value>): Promise<Value> {
    try {
      return await work()
    } finally {
      if (this.flights.get(key) === flight) this.flights.delete(key)
    }
  }
}

/** Stands in until the flight's own promise exists, which is before anybody can ask. */
const pending = new Promise<never>(() => {})
