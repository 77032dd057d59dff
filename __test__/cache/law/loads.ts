// Loads as the law plays them: each waits at a gate, so that anything can be called while it runs.
//
// Where a load stands is decided by the law's own idea of leases and flights, and compared with what is observed:
// whether its loader was called, and what its callers got.
import { answered, isSame, newRun, said, type Caller, type Context, type Flight, type Outcome, type Plan, type Run } from './flight'
import { isTooLarge, text, type Player } from './player'
import type { Core, Spot } from './scene'
import type { Entry, Lease } from './world'

export class Loads {
  readonly flights: Flight[] = []
  private mishap: string | null = null

  constructor(private readonly player: Player) {}

  running(): Flight[] {
    return this.flights.filter(({ state }) => state === 'running')
  }

  /** Whether somebody waits for another's load of this key. */
  isAwaited(key: string): boolean {
    return this.flights.some((flight) => flight.state === 'waiting' && flight.spot.key === key)
  }

  /** Callers ask at once. The load, if one runs now that nobody but they began. */
  async begin(core: Core, spot: Spot, wanted: Plan): Promise<Flight | null> {
    const { player } = this
    await player.untilTold(core)
    const plan = this.sensible(core, spot, wanted)
    const { how, graces, isForced, ending, isSoft, isImpatient, tags } = plan
    const name = `${isForced ? '!' : ''}${spot.key}`
    const under = core.flights.get(name)
    if (under?.isLoose === true || (under?.flags !== JSON.stringify(plan.how) && this.mayBeServed(spot, plan))) return null
    const said = { ...how, graces, isForced, isSoft, isImpatient, tags, ending }
    player.note(core, `getOrSet ${spot.key} = ${text(plan.value)} ${JSON.stringify(said)}`)
    player.calls += graces.length - 1
    if (await this.rests(core, spot, plan)) return null
    const world = player.worldOf(core, how)
    const begun: Flight[] = []
    const atOnce: { caller: Caller; flight: Flight }[] = []
    for (const hasGrace of graces) {
      const present = core.flights.get(name)
      const joined = present !== undefined && present.flags === JSON.stringify(how) ? present : null
      // Who waits for another process runs his own loader in the end, if the one who came before him was served.
      const run = joined === null ? newRun(spot, plan) : joined.state === 'waiting' && begun.includes(joined) ? joined.run : null
      const { caller, crossed } = this.call(core, spot, plan, hasGrace, run)
      const flight = joined ?? this.look(core, spot, plan, hasGrace, run as Run, crossed)
      flight.callers.push(caller)
      if (joined !== null) this.join(joined, caller)
      else {
        begun.push(flight)
        // A text at hand is no load that somebody could join.
        if (present === undefined && crossed > 0) core.flights.set(name, flight)
      }
      if (flight.state === 'waiting') flight.old = world.entry(spot.key)
      const isServed = flight.old !== null && hasGrace && (flight.state === 'waiting' || (isSoft && flight.state === 'running'))
      if (isServed) atOnce.push({ caller, flight })
    }
    for (const flight of begun) await this.arrive(flight)
    for (const { caller, flight } of atOnce) await this.serve(flight, caller)
    for (const flight of begun.filter(({ state }) => state === 'waiting')) {
      const [first] = flight.callers
      if (first === undefined) {
        this.end(flight)
        continue
      }
      flight.hasGrace = first.hasGrace
      // Each look takes up to three questions; what is asked behind them comes after them.
      for (let time = 0; time < 3; time++) await core.cache(spot.place).exists(spot.name, { ...spot.place.options, ...how })
    }
    return begun.find(({ state }) => state === 'running') ?? null
  }

  /**
   * Whether somebody who waits for another load may be served an old value in the end, if he or one who waits as well
   * takes one: whoever looks first loads, and who that is is chance.
   */
  private mayBeServed({ key }: Spot, { graces }: Plan): boolean {
    const awaited = this.flights.filter(({ state, spot }) => state === 'waiting' && spot.key === key)
    return awaited.length > 0 && (graces[0] === true || awaited.some(({ hasGrace }) => hasGrace))
  }

