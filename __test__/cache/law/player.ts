// Plays calls on the cache and on the law's idea of it, and says where they differ: reads, writes and invalidations.
// Loads are in loads.ts.
import { turn } from '../../boundary/inside'
import type { Random } from '../../support/random'
import { waitFor } from '../../support/wait-for'
import type { Layer } from './books'
import { placesOf, spotsOf, type Core, type Place, type Spot } from './scene'
import { visible, World, type Entry, type Seen } from './world'

/** The law is broken. */
export class Broken extends Error {}

/** How a key is read. */
export interface How {
  readonly skipL1?: true
  readonly allowStale?: true
  readonly l1Only?: true
  readonly shared?: true
}

const GONE = 'nothing'
/** So large that it goes another way to the server. */
const LARGE = 70_000
/** More than a memory of 2 MB holds. */
const TOO_LARGE = 3_000_000
export const tooLarge = (): string => 'x'.repeat(TOO_LARGE)
export const isTooLarge = (value: unknown): boolean => typeof value === 'string' && value.length >= TOO_LARGE

export const text = (value: unknown): string =>
  typeof value === 'string' && value.length > 40 ? `${value.slice(0, 12)}… (${value.length})` : (JSON.stringify(value) ?? String(value))
const shown = (seen: Seen): string => (seen === null ? GONE : `${text(seen.value)}${seen.isStale ? ' (stale)' : ''}`)

export interface PlayerOptions {
  /** Whether values may be larger than all that memory holds. */
  isTight?: boolean
}

export class Player {
  readonly world = new World()
  readonly places: readonly Place[]
  readonly spots: readonly Spot[]
  readonly tags: readonly string[]
  /** What was called, in words. */
  readonly trail: string[] = []
  calls = 0
  private values = 0

  /** `name` is nobody else's in these stores. */
  constructor(
    readonly name: string,
    readonly cores: readonly Core[],
    readonly options: PlayerOptions = {},
  ) {
    this.places = placesOf(name)
    this.spots = spotsOf(name, this.places)
    this.tags = [`${name}red`, `${name}blue`]
  }

  note(core: Core, what: string): void {
    this.calls++
    const who = this.cores.length > 1 ? `${'AB'[this.cores.indexOf(core)]}: ` : core === this.cores[0] ? '' : 'elsewhere: '
    this.trail.push(who + what)
  }

  expect(holds: boolean, what: () => string): void {
    if (!holds) throw new Broken(what())
  }

  /** A value that no other write has. */
  value(random: Random): unknown {
    const next = ++this.values
    if (random.isLucky(4)) return null
    return random.isLucky(2) ? `${next} ${'x'.repeat(LARGE)}` : next
  }

  someTags(random: Random): string[] {
    return random.pick([[], [], [this.tags[0]], [this.tags[1]], this.tags]) as string[]
  }

  /** Now and then, where memory keeps it and has no room for everything. */
  isTooLarge({ store }: Core, how: How, random: Random): boolean {
    return this.options.isTight === true && (how.l1Only === true || store === 'memory') && random.below(200) === 0
  }

  /** A tag whose marker is made anew on the server takes what one process keeps for itself: that may go at any time. */
  tagsFor({ store }: Core, how: How, random: Random): string[] {
    return how.l1Only === true && store === 'redis' ? [] : this.someTags(random)
  }

  worldOf(core: Core, how: How): World {
    return how.l1Only === true ? core.own : this.world
  }

  /** Own changes are seen at once; of others' changes it is known that this one came after them. */
  changed(core: Core, key: string): void {
    core.told.set(key, this.world.version(key))
  }

  /** What may be read: what is there, or where copies answer what was there until others' word has arrived. */
  private candidates(core: Core, { key }: Spot, how: How): (Entry | null)[] {
    const world = this.worldOf(core, how)
    if (core.seesAtOnce || world !== this.world || how.skipL1 === true) return [world.entry(key)]
    return world.since(key, core.told.get(key) ?? 0)
  }

