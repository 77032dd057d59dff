// Steps of a law as data, so that a sequence can be drawn by chance, played again, and made shorter.
import { generator, type Random } from '../../support/random'
import type { Ending, Plan } from './flight'
import { Loads } from './loads'
import { getOrSetMany } from './many'
import { Broken, Player, tooLarge, type How } from './player'
import type { Core, Spot } from './scene'

export interface Step {
  readonly id: number
  /** Chance for whatever the step decides. */
  readonly seed: number
}

/** What may be called, and how often each is. */
export type Mix = Readonly<Record<Kind, number>>
type Kind = 'again' | 'read' | 'write' | 'several' | 'load' | 'finish' | 'loadMany' | 'tag' | 'pattern' | 'clear' | 'elsewhere' | 'reset'

const patterns: [string, (name: string) => boolean][] = [
  ['*', () => true],
  ['x', (name) => name === 'x'],
  ['[y-z]', (name) => name !== 'x'],
  ['[^y]*', (name) => name !== 'y'],
  ['?', () => true],
]

export function drawn(random: Random, length: number): Step[] {
  return Array.from({ length }, (_, id) => ({ id, seed: random.below(2 ** 31) }))
}

/** Plays steps; a process of its own may hold leases. */
export class Play {
  readonly loads: Loads
  private readonly kinds: Kind[]
  /** Whether values may be kept in one process alone. Of tags that others invalidate nobody knows there when. */
  private readonly hasLocal: boolean

  constructor(
    readonly player: Player,
    mix: Mix,
    /** Who only loads: another process for the others. */
    private readonly other: Core | null = null,
  ) {
    this.loads = new Loads(player)
    this.hasLocal = player.cores.every(({ own }) => own === player.cores[0]?.own)
    this.kinds = Object.entries(mix).flatMap(([kind, times]) => Array<Kind>(times).fill(kind as Kind))
  }

  async step({ seed }: Step): Promise<void> {
    const random = generator(seed)
    const { player } = this
    const core = random.pick(player.cores)
    const spot = random.pick(player.spots)
    const kind = random.pick(this.kinds)
    if (kind === 'read') await this.read(core, spot, random)
    else if (kind === 'write') await this.write(core, spot, random)
    else if (kind === 'again') await this.again(core, spot, random)
    else if (kind === 'several') await this.several(core, random)
    else if (kind === 'load') await this.load(core, spot, random)
    else if (kind === 'elsewhere') await this.load(this.other ?? core, spot, random)
    else if (kind === 'loadMany') await getOrSetMany(player, core, this.some(random, 5), random)
    else if (kind === 'reset') this.reset(core, random)
    else if (kind === 'finish') await this.finish(random)
    else if (kind === 'tag') await player.invalidate(core, random.pick([[player.tags[0]], [player.tags[1]], player.tags]) as string[], random.isLucky(50))
    else if (kind === 'clear') await player.clear(core, random.pick(player.places))
    else if (kind === 'pattern') await player.deletePattern(core, random.pick(player.places), ...random.pick(patterns))
    await this.loads.goOn(kind === 'pattern' || kind === 'clear')
  }

  /** Lets all loads end, and looks at all there is. */
  async end(): Promise<void> {
    for (;;) {
      const [flight] = this.loads.running()
      if (flight === undefined) break
      await this.loads.finish(flight)
      await this.loads.goOn()
    }
    const { player } = this
    for (const core of player.cores) {
      for (const spot of player.spots) {
        await player.getEntry(core, spot, { skipL1: true, allowStale: true })
        await player.get(core, spot, {})
      }
      await player.untilTold(core)
    }
  }

  private how(random: Random): How {
    const kinds: How[] = [{}, {}, {}, {}, { skipL1: true }, { allowStale: true }, { shared: true }, { skipL1: true, allowStale: true }]
    const local: How[] = this.hasLocal ? [{ l1Only: true }, { l1Only: true, allowStale: true }] : []
    return random.pick([...kinds, ...local])
  }

  /** Where a value may stand: for all, or now and then in this process alone, where nothing takes it unasked. */
  private where({ store }: Core, { place }: Spot, random: Random): How {
    const stays = store === 'memory' || place.spaces.length === 0
    return this.hasLocal && stays && random.isLucky(15) ? { l1Only: true } : {}
  }

  /** Keys of one place, each of them perhaps more than once. */
  private some(random: Random, most: number): Spot[] {
    const { place } = random.pick(this.player.spots)
    const spots = this.player.spots.filter((spot) => spot.place === place)
    return Array.from({ length: 1 + random.below(most) }, () => random.pick(spots))
  }

