// A load through the cache: what is fresh is answered; else one loader runs for everybody who asks, in this
// process and in others, and its result is kept unless something newer came meanwhile.

import type { Connection } from './connection.js'
import { Remembering, copyOf, isCustom } from './copies.js'
import { LONGEST_MS, NO_EXPIRY } from './durations.js'
import { fillEntry, flightKey, getEntry, loadEntry, type Place, type Reader, type Terms, type Written } from './entries.js'
import { HoldfastError } from './errors.js'
import { FORCED, PLAIN, REFRESH, type Flight } from './flights.js'
import { FLAG_FORCE, FLAG_REFRESH, FLAG_SHARE, FLAG_STALE, FLAG_UNCOUNTED } from './generated/operations.js'
import { Found, Loading } from './inbox.js'
import { LEASE_MS, type Lease } from './leases.js'
import { Link, asLoader, endOf, loaderHere, waitingFor, waitsForItself } from './load-chain.js'
import { Said, type LoadContext } from './load-context.js'
import { Room } from './load-limits.js'
import type { Counts } from './tally.js'
import { now, sleep, within } from './timing.js'

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
  /** The room of its loader in an outage, where it shares one with other loads. */
  readonly room?: Room
  /** Hears when it is known whether there is a value. */
  readonly looking?: (looked: Promise<void>) => void
  /** Hears how it ended for this caller; null: he waited no longer. */
  readonly ended?: (how: Ended | null) => void
  readonly operation: string
}

/** How a load ended: something was there; its loader brought something; another process loads it; or it failed. */
export type Ended =
  | {
      readonly found: Found
      /** Whether nobody had to be waited for. */
      readonly isHit: boolean
    }
  | { readonly value: unknown; readonly kept: boolean }
  | { readonly isElsewhere: true }
  | { readonly error: unknown }

/** A load under way. */
interface LoadFlight extends Flight {
  readonly promise: Promise<Ended>
  /** As other loaders wait for it. */
  readonly link: Link
  /** How many wait besides who began it. */
  joined: number
  /** What its loader brought, while that is being written. */
  brought: Ended | null
  /** Whether it waits for another process that loads. */
  waitsElsewhere: boolean
}

/** How often another process' load is looked after, ms. */
const FIRST_LOOK = 4
const LONGEST_LOOK = 50