  /** What can be told apart without a clock. */
  private sensible(core: Core, { key }: Spot, plan: Plan): Plan {
    const world = this.player.worldOf(core, plan.how)
    let { ending, graces, how } = plan
    // From the sixth failure on a loader is left alone for a moment.
    if ((core.failures.get(key) ?? 0) >= 2 && (ending === 'throw' || ending === 'fail')) ending = 'value'
    // Who is impatient, and was not served with the others, would load beside.
    if (plan.isImpatient) graces = graces.map(() => graces[0] === true)
    const entry = world.entry(key)
    // Nobody says whether it rests.
    if (core.mayRest.has(key)) graces = graces.map(() => false)
    // The old value of a key that rests is asked for by each caller, before he may join a load.
    else if (core.resting.has(key)) graces = [graces[0] === true && (entry !== null || !core.flights.has(key))]
    // A text at hand and a load that was joined look alike from outside.
    const isFound = entry !== null && !entry.isStale && !plan.isForced
    if (isFound && graces.length > 1 && how.l1Only !== true) how = { skipL1: true }
    return { ...plan, ending, graces, how }
  }

  /** The old value of a key whose loader is left alone. */
  private async rests(core: Core, spot: Spot, plan: Plan): Promise<boolean> {
    const { player } = this
    const { key, place } = spot
    const entry = player.worldOf(core, plan.how).entry(key)
    if (plan.isForced || plan.graces[0] !== true || !core.resting.has(key) || entry === null) return false
    for (const _ of plan.graces) {
      const { caller, crossed } = this.call(core, spot, plan, true, null)
      core.books?.hit(place.owner, player.layer(core, plan.how, crossed), entry.isStale)
      core.books?.add(place.owner, 'loadsAvoided')
      const outcome = await answered(`the old value of ${key}, which rests`, caller.outcome)
      player.expect('value' in outcome && outcome.value === entry.value, () => `${key} rests, and answered ${said(outcome)}`)
    }
    return true
  }

  /** `run`: what becomes of the loader; null: it may not run. */
  private call(core: Core, spot: Spot, plan: Plan, hasGrace: boolean, run: Run | null): { caller: Caller; crossed: number } {
    const { how, tags, isSoft, isForced, isImpatient, ending, value } = plan
    const loader = async (context: Context): Promise<unknown> => {
      if (run === null) {
        this.mishap = `a loader of ${spot.key} ran for somebody who had no load to begin`
        return undefined
      }
      run.called.push({ told: context.stale === null ? null : { value: context.stale.value } })
      run.begun.open()
      await run.isOpen.opened
      if (ending === 'throw') throw run.error
      if (ending === 'fail') context.fail(run.error)
      if (ending === 'skip') context.skip()
      if (ending === 'tags') context.setTags(this.player.tags)
      return ending === 'nothing' ? undefined : value
    }
    const options = {
      ...spot.place.options,
      ...how,
      tags,
      graceBackoff: 86_400,
      ...(hasGrace ? { grace: 3600 } : {}),
      ...(isSoft ? { softTimeoutMs: 0 } : {}),
      ...(isForced ? { forceFresh: true } : {}),
      ...(isImpatient ? { lockTimeoutMs: 0 } : {}),
    }
    const mayBeHot = isForced ? { skipL1: true as const } : how
    const { answer, crossed } = core.crossing(() => core.cache(spot.place).getOrSet(spot.name, loader, options), mayBeHot)
    const outcome = answer.then(
      (got): Outcome => ({ value: got }),
      (reason: unknown): Outcome => ({ error: reason }),
    )
    return { caller: { hasGrace, outcome, besides: null }, crossed }
  }

  /** Somebody shares what is under way. */
  private join({ core, spot, world, plan, state }: Flight, caller: Caller): void {
    const { books } = core
    const { owner } = spot.place
    const entry = world.entry(spot.key)
    // Another process has written it meanwhile: a text of that may be at hand.
    if (entry !== null && !entry.isStale && !plan.isForced) caller.besides = entry
    // Who shares the waiting for another process has had to wait, or has shared a load: nobody says which of it.
    if (state === 'waiting') return books?.add(owner, 'eitherWay')
    if (state === 'found') books?.hit(owner, 'hot', false)
    else books?.add(owner, 'coalesced')
    books?.add(owner, 'loadsAvoided')
  }

