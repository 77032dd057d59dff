// One call of a loader for many keys, of which nobody else loads any.
import type { Random } from '../../support/random'
import type { How, Player } from './player'
import { text } from './player'
import type { Core, Spot } from './scene'

export async function getOrSetMany(player: Player, core: Core, wanted: readonly Spot[], random: Random): Promise<void> {
  await player.untilTold(core)
  const { world } = player
  const isFree = ({ key }: Spot): boolean =>
    !world.leases.has(key) && !core.flights.has(key) && !core.resting.has(key) && !core.failures.has(key)
  const spots = [...new Set(wanted)].filter(isFree)
  const [first] = spots
  if (first === undefined) return
  const { place } = first
  const how: How = random.isLucky(30) ? { skipL1: true } : {}
  const tags = player.someTags(random)
  const brings = new Map(spots.map(({ name }) => [name, random.isLucky(80) ? player.value(random) : undefined]))
  player.note(core, `getOrSetMany ${spots.map(({ key, name }) => `${key} = ${text(brings.get(name))}`).join(', ')} ${JSON.stringify({ ...how, tags })}`)
  const asked: string[] = []
  const loader = (missing: readonly string[]): Map<string, unknown> => {
    asked.push(...missing)
    return new Map(missing.map((name) => [name, brings.get(name)]))
  }
  const names = spots.map(({ name }) => name)
  const call = () => core.cache(place).getOrSetMany(names, loader, { ...place.options, ...how, tags })
  const { answer, crossed } = core.crossing(call, how, spots.length)
  const isThere = ({ key }: Spot): boolean => world.entry(key)?.isStale === false
  let hot = core.books === undefined ? 0 : spots.length - crossed
  for (const spot of spots) {
    if (isThere(spot)) {
      core.books?.hit(place.owner, player.layer(core, how, hot-- > 0 ? 0 : 1), false)
      core.books?.add(place.owner, 'loadsAvoided')
    } else {
      core.books?.add(place.owner, 'misses')
      core.books?.add(place.owner, 'loads')
    }
  }
  const values = await answer
  const missing = spots.filter((spot) => !isThere(spot))
  const [ran, hadTo] = [[...asked].sort().join(' '), missing.map(({ name }) => name).sort().join(' ')]
  player.expect(ran === hadTo, () => `the loader was asked for ${ran}; missing were ${hadTo}`)
  spots.forEach((spot, at) => {
    const expected = isThere(spot) ? world.entry(spot.key)?.value : brings.get(spot.name)
    player.expect(values[at] === expected, () => `getOrSetMany of ${spot.key} answered ${text(values[at])}; it is ${text(expected)}`)
  })
  for (const spot of missing) {
    const { key, name } = spot
    const value = brings.get(name)
    if (value === undefined) {
      await player.untilSent(core, spot, how)
      continue
    }
    core.own.set(key, null)
    core.books?.add(place.owner, 'sets')
    world.fill(key, { value, isStale: false, tags: [...tags, ...place.spaces] })
    player.changed(core, key)
  }
}
