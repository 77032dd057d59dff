// The tables of each part, and the RESULTS file of a suite around them.
import { machineInWords, versionsInWords } from '../lib/machine.mjs'
import { ratioSummary, summary } from '../lib/statistics.mjs'
import { spread, table } from '../lib/table.mjs'
import { goalsOf } from './goals.mjs'
import { comparedIn, roundsOf } from './parts.mjs'
import { found } from './run.mjs'

export function report({ suite, date, machine, redisVersion, rounds, versions, parts, results }) {
  const facts = found(results, rounds)
  const sections = [
    `# ${suite.title}`,
    `Written by \`npm run ${suite.command} -- --write\`; do not edit. Every figure is the median of the rounds, with the ` +
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
    suite.notTheSame.map((line) => `- ${line}`).join('\n'),
    '## Again',
    `\`npm run build\`, then \`npm run ${suite.command}\`; \`-- --only NAME\` runs one part: ${suite.parts
      .map(({ id }) => id)
      .join(', ')}. The Redis server is that on the PATH, or it is fetched.`,
  ]
  return `${sections.join('\n\n')}\n`
}

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