  /** What was read is one of these, and nothing older is read from now on. */
  private settle(core: Core, spot: Spot, how: How, from: readonly (Entry | null)[], version: number, fits: (seen: Seen) => boolean, got: string): void {
    const at = from.findIndex((entry) => fits(visible(entry, how.allowStale === true)))
    this.expect(at >= 0, () => {
      const allowed = from.map((entry) => shown(visible(entry, how.allowStale === true)))
      return `${spot.key} with ${JSON.stringify(how)} answered ${got}; allowed: ${allowed.join(', ')}`
    })
    if (this.worldOf(core, how) !== this.world) return
    const first = version - from.length + 1
    core.told.set(spot.key, Math.max(core.told.get(spot.key) ?? 0, first + at))
  }

  layer(core: Core, how: How, crossed: number): Layer {
    if (how.l1Only === true) return 'memory'
    if (crossed === 0) return 'hot'
    if (core.store === 'memory') return 'memory'
    return how.skipL1 === true || !core.hasCopies ? 'redis' : 'behind'
  }

  private countRead(core: Core, { place, key }: Spot, how: How, layer: Layer): void {
    const seen = visible(this.worldOf(core, how).entry(key), how.allowStale === true)
    if (seen === null) core.books?.add(place.owner, 'misses')
    else core.books?.hit(place.owner, layer, seen.isStale)
  }

  async get(core: Core, spot: Spot, how: How): Promise<void> {
    this.note(core, `get ${spot.key} ${JSON.stringify(how)}`)
    const [from, version] = [this.candidates(core, spot, how), this.world.version(spot.key)]
    const call = () => core.cache(spot.place).get(spot.name, { ...spot.place.options, ...how })
    const { answer, crossed } = core.crossing(call, how)
    this.countRead(core, spot, how, this.layer(core, how, crossed))
    const value = await answer
    this.settle(core, spot, how, from, version, (seen) => (seen?.value ?? null) === value, text(value))
  }

  async getEntry(core: Core, spot: Spot, how: How): Promise<void> {
    this.note(core, `getEntry ${spot.key} ${JSON.stringify(how)}`)
    const [from, version] = [this.candidates(core, spot, how), this.world.version(spot.key)]
    const stood = visible(this.worldOf(core, how).entry(spot.key), how.allowStale === true)
    const entry = await core.cache(spot.place).getEntry(spot.name, { ...spot.place.options, ...how })
    const fits = (seen: Seen): boolean =>
      entry === null ? seen === null : seen !== null && seen.value === entry.value && seen.isStale === entry.stale
    this.settle(core, spot, how, from, version, fits, entry === null ? GONE : `${text(entry.value)}, stale: ${entry.stale}`)
    if (entry !== null) {
      const likely = this.layer(core, how, 1)
      const allowed = likely === 'behind' ? ['near', 'redis'] : [likely]
      this.expect(allowed.includes(entry.source), () => `${spot.key} came from ${entry.source}; allowed: ${allowed.join(', ')}`)
    }
    if (stood === null) core.books?.add(spot.place.owner, 'misses')
    else core.books?.hit(spot.place.owner, entry?.source ?? 'behind', stood.isStale)
  }

  async exists(core: Core, spot: Spot, how: How): Promise<void> {
    this.note(core, `exists ${spot.key} ${JSON.stringify(how)}`)
    const [from, version] = [this.candidates(core, spot, how), this.world.version(spot.key)]
    const isThere = await core.cache(spot.place).exists(spot.name, { ...spot.place.options, ...how })
    this.settle(core, spot, how, from, version, (seen) => (seen !== null && !seen.isStale) === isThere, String(isThere))
  }