  /** Where a load stands that begins now. */
  private look(core: Core, spot: Spot, plan: Plan, hasGrace: boolean, run: Run, crossed: number): Flight {
    const { books } = core
    const { owner } = spot.place
    const world = this.player.worldOf(core, plan.how)
    const old = world.entry(spot.key)
    const flight: Flight = {
      ...{ core, spot, world, name: `${plan.isForced ? '!' : ''}${spot.key}`, flags: JSON.stringify(plan.how), plan, run, hasGrace },
      ...{ callers: [], state: 'waiting', lease: null, since: 0, isDoubtful: false, isLoose: false, old },
    }
    this.flights.push(flight)
    if (old !== null && !old.isStale && !plan.isForced) {
      flight.state = 'found'
      books?.hit(owner, this.player.layer(core, plan.how, crossed), false)
      books?.add(owner, 'loadsAvoided')
      return flight
    }
    books?.add(owner, 'misses')
    const held = world.leases.get(spot.key)
    if (held === undefined) this.start(flight, { by: text(plan.value) })
    else if (plan.isForced || (plan.isImpatient && !(hasGrace && old !== null))) this.start(flight, held)
    return flight
  }

  private start(flight: Flight, lease: Lease): void {
    const { core, spot, world } = flight
    flight.state = 'running'
    flight.lease = lease
    flight.since = ++world.now
    world.leases.set(spot.key, lease)
    core.books?.add(spot.place.owner, 'loads')
  }

  /** `before`: what it may have found instead of what is there now. */
  private async arrive(flight: Flight, before: readonly (Entry | null)[] = []): Promise<void> {
    const { player } = this
    const { spot, callers, state, old } = flight
    if (state === 'found') {
      this.end(flight)
      for (const { outcome } of callers) {
        const got = await answered(`the value of ${spot.key}`, outcome)
        player.expect('value' in got && got.value === old?.value, () => `getOrSet of ${spot.key} answered ${said(got)}; there is ${text(old?.value)}`)
      }
      this.check()
    } else if (state === 'running') {
      const first = await answered(`a load of ${spot.key}`, Promise.race([flight.run.begun.opened, ...callers.map(({ outcome }) => outcome)]))
      player.expect(flight.run.called.length === 1, () => `getOrSet of ${spot.key} answered ${said(first as Outcome)} where it had to load`)
      const [{ told }] = flight.run.called as [{ told: { value: unknown } | null }]
      const fits = (entry: Entry | null): boolean => (told === null ? entry === null : entry !== null && told.value === entry.value)
      const found = [old, ...before].find(fits)
      player.expect(found !== undefined, () => `the loader of ${spot.key} is told of ${told === null ? 'nothing' : text(told.value)}; there is ${text(old?.value ?? null)}`)
      flight.old = found as Entry | null
    }
  }

  /** The old value, which a caller gets at once. */
  private async serve(flight: Flight, caller: Caller): Promise<void> {
    const { core, spot, callers, old } = flight
    callers.splice(callers.indexOf(caller), 1)
    core.books?.add(spot.place.owner, 'stale')
    const got = await answered(`the old value of ${spot.key}`, caller.outcome)
    this.player.expect('value' in got && got.value === old?.value, () => `${spot.key} answered ${said(got)}; old is ${text(old?.value)}`)
  }

  /** Lets a loader end, and looks at what became of it. */
  async finish(flight: Flight): Promise<void> {
    const { player } = this
    const { core, spot, world, plan, lease, hasGrace, old } = flight
    const { ending, value, tags, how } = plan
    const { owner, spaces } = spot.place
    player.trail.push(`  the load of ${text(value)} for ${spot.key} ends: ${ending}`)
    flight.run.isOpen.open()
    this.end(flight)
    const isFailed = ending === 'throw' || ending === 'fail'
    const gets: Outcome = isFailed ? { error: flight.run.error } : { value: ending === 'nothing' ? undefined : value }
    for (const caller of flight.callers) {
      const isServed = isFailed && caller.hasGrace && old !== null
      if (isServed) core.books?.add(owner, 'stale')
      const expected: Outcome = isServed ? { value: old.value } : gets
      const got = await answered(`the end of the load of ${spot.key}`, caller.outcome)
      const isOther = caller.besides !== null && 'value' in got && got.value === caller.besides.value
      player.expect(isOther || isSame(got, expected), () => `a caller of ${spot.key} got ${said(got)}; its load ends with ${said(expected)}`)
    }
    // Nobody may wait for what it writes any more, and nobody waits for it to give back its right to load.
    await player.untilSent(core, spot, how)
    this.check()
    const stands = world.leases.get(spot.key) === lease
    if (stands) world.leases.delete(spot.key)
    if (isFailed) {
      core.books?.add(owner, 'loadErrors')
      if (hasGrace && old !== null) core.resting.add(spot.key)
      else core.failures.set(spot.key, (core.failures.get(spot.key) ?? 0) + 1)
      return
    }
    core.failures.delete(spot.key)
    core.resting.delete(spot.key)
    if (ending === 'nothing' || ending === 'skip') return
    const carried = [...(ending === 'tags' ? player.tags : tags), ...spaces]
    if (how.l1Only !== true) core.own.set(spot.key, null)
    if (stands && isTooLarge(value) && !world.wasInvalidated(carried, flight.since)) {
      // Nothing came first: there is no room.
      core.books?.add(owner, 'errors')
      core.books?.add(owner, 'refused')
      return
    }
    const isKept = await this.isKept(flight, stands, carried)
    core.books?.add(owner, isKept ? 'sets' : 'fenced')
    if (!isKept) return
    world.fill(spot.key, { value, isStale: false, tags: carried })
    if (world === player.world) player.changed(core, spot.key)
  }

