// A load through the cache: what is fresh is answered; else one loader runs for everybody who asks, in this
// process and in others, and its result is kept unless something newer came meanwhile.

import type { Connection } from './connection.js'
import { LONGEST_MS, NO_EXPIRY } from './durations.js'
import { fillEntry, flightKey, getEntry, loadEntry, type Place, type Reader, type Terms, type Written } from './entries.js'
import { HoldfastError } from './errors.js'
import { FORCED, PLAIN, REFRESH, type Flight } from './flights.js'
import { FLAG_FORCE, FLAG_REFRESH, FLAG_SHARE, FLAG_STALE, FLAG_UNCOUNTED } from './generated/operations.js'
import { Found, Loading } from './inbox.js'
import { LEASE_MS, type Lease } from './leases.js'
import { Said, type LoadContext } from './load-context.js'
import type { Counts } from './tally.js'

/** What is loaded, and how. */
export interface Plan<Value> {
  readonly place: Place
  /** What it is counted in. */
  readonly counts: Counts
  readonly reader: Reader
  /** -1: the result never expires. */
  readonly ttlMs: number
  readonly jitterMs: number
  /** For how long the old value may serve when its time is over; 0: not at all. */
  readonly graceMs: number
  readonly graceBackoffMs: number
  /** After so long an old value serves. */
  readonly softTimeoutMs: number | null
  /** After so long nobody waits any more. */
  readonly hardTimeoutMs: number | null
  /** After so long another process' load is not waited for. */
  readonly lockTimeoutMs: number | null
  /** From this part of its freshness on a value is loaded anew beside. */
  readonly eagerRefresh: number | null
  readonly forceFresh: boolean
  /** The names of the markers. */
  readonly tags: readonly string[]
  /** The same for tags that the loader gives. */
  readonly namesOf: (tags: readonly string[]) => readonly string[]
  readonly load: (context: LoadContext<Value>) => Value | Promise<Value>
  readonly write: (value: unknown) => Written
  readonly operation: string
}

type Ended<Value> = { readonly value: Value } | { readonly error: unknown }

/** How often another process' load is looked after, ms. */
const FIRST_LOOK = 4
const LONGEST_LOOK = 50

const now = performance.now.bind(performance)

/** The value, or what the loader makes of its absence. */
export async function loadThrough<Value>(connection: Connection, plan: Plan<Value>): Promise<Value> {
  const { family, key, flags } = plan.place
  const name = flightKey(family, key)
  const { limits, flights } = connection
  if (!plan.forceFresh && plan.graceMs > 0 && limits.rests(name)) {
    const found = await oldValue(connection, plan)
    if (found !== null) return found.value as Value
  }
  const shared = (plan.forceFresh ? FORCED : PLAIN) + name
  const present = flights.find(shared, flags)
  if (present !== null) {
    plan.counts.coalesced++
    plan.counts.avoided(0)
    const { hardTimeoutMs } = plan
    // A load that ends as early gives all the same error.
    const isSooner = hardTimeoutMs !== null && now() + hardTimeoutMs < present.until
    return await outcome<Value>(plan, present, isSooner ? hardTimeoutMs : null)
  }
  const load = new Load(connection, plan, name, plan.forceFresh ? FLAG_FORCE : 0)
  flights.share(shared, flags, load.flight)
  return await outcome<Value>(plan, load.flight, null)
}

/** Loads anew what is still fresh, beside whoever goes on using it. */
export function refresh<Value>(connection: Connection, plan: Plan<Value>): void {
  const { family, key, flags } = plan.place
  const name = flightKey(family, key)
  const shared = REFRESH + name
  if (connection.limits.rests(name) || connection.limits.lately(name) !== null) return
  if (connection.flights.find(shared, flags) !== null) return
  const load = new Load(connection, plan, name, FLAG_REFRESH | FLAG_UNCOUNTED)
  connection.flights.share(shared, flags, load.flight)
}

