// The seed of all that the laws draw by chance.

/** The same in each run, unless it is told: a number, or `HOLDFAST_LAW_SEED=random`. A law that is broken names it. */
export function lawSeed(): number {
  const told = process.env['HOLDFAST_LAW_SEED']
  if (told === 'random') return Math.floor(Math.random() * 2 ** 31)
  return told !== undefined && /^[0-9]+$/.test(told) ? Number(told) : 1
}
