// The table of what happened, and RESULTS-rivals.md around it.
import { machineInWords, versionsInWords } from '../lib/machine.mjs'
import { table } from '../lib/table.mjs'

/** A line per scenario and contender. */
export function tableOf(rows, versions) {
  return table(
    ['scenario', 'contender', 'what happened', 'verdict'],
    rows.map(({ scenario, contender, happened, verdict }) => [
      scenario.id,
      `${contender.label} ${versions[contender.package]}`,
      happened.replaceAll('|', '\\|'),
      `**${verdict}**`,
    ]),
  )
}

export function report({ date, machine, redisVersion, versions, rows }) {
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))]
  const contenders = [...new Set(rows.map(({ contender }) => contender))]
  const sections = [
    '# What goes wrong in a cache',
    'Written by `npm run bench:rivals -- --write`; do not edit. Each line was seen in one run of the contender ' +
      'itself, in fresh processes, on an empty Redis. Times are those of this machine.',
    table(['', ''], [
      ['date', date],
      ['machine', machineInWords(machine)],
      ['Node', machine.node],
      ['Redis', `${redisVersion}, loopback, same machine`],
      ['versions', versionsInWords(versions)],
    ]),
    '## What happened',
    tableOf(rows, versions),
    '## What is done',
    scenarios.map(({ id, title }) => `- ${id}: ${title}`).join('\n'),
    '## What the verdicts say',
    scenarios.map(({ id, verdicts }) => `- ${id}: ${verdictsInWords(verdicts)}.`).join('\n'),
    '## How each is set up',
    contenders.map(({ label, setUp }) => `- ${label}: ${setUp}.`).join('\n'),
    '## What is not the same',
    NOT_THE_SAME.map((line) => `- ${line}`).join('\n'),
    '## Again',
    '`npm run build`, then `npm run bench:rivals`; `-- --only rivals` needs no build, `-- --only NAME` runs one ' +
      'scenario or contender. It needs a redis-server on the PATH, and takes about a minute.',
  ]
  return `${sections.join('\n\n')}\n`
}

const NOT_THE_SAME = [
  'A contender is in a scenario when it has what the scenario is about: cache-manager and lru-cache have no tags, ' +
    'lru-cache has no Redis, and only some make keys of arguments.',
  'A call to cacheable and cache-manager can carry no deadline for the loader; their loaders hang without one.',
  'BentoCache takes a serializer, and so do the Keyv stores of cacheable and cache-manager; these are their defaults.',
  'Outages are in RESULTS-outage.md.',
]

const verdictsInWords = (verdicts) =>
  Object.entries(verdicts)
    .map(([word, meaning]) => `"${word}": ${meaning}`)
    .join('; ')