/** The stale value of a key whose loader is left alone for a while. */
async function oldValue<Value>(connection: Connection, plan: Plan<Value>): Promise<Found | null> {
  const { place, reader, operation } = plan
  const old = { ...place, flags: place.flags | FLAG_STALE }
  const found = await getEntry(connection.batch(operation), { ...reader, keeper: null }, old, operation)
  return found instanceof Found ? found : null
}

/** What a caller gets of a load, by his own terms. `hardMs`: that of somebody who joined another's load. */
async function outcome<Value>(plan: Plan<Value>, flight: Flight, hardMs: number | null): Promise<Value> {
  const { graceMs, softTimeoutMs } = plan
  const promise = flight.promise as Promise<Ended<Value>>
  const softens = graceMs > 0 && softTimeoutMs !== null
  let ended: Ended<Value> | null
  if (!softens && hardMs === null) ended = await promise
  else {
    const began = now()
    if (softens) await within(flight.looked, hardMs ?? Infinity)
    const left = hardMs === null ? Infinity : hardMs - (now() - began)
    ended = await within(promise, softens && flight.stale !== null ? Math.min(softTimeoutMs, left) : left)
  }
  if (ended !== null && 'value' in ended) return ended.value
  const { stale } = flight
  if (graceMs > 0 && stale !== null) {
    plan.counts.stale++
    return stale.value as Value
  }
  throw ended === null ? timeout(plan) : ended.error
}

/** What a promise gives within so long; else null. */
async function within<Value>(promise: Promise<Value>, ms: number): Promise<Value | null> {
  if (ms === Infinity) return await promise
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, ms, null)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

class Load<Value> {
  readonly flight: Flight
  private readonly began = now()
  private tellLooked = (): void => {}

  constructor(
    private readonly connection: Connection,
    private readonly plan: Plan<Value>,
    private readonly name: string,
    private readonly how: number,
  ) {
    const looked = new Promise<void>((resolve) => (this.tellLooked = resolve))
    const until = this.began + this.left(plan.hardTimeoutMs)
    this.flight = { stale: null, looked, until, promise: this.run().finally(this.tellLooked) }
    // Whoever waits hears of it; a refresh has nobody who waits.
    this.flight.promise.catch(() => {})
  }

  private async run(): Promise<Ended<Value>> {
    const { plan } = this
    let how = this.how
    let pause = FIRST_LOOK
    for (;;) {
      const answer = await this.look(how)
      if (answer instanceof Found) {
        if (plan.eagerRefresh !== null && isDue(answer, plan.eagerRefresh)) refresh(this.connection, plan)
        return { value: answer.value as Value }
      }
      const loading = answer instanceof Loading ? answer : new Loading(0, false, null, '', null)
      this.flight.stale = loading.stale
      this.tellLooked()
      if (loading.token !== null || loading.waitMs === 0) return await this.lead(loading)
      // Another process loads already.
      if ((how & FLAG_REFRESH) !== 0) return { value: undefined as Value }
      if (plan.graceMs > 0 && loading.stale !== null) {
        plan.counts.stale++
        return { value: loading.stale.value as Value }
      }
      const left = this.left(plan.hardTimeoutMs)
      if (left <= 0) return { error: timeout(plan) }
      const patience = this.left(plan.lockTimeoutMs)
      if (patience <= 0) how |= FLAG_SHARE
      else await sleep(Math.min(loading.waitMs, pause, patience, left))
      pause = Math.min(pause * 2, LONGEST_LOOK)
      how |= FLAG_UNCOUNTED
    }
  }

  private look(how: number): Promise<unknown> {
    const { place, reader, operation } = this.plan
    const asked = { ...place, flags: place.flags | how }
    return loadEntry(this.connection.batch(operation), reader, asked, LEASE_MS, this.terms(null), operation)
  }