  async getMany(core: Core, spots: readonly Spot[], how: How): Promise<void> {
    const [{ place }] = spots as [Spot]
    this.note(core, `getMany ${spots.map(({ key }) => key).join(' ')} ${JSON.stringify(how)}`)
    const froms = spots.map((spot) => this.candidates(core, spot, how))
    const versions = spots.map(({ key }) => this.world.version(key))
    const call = () => core.cache(place).getMany(spots.map(({ name }) => name), { ...place.options, ...how })
    const { answer, crossed } = core.crossing(call, how, spots.length)
    // Texts at hand are hits all of them; which ones they were is the same for the counts.
    let hot = core.books === undefined ? 0 : spots.length - crossed
    for (const spot of spots) {
      const isHit = visible(this.worldOf(core, how).entry(spot.key), how.allowStale === true) !== null
      this.countRead(core, spot, how, this.layer(core, how, isHit && hot-- > 0 ? 0 : 1))
    }
    const values = await answer
    spots.forEach((spot, at) => {
      const value = values[at]
      const from = froms[at] as (Entry | null)[]
      this.settle(core, spot, how, from, versions[at] as number, (seen) => (seen?.value ?? null) === value, text(value))
    })
  }


  async set(core: Core, spot: Spot, random: Random, how: How = {}): Promise<void> {
    const tags = this.tagsFor(core, how, random)
    const isTooLarge = this.isTooLarge(core, how, random)
    const value = isTooLarge ? tooLarge() : this.value(random)
    const options = { ...spot.place.options, ...how, tags, ...(random.isLucky(50) ? { grace: 3600 } : {}) }
    this.note(core, `set ${spot.key} = ${text(value)} ${JSON.stringify({ ...how, tags })}`)
    const answer = core.cache(spot.place).set(spot.name, value, options)
    this.write(core, spot, how, isTooLarge ? undefined : { value, isStale: false, tags: [...tags, ...spot.place.spaces] })
    this.expect((await answer) === !isTooLarge, () => `set of ${spot.key} answered ${isTooLarge}`)
  }

  /** What a write leaves. `undefined`: it is not kept, and only what was loading is. */
  private write(core: Core, { place, key }: Spot, how: How, entry: Entry | undefined): void {
    const world = this.worldOf(core, how)
    core.forget(key)
    if (how.l1Only !== true) core.own.set(key, null)
    if (entry === undefined) {
      world.leases.delete(key)
      core.books?.add(place.owner, 'errors')
      core.books?.add(place.owner, 'refused')
      return
    }
    world.set(key, entry)
    core.books?.add(place.owner, 'sets')
    if (world === this.world) this.changed(core, key)
  }

  async setMany(core: Core, spots: readonly Spot[], random: Random): Promise<void> {
    const [{ place }] = spots as [Spot]
    const tags = this.someTags(random)
    const items = spots.map((spot) => ({ key: spot.name, value: this.value(random), spot }))
    this.note(core, `setMany ${items.map(({ spot, value }) => `${spot.key} = ${text(value)}`).join(', ')} ${JSON.stringify({ tags })}`)
    const answer = core.cache(place).setMany(items.map(({ key, value }) => ({ key, value })), { ...place.options, tags })
    for (const { spot, value } of items) this.write(core, spot, {}, { value, isStale: false, tags: [...tags, ...place.spaces] })
    this.expect((await answer).every(Boolean), () => 'setMany did not keep everything')
  }

  /** Whether something is there; undefined: it may be or not, since a tag took it. */
  private lies(world: World, key: string): boolean | undefined {
    return world.entry(key) !== null || (world.ghosts.has(key) ? undefined : false)
  }

  async delete(core: Core, spots: readonly Spot[], how: How = {}): Promise<void> {
    const [first] = spots as [Spot]
    const { place } = first
    const options = { ...place.options, ...how }
    const names = spots.map(({ name }) => name)
    this.note(core, `delete${names.length > 1 ? 'Many' : ''} ${spots.map(({ key }) => key).join(' ')} ${JSON.stringify(how)}`)
    const cache = core.cache(place)
    const answer = names.length > 1 ? cache.deleteMany(names, options) : cache.delete(first.name, options).then((was) => [was])
    const world = this.worldOf(core, how)
    const lay = spots.map(({ key }) => {
      const lies = this.lies(world, key)
      this.remove(core, key, how, () => world.set(key, null))
      return lies
    })
    const were = await answer
    spots.forEach(({ key }, at) => {
      this.expect(lay[at] === undefined || were[at] === lay[at], () => `delete of ${key} answered ${were[at]}`)
      if (were[at] === true) core.books?.add(place.owner, 'deletes')
    })
  }

