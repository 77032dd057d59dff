// The tables of each part, and RESULTS-cache.md around them.
import { machineInWords, versionsInWords } from '../lib/machine.mjs'
import { ratioSummary, summary } from '../lib/statistics.mjs'
import { spread, table } from '../lib/table.mjs'
import { goalsOf } from './goals.mjs'
import { comparedIn, roundsOf } from './parts.mjs'
import { found } from './run.mjs'

export function report({ date, machine, redisVersion, rounds, versions, parts, results }) {
  const facts = found(results, rounds)
  const sections = [
    '# What the cache costs',
    'Written by `npm run bench:cache -- --write`; do not edit. Every figure is the median of the rounds, with the ' +
      'smallest and the largest in parentheses. All contenders ran in one run, in turns, each in a fresh process per ' +
      'round, on an empty Redis of its own where it needs one.',
    table(['', ''], [
      ['date', date],
      ['machine', machineInWords(machine)],
      ['load average before the run', machine.loadBefore.toFixed(2)],
      ['Node', machine.node],
      ['Redis', `${redisVersion}, loopback, no persistence, same machine`],
      ['rounds', roundsInWords(parts, rounds)],
      ['versions', versionsInWords(versions)],
    ]),
    '## Goals',
    table(['goal', 'measured', 'verdict'], parts.flatMap((part) =>
      goalsOf(part, facts).map(({ text, unit, measured, verdict }) => [
        text, measured === null ? '–' : `${figure(measured)} ${unit}`, verdict,
      ]),
    )),
    ...failuresOf(results),
    ...parts.flatMap((part) => sectionOf(part, facts)),
    '## What is not the same',
    NOT_THE_SAME.map((line) => `- ${line}`).join('\n'),
    '## Again',
    `\`npm run build\`, then \`npm run bench:cache\`; \`-- --only NAME\` runs one part: ${parts
      .map(({ id }) => id)
      .join(', ')}. It needs a redis-server on the PATH.`,
  ]
  return `${sections.join('\n\n')}\n`
}

const NOT_THE_SAME = [
  'Redis and the clients share the machine: with few cores, a client that uses more threads takes time from the ' +
    'server.',
  'BentoCache, cacheable and cache-manager have their defaults in memory, but for the room that 20,000 entries need. ' +
    "cacheable's default clones the object that it holds; cache-manager's hands out the object itself, so that it " +
    'was given text where a parsed hit is measured.',
  'Holdfast keeps each value in an envelope with its stamp, 28 bytes and what its tags need.',
  'lru-cache has no tags, no Redis and no promises: it is there as the floor of what a parsed hit can cost.',
]

function sectionOf(part, facts) {
  const { columns, contenders } = part
  const head = ['', ...columns.map(({ title }) => title)]
  const lines = contenders.map((contender) => [
    contender.label,
    ...columns.map(({ id }) => cell(part, contender, id, facts)),
  ])
  const pairs = comparedIn(part)
  if (pairs.length === 0) return [`## ${part.title}`, part.about, table(head, lines)]
  const ratios = pairs.map(([mine, other]) => [
    `${mine.label} ÷ ${other.label}`,
    ...columns.map(({ id }) => {
      const ratio = ratioSummary(facts.of(part.id, mine.id, id), facts.of(part.id, other.id, id))
      return ratio === null ? '–' : figure(ratio)
    }),
  ])
  return [`## ${part.title}`, part.about, table(head, lines), 'Within each round:', table(head, ratios)]
}

function cell(part, contender, column, facts) {
  const failed = facts.failures(part.id, contender.id)
  const measured = summary(facts.of(part.id, contender.id, column))
  if (failed === 0) return measured === null ? '–' : figure(measured)
  return measured === null ? 'failed' : `${figure(measured)}, failed ${failed} ${failed === 1 ? 'time' : 'times'}`
}

function failuresOf(results) {
  const failed = results.filter(({ error }) => error !== undefined)
  if (failed.length === 0) return []
  const lineOf = ({ round, part, contender, error }) =>
    `- round ${round + 1}, ${part.id}, ${contender.label}: ${error}`
  return ['## Failures', 'These have no figure in their round.', failed.map(lineOf).join('\n')]
}

function roundsInWords(parts, rounds) {
  const fewer = parts.filter((part) => roundsOf(part, rounds) < rounds)
  return [rounds, ...fewer.map((part) => `${roundsOf(part, rounds)} of ${part.id}`)].join(', ')
}

const figure = (measured) => spread(measured, digits)

function digits(value) {
  if (Math.abs(value) >= 1_000) return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
  if (Number.isInteger(value)) return String(value)
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return value.toFixed(Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3)
}