  /** Runs the loader, and keeps what it brings. */
  private async lead(loading: Loading): Promise<Ended<Value>> {
    const { connection, plan, name } = this
    const { limits, leases } = connection
    const controller = new AbortController()
    const said = new Said<Value>(controller.signal, loading.stale, plan.operation)
    const lease = loading.token === null ? null : leases.hold(plan.place, loading.token)
    const lately = plan.forceFresh ? null : limits.lately(name)
    if (lately !== null) {
      if (lease !== null) leases.giveBack(lease)
      return { error: lately.error }
    }
    const began = now()
    plan.counts.loads++
    let value: Value
    try {
      value = await this.bounded(() => this.call(said, loading.degraded), controller)
    } catch (error) {
      if (lease !== null) leases.giveBack(lease)
      plan.counts.loadErrors++
      if (plan.graceMs > 0 && loading.stale !== null) limits.rest(name, plan.graceBackoffMs)
      else limits.failed(name, error)
      return { error }
    }
    limits.succeeded(name)
    if (lease !== null) await this.keep(lease, said, value, now() - began)
    return { value }
  }

  private async call(said: Said<Value>, degraded: boolean): Promise<Value> {
    const { plan, connection } = this
    return degraded ? await connection.limits.whileDegraded(() => plan.load(said)) : await plan.load(said)
  }

  private async bounded(call: () => Promise<Value>, controller: AbortController): Promise<Value> {
    const left = this.left(this.plan.hardTimeoutMs)
    if (left === Infinity) return await call()
    const running = call().then((value): Ended<Value> => ({ value }))
    // It may fail later, when nobody listens any more.
    running.catch(() => {})
    const ended = left > 0 ? await within(running, left) : null
    if (ended !== null) return (ended as { value: Value }).value
    const error = timeout(this.plan)
    controller.abort(error)
    throw error
  }

  private async keep(lease: Lease, said: Said<Value>, value: Value, loadMs: number): Promise<void> {
    const { connection, plan } = this
    if (value === undefined || said.skipped) return connection.leases.giveBack(lease)
    let written: Written
    try {
      written = plan.write(value)
    } catch (error) {
      connection.leases.giveBack(lease)
      throw error
    }
    connection.leases.end(lease)
    try {
      const batch = connection.batch(plan.operation)
      await fillEntry(batch, plan.place, lease.token, written, this.terms(said), loadMs, plan.operation)
    } catch {
      // The caller has his value. That it was not kept (too large, closed meanwhile) shows in the statistics.
    }
  }

  private terms(said: Said<Value> | null): Terms {
    const { plan } = this
    const lasts = said?.ttlMs ?? plan.ttlMs
    const tags = said?.tags == null ? plan.tags : plan.namesOf(said.tags)
    return termsOf(lasts, said === null ? 0 : plan.jitterMs, plan.graceMs, tags)
  }

  /** What is left of a time that began with this load. */
  private left(ms: number | null): number {
    return ms === null ? Infinity : ms - (now() - this.began)
  }
}

function timeout<Value>({ hardTimeoutMs, operation }: Plan<Value>): HoldfastError {
  const message = `the loader did not end within ${hardTimeoutMs} ms (hardTimeoutMs)`
  return new HoldfastError({ code: 'E_TIMEOUT', message, retryable: true, operation })
}

/** How long a value is fresh, and how long it is there. */
export function termsOf(ttlMs: number, jitterMs: number, graceMs: number, tags: readonly string[]): Terms {
  if (ttlMs < 0) return { ttlMs: NO_EXPIRY, freshMs: NO_EXPIRY, tags }
  const freshMs = ttlMs + (jitterMs > 0 ? Math.random() * jitterMs : 0)
  // What a loader says of its lifetime may leave no room for all of the grace.
  return { ttlMs: Math.min(freshMs + graceMs, LONGEST_MS), freshMs: graceMs > 0 ? freshMs : NO_EXPIRY, tags }
}

function isDue({ ageMs, freshMs, ttlMs }: Found, fraction: number): boolean {
  const left = freshMs ?? ttlMs
  return left !== null && ageMs >= fraction * (ageMs + left)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(1, ms)))
}