  private async isKept(flight: Flight, stands: boolean, tags: readonly string[]): Promise<boolean> {
    const { player } = this
    const { core, spot, world, plan } = flight
    if (!stands) return false
    if (world.wasInvalidated(tags, flight.since)) {
      // It is never read as fresh. Whether it lies there all the same is not said.
      if (world.entry(spot.key) === null) world.ghosts.add(spot.key)
      // Another process than the one that invalidated may write what is outdated by then, over what is older still.
      if (player.cores.some(({ own }) => own !== core.own)) {
        const isFresh = await this.adopt(flight, tags)
        player.expect(!isFresh, () => `${spot.key} holds what was loaded before its tags were invalidated`)
      }
      return false
    }
    // Of a tag that only the loader names the server may not know whether it was invalidated a moment ago: then nobody
    // promises that the value is kept.
    const isLate = plan.ending === 'tags' && core.store === 'redis' && plan.how.l1Only !== true
    return !isLate && !flight.isDoubtful ? true : await this.adopt(flight, tags)
  }

  /** Takes what is there for what has to be there. */
  private async adopt({ core, spot, world, plan }: Flight, tags: readonly string[]): Promise<boolean> {
    const { player } = this
    const past = plan.how.l1Only === true ? plan.how : { skipL1: true }
    const found = await core.cache(spot.place).getEntry(spot.name, { ...spot.place.options, ...past, allowStale: true })
    if (found === null) core.books?.add(spot.place.owner, 'misses')
    else core.books?.hit(spot.place.owner, found.source, found.stale)
    if (found !== null && found.value === plan.value) {
      if (!found.stale) return true
      world.fill(spot.key, { value: plan.value, isStale: true, tags })
    } else if (found === null) {
      world.remove((key) => key === spot.key)
      world.ghosts.add(spot.key)
    }
    if (world === player.world) player.changed(core, spot.key)
    return false
  }

  private end(flight: Flight): void {
    flight.state = 'over'
    if (flight.core.flights.get(flight.name) === flight) flight.core.flights.delete(flight.name)
    this.flights.splice(this.flights.indexOf(flight), 1)
  }

  private check(): void {
    this.player.expect(this.mishap === null, () => this.mishap as string)
  }

  /** Whoever waited for another load goes on, where that is over. `walked`: by a walk over the keys. */
  async goOn(walked = false): Promise<void> {
    const { player } = this
    for (;;) {
      const waiting = this.flights.filter(({ state }) => state === 'waiting')
      const free = waiting.filter(({ world, spot }) => !world.leases.has(spot.key))
      for (const { run, spot } of waiting) player.expect(run.called.length === 0 || free.length > 0, () => `${spot.key} is loaded twice`)
      const [one] = free
      if (one === undefined) return
      const { world, spot } = one
      const entry = world.entry(spot.key)
      const same = free.filter((flight) => flight.world === world && flight.spot.key === spot.key)
      if (entry !== null && !entry.isStale) {
        for (const flight of same) {
          flight.state = 'found'
          flight.old = entry
          await this.arrive(flight)
        }
        continue
      }
      // Whoever looks first.
      const settled = same.map(async (flight) => ((await Promise.race(flight.callers.map(({ outcome }) => outcome))), flight))
      const begun = same.map(async (flight) => (await flight.run.begun.opened, flight))
      const first = await answered(`somebody who loads ${spot.key}`, Promise.race([...begun, ...settled]))
      // It may have looked before the last change was through.
      const before = [first.old, ...world.since(spot.key, Math.max(0, world.version(spot.key) - 1))]
      first.isDoubtful = walked
      first.old = entry
      this.start(first, { by: text(first.plan.value) })
      await this.arrive(first, before)
    }
  }
}