/** The value, or what the loader makes of its absence. */
export async function loadThrough<Value>(connection: Connection, plan: Plan<Value>): Promise<Value> {
  const { family, key, flags } = plan.place
  const name = flightKey(family, key)
  const { limits, flights } = connection
  let isCounted = false
  if (!plan.forceFresh && plan.graceMs > 0 && limits.rests(name)) {
    const found = await oldValue(connection, plan)
    if (found instanceof Found) {
      plan.counts.avoided(found.loadMs)
      return found.value as Value
    }
    isCounted = found === 'missing'
  }
  const shared = (plan.forceFresh ? FORCED : PLAIN) + name
  const loader = loaderHere()
  const under = flights.find(shared, flags) as LoadFlight | null
  // Those who wait for another process saw something old. Whether that is still there takes a look of one's own.
  const mayBeServed = under !== null && plan.graceMs > 0 && under.waitsElsewhere && under.stale !== null
  const present = mayBeServed ? null : under
  const how = (plan.forceFresh ? FLAG_FORCE : 0) | (isCounted ? FLAG_UNCOUNTED : 0)
  const flight = present ?? new Load(connection, plan, name, how).flight
  if (present === null) flights.share(shared, flags, flight)
  else present.joined++
  plan.looking?.(flight.looked)
  if (loader !== null && flight.link.reaches(loader)) {
    return settled<Value>(plan, flight, { error: waitsForItself(plan.operation) })
  }
  const { hardTimeoutMs } = plan
  // A load that ends as early gives all the same error.
  const isSooner = hardTimeoutMs !== null && present !== null && now() + hardTimeoutMs < present.until
  const isJoined = present !== null && !isCounted
  const wait = () => outcome<Value>(connection, plan, flight, isSooner ? hardTimeoutMs : null, isJoined)
  return await (loader === null ? wait() : waitingFor(loader, flight.link, wait))
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

/** The stale value of a key whose loader is left alone for a while; null: what is there can't be read. */
async function oldValue<Value>(connection: Connection, plan: Plan<Value>): Promise<Found | 'missing' | null> {
  const { place, reader, operation } = plan
  const old = { ...place, flags: place.flags | FLAG_STALE }
  try {
    const found = await getEntry(connection.batch(operation), { ...reader, keeper: null }, old, operation)
    return found instanceof Found ? found : 'missing'
  } catch (error) {
    if (isUnreadable(error)) return null
    throw error
  }
}

function isUnreadable(error: unknown): error is HoldfastError {
  return HoldfastError.isInstance(error) && error.code === 'E_DATA'
}

/**
 * What a caller gets of a load, by his own terms. `hardMs`: after so long he waits no longer. `isJoined`: he is to be
 * counted as one who shares it.
 */
async function outcome<Value>(
  connection: Connection,
  plan: Plan<Value>,
  flight: LoadFlight,
  hardMs: number | null,
  isJoined: boolean,
): Promise<Value> {
  const softMs = plan.graceMs > 0 ? plan.softTimeoutMs : null
  const began = now()
  if (softMs !== null || (plan.graceMs > 0 && flight.joined > 0)) await within(flight.looked, hardMs ?? Infinity)
  const hasOld = plan.graceMs > 0 && flight.stale !== null
  const ms = Math.min(hasOld ? (softMs ?? Infinity) : Infinity, hardMs ?? Infinity)
  let ended: Ended | null
  // Whoever began it may take no old value, and waits on; the look is just over.
  if (hasOld && flight.waitsElsewhere) ended = { isElsewhere: true }
  else if (ms === Infinity) ended = await flight.promise
  else ended = (await within(flight.promise, ms - (now() - began))) ?? flight.brought
  // An old value did for who began it, not for this one.
  if (ended !== null && 'isElsewhere' in ended && plan.graceMs === 0) return await loadThrough(connection, plan)
  if (isJoined) count(plan.counts, ended)
  return settled<Value>(plan, flight, ended)
}

/** Counts a caller who shared an answer. */
function count(counts: Counts, ended: Ended | null): void {
  if (ended !== null && 'found' in ended && ended.isHit) {
    counts.hit()
    counts.avoided(ended.found.loadMs)
  } else {
    counts.coalesced++
    counts.avoided(0)
  }
}

/** The value that a caller gets. */
function settled<Value>(plan: Plan<Value>, flight: LoadFlight, ended: Ended | null): Value {
  plan.ended?.(ended)
  if (ended !== null && 'value' in ended) return ended.value as Value
  if (ended !== null && 'found' in ended) return given<Value>(ended.found, flight)
  const { stale } = flight
  if (plan.graceMs > 0 && stale !== null) {
    plan.counts.stale++
    return copyOf(stale) as Value
  }
  throw ended !== null && 'error' in ended ? ended.error : timeout(plan)
}

/** What was found. Where several get it, each gets a value of his own, whatever the first does with his. */
function given<Value>(found: Found, flight: LoadFlight): Value {
  return (flight.joined > 0 ? copyOf(found) : found.value) as Value
}

class Load<Value> {
  readonly flight: LoadFlight
  private readonly link = new Link(loaderHere()?.room)
  private readonly began = now()
  private readonly reader: Reader
  private tellLooked = (): void => {}
  private lateness: HoldfastError | null = null

  constructor(
    private readonly connection: Connection,
    private readonly plan: Plan<Value>,
    private readonly name: string,
    private readonly how: number,
  ) {
    const { reader, hardTimeoutMs, tags } = plan
    const { serializer } = reader
    this.reader = isCustom(serializer) ? { ...reader, serializer: new Remembering(serializer) } : reader
    const looked = new Promise<void>((resolve) => (this.tellLooked = resolve))
    const running = this.run().finally(this.tellLooked)
    this.flight = {
      promise: hardTimeoutMs === null ? running : this.inTime(running, hardTimeoutMs),
      tags,
      link: this.link,
      joined: 0,
      brought: null,
      waitsElsewhere: false,
      stale: null,
      looked,
      until: this.began + this.left(hardTimeoutMs),
    }
    // Whoever waits hears of it; a refresh has nobody who waits.
    this.flight.promise.catch(() => {})
  }

  /** Nobody waits any longer than that, also where Redis is what takes so long; what was begun goes on. */
  private async inTime(running: Promise<Ended>, ms: number): Promise<Ended> {
    const ended = (await within(running, ms)) ?? this.flight.brought
    // Nor for what is there.
    this.tellLooked()
    if (ended !== null) return ended
    const { connection, plan, name, flight } = this
    if (plan.graceMs > 0 && flight.stale !== null) connection.limits.rest(name, plan.graceBackoffMs)
    return { error: this.late() }
  }

  private async run(): Promise<Ended> {
    const { plan } = this
    let how = this.how
    let hasWaited = false
    let pause = FIRST_LOOK
    for (;;) {
      const answer = await this.seen(how)
      if (answer instanceof Found) {
        if (plan.eagerRefresh !== null && isDue(answer, plan.eagerRefresh)) refresh(this.connection, plan)
        return { found: answer, isHit: !hasWaited }
      }
      const loading = answer instanceof Loading ? answer : new Loading(0, false, null, '', null)
      const isLeading = loading.token !== null || loading.waitMs === 0
      this.flight.stale = loading.stale
      this.flight.waitsElsewhere = !isLeading
      this.tellLooked()
      if (isLeading) return await this.lead(loading)
      // Another process loads already.
      if ((how & FLAG_REFRESH) !== 0) return { value: undefined, kept: false }
      if (plan.graceMs > 0 && loading.stale !== null) return { isElsewhere: true }
      const left = this.left(plan.hardTimeoutMs)
      if (left <= 0) return { error: this.late() }
      const patience = this.left(plan.lockTimeoutMs)
      if (patience <= 0) how |= FLAG_SHARE
      else await sleep(Math.min(loading.waitMs, pause, patience, left))
      pause = Math.min(pause * 2, LONGEST_LOOK)
      how |= FLAG_UNCOUNTED
      hasWaited = true
    }
  }

  /** What is there. What can't be read counts as nothing, and is loaded anew whatever stands there. */
  private async seen(how: number): Promise<unknown> {
    try {
      return await this.look(how)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      this.connection.limits.tellOnce(error.message)
      return await this.look(how | FLAG_FORCE)
    }
  }

  private async look(how: number): Promise<unknown> {
    const { place, operation } = this.plan
    const { reader } = this
    const asked = { ...place, flags: place.flags | how }
    const batch = this.connection.batch(operation)
    const answer = await loadEntry(batch, reader, asked, LEASE_MS, this.terms(null), operation)
    const { serializer } = reader
    if (serializer instanceof Remembering) serializer.read(answer instanceof Loading ? answer.stale : (answer as Found | null))
    return answer
  }

  /** Runs the loader, and keeps what it brings. */
  private async lead(loading: Loading): Promise<Ended> {
    const { connection, plan, name, link } = this
    const { limits, leases } = connection
    const lease = loading.token === null ? null : leases.hold(plan.place, loading.token)
    const lately = plan.forceFresh ? null : limits.lately(name)
    if (lately !== null) {
      if (lease !== null) leases.giveBack(lease)
      return { error: lately.error }
    }
    // One that is called by another has its room already.
    const room = loading.degraded && link.room !== limits ? (plan.room ?? new Room(limits)) : null
    if (room !== null && !(await room.enter(this.left(plan.hardTimeoutMs)))) {
      if (lease !== null) leases.giveBack(lease)
      return { error: this.late() }
    }
    if (room !== null) link.room = limits
    const controller = new AbortController()
    const said = new Said<Value>(controller.signal, loading.stale, plan.operation)
    const began = now()
    plan.counts.loads++
    let value: Value
    try {
      value = await this.call(said, controller)
    } catch (error) {
      if (lease !== null) leases.giveBack(lease)
      plan.counts.loadErrors++
      if (plan.graceMs > 0 && loading.stale !== null) limits.rest(name, plan.graceBackoffMs)
      else limits.failed(name, error)
      return { error }
    } finally {
      room?.leave()
    }
    limits.succeeded(name)
    const kept = lease !== null && (await this.keep(lease, said, value, now() - began))
    return { value, kept }
  }

  /** What the loader brings. Its time begins here: it is not to blame for what came before. */
  private async call(said: Said<Value>, controller: AbortController): Promise<Value> {
    const { plan, link } = this
    try {
      if (plan.hardTimeoutMs === null) return await asLoader(link, () => plan.load(said))
      const running = asLoader(link, async () => ({ value: await plan.load(said) }))
      // It may fail later, when nobody listens any more.
      running.catch(() => {})
      const ended = await within(running, plan.hardTimeoutMs)
      if (ended !== null) return ended.value
      const error = this.late()
      controller.abort(error)
      throw error
    } finally {
      endOf(link)
    }
  }

  /** Answers whether it was kept. */
  private async keep(lease: Lease, said: Said<Value>, value: Value, loadMs: number): Promise<boolean> {
    const { connection, plan } = this
    if (value === undefined || said.skipped) {
      connection.leases.giveBack(lease)
      return false
    }
    let written: Written
    try {
      written = plan.write(value)
    } catch (error) {
      connection.leases.giveBack(lease)
      throw error
    }
    this.flight.brought = { value, kept: false }
    connection.leases.end(lease)
    try {
      const batch = connection.batch(plan.operation)
      const kept = await fillEntry(batch, plan.place, lease.token, written, this.terms(said), loadMs, plan.operation)
      return kept === true
    } catch {
      // The caller has his value. That it was not kept (too large, closed meanwhile) shows in the statistics.
      connection.leases.giveBack(lease)
      return false
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

  /** The error of a time that is over: one for all who wait, and for the loader. */
  private late(): HoldfastError {
    return (this.lateness ??= timeout(this.plan))
  }
}

function timeout<Value>({ hardTimeoutMs, operation }: Plan<Value>): HoldfastError {
  const message = `there was no value within ${hardTimeoutMs} ms (hardTimeoutMs)`
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