  private remove(core: Core, key: string, how: How, change: () => void): void {
    core.forget(key)
    if (how.l1Only !== true) core.own.set(key, null)
    change()
    if (how.l1Only !== true) this.changed(core, key)
  }

  async expire(core: Core, spot: Spot, how: How = {}): Promise<void> {
    const { place, name, key } = spot
    this.note(core, `expire ${key} ${JSON.stringify(how)}`)
    const answer = core.cache(place).expire(name, { ...place.options, ...how })
    const world = this.worldOf(core, how)
    const lay = this.lies(world, key)
    this.remove(core, key, how, () => world.expire(key))
    const was = await answer
    this.expect(lay === undefined || was === lay, () => `expire of ${key} answered ${was}`)
  }

  async invalidate(core: Core, tags: readonly string[], removes: boolean): Promise<void> {
    await this.untilTold(core)
    this.note(core, `${removes ? 'delete' : 'expire'}ByTag ${tags.join(' ')}`)
    const given = tags.length === 1 ? (tags[0] as string) : tags
    const { cacheManager } = core.instance
    const answer = removes ? cacheManager.deleteByTag(given) : cacheManager.expireByTag(given)
    core.forgetTags(tags)
    for (const tag of tags) this.takeTag(core, tag, removes)
    this.expect(await answer, () => 'the invalidation was not taken')
  }

  private takeTag(core: Core, tag: string, removes: boolean): void {
    this.world.invalidate(tag, removes)
    core.own.invalidate(tag, removes)
    for (const { key } of this.spots) this.changed(core, key)
  }

  async deletePattern(core: Core, place: Place, pattern: string, matches: (name: string) => boolean): Promise<void> {
    await this.untilTold(core)
    this.note(core, `deletePattern ${pattern} in ${place.family}`)
    const answer = core.cache(place).deletePattern(this.name + pattern, { ...place.options })
    const taken = this.spots.filter((spot) => spot.place === place && matches(spot.name.slice(this.name.length)))
    const keys = new Set(taken.map(({ key }) => key))
    core.forgetAll(place.family, (key) => keys.has(key))
    const { least, most } = this.removeAll(core, keys)
    const went = await answer
    this.expect(went >= least && went <= most, () => `deletePattern answered ${went}; allowed: ${least} to ${most}`)
  }

  async clear(core: Core, place: Place): Promise<void> {
    await this.untilTold(core)
    this.note(core, `clear ${place.family}`)
    const answer = core.cache(place).clear(place.options.prefix)
    core.forgetAll(place.family, () => true)
    const space = place.spaces.at(-1)
    if (space !== undefined) this.takeTag(core, space, true)
    else this.removeAll(core, new Set(this.spots.filter(({ key }) => key.startsWith(`${place.family}:`)).map(({ key }) => key)))
    await answer
  }

  private removeAll(core: Core, keys: ReadonlySet<string>): { least: number; most: number } {
    core.own.remove((key) => keys.has(key))
    const went = this.world.remove((key) => keys.has(key))
    for (const key of keys) this.changed(core, key)
    return went
  }

  /** What is asked of a key once something about it is on its way is answered after that. */
  async untilSent(core: Core, { place, name }: Spot, how: How): Promise<void> {
    await turn()
    await core.cache(place).exists(name, { ...place.options, ...how })
  }

  /** Waits until this process answers with what others have done. */
  async untilTold(core: Core): Promise<void> {
    if (core.seesAtOnce) return
    for (const spot of this.spots) {
      if ((core.told.get(spot.key) ?? 0) >= this.world.version(spot.key)) continue
      const cache = core.cache(spot.place)
      await waitFor(`the word of what another did to ${spot.key}`, async () => {
        const found = await cache.getEntry(spot.name, { ...spot.place.options, allowStale: true })
        const last = this.world.entry(spot.key)
        return found === null ? last === null : last !== null && found.value === last.value && found.stale === last.isStale
      })
      this.changed(core, spot.key)
    }
  }
}