  private async read(core: Core, spot: Spot, random: Random): Promise<void> {
    const { player } = this
    const how = this.how(random)
    const what = random.below(10)
    if (what < 5) await player.get(core, spot, how)
    else if (what < 7) await player.getEntry(core, spot, how)
    else if (what < 8) await player.exists(core, spot, how)
    else await player.getMany(core, this.some(random, 4), how)
  }

  private async write(core: Core, spot: Spot, random: Random): Promise<void> {
    const { player } = this
    const how = this.where(core, spot, random)
    const what = random.below(10)
    if (what < 5) await player.set(core, spot, random, how)
    else if (what < 7) await player.expire(core, spot, how)
    else if (what < 8) await player.delete(core, [spot], how)
    else {
      // Who waits for a load may see what stands there in between.
      const spots = this.some(random, 4).filter(({ key }) => !this.loads.isAwaited(key))
      if (spots.length === 0) return
      if (what < 9) await player.setMany(core, spots, random)
      else await player.delete(core, spots, how)
    }
  }

  /** Calls that nobody waits for in between take effect in their order. */
  private async several(core: Core, random: Random): Promise<void> {
    const calls: Promise<void>[] = []
    const count = 2 + random.below(30)
    for (let at = 0; at < count; at++) {
      const spot = random.pick(this.player.spots)
      if (this.loads.isAwaited(spot.key)) continue
      calls.push(random.isLucky(60) ? this.read(core, spot, random) : this.write(core, spot, random))
    }
    for (const result of await Promise.allSettled(calls)) if (result.status === 'rejected') throw result.reason
  }

  /** The same question, so often that a text is at hand. */
  private async again(core: Core, spot: Spot, random: Random): Promise<void> {
    const how: How = random.isLucky(20) ? { shared: true } : {}
    for (let times = 5 + random.below(60); times > 0; times--) await this.player.get(core, spot, how)
  }

  private async load(core: Core, spot: Spot, random: Random): Promise<void> {
    const hasGrace = random.isLucky(60)
    const count = random.pick([1, 1, 1, 2, 4])
    const isMixed = random.isLucky(20)
    const how: How = random.isLucky(15) ? { skipL1: true } : this.where(core, spot, random)
    const isLocal = how.l1Only === true
    const endings: Ending[] = ['value', 'value', 'value', 'value', 'value', 'nothing', 'skip', 'throw', 'fail', isLocal ? 'value' : 'tags']
    const plan: Plan = {
      how,
      tags: this.player.tagsFor(core, how, random),
      graces: Array.from({ length: count }, () => (isMixed ? random.isLucky(50) : hasGrace)),
      isSoft: random.isLucky(20),
      // Copies of what is fresh would go on answering here until another's word has arrived.
      isForced: core !== this.other && random.isLucky(20),
      isImpatient: random.isLucky(10),
      ending: random.pick(endings),
      value: this.player.isTooLarge(core, how, random) ? tooLarge() : this.player.value(random),
    }
    // In this process alone a load is never old: it shares its failures with those for all.
    const graces = isLocal ? plan.graces.map(() => false) : plan.graces
    const flight = await this.loads.begin(core, spot, { ...plan, graces })
    if (flight !== null && random.isLucky(60)) await this.loads.finish(flight)
  }

  /** Sets the counts of a namespace to 0, and no others. */
  private reset(core: Core, random: Random): void {
    if (this.loads.flights.length > 0 || !random.isLucky(10)) return
    const { player } = this
    const place = random.pick(player.places.filter(({ owner }) => owner !== null))
    player.note(core, `resetStats of ${place.family}`)
    core.cache(place).resetStats()
    core.books?.reset(place.owner as string)
  }

  private async finish(random: Random): Promise<void> {
    const running = this.loads.running()
    if (running.length > 0) await this.loads.finish(random.pick(running))
  }
}

/** Plays a sequence; says how it broke the law, if it did. */
export async function broken(play: Play, steps: readonly Step[]): Promise<string | null> {
  try {
    for (const step of steps) await play.step(step)
    await play.end()
    return null
  } catch (error) {
    if (!(error instanceof Broken) && !(error instanceof Error)) throw error
    return error.message
  }
}

/** Tries to do with fewer steps: halves, quarters, and in the end single ones are left out while it stays broken. */
export async function shortest(
  steps: readonly Step[],
  isBroken: (steps: readonly Step[]) => Promise<boolean>,
  mayTry: () => boolean,
): Promise<readonly Step[]> {
  let left = steps
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < left.length; ) {
      if (!mayTry()) return left
      const fewer = [...left.slice(0, at), ...left.slice(at + size)]
      if (fewer.length > 0 && (await isBroken(fewer))) left = fewer
      else at += size
    }
  }
  return left
}
