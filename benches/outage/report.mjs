// RESULTS-outage.md: one table, a line per contender, and how each was set up.
import { machineInWords, versionsInWords } from '../lib/machine.mjs';
import { summary } from '../lib/statistics.mjs';
import { spread, table } from '../lib/table.mjs';
import { AWAY_MS, BACK_MS, DELETES, KNOWN_MS, LIMIT_MS, OUTSTANDING, WRITES } from './plan.mjs';

const LIMIT = `${LIMIT_MS / 1000} s`;

export function report({ date, machine, redisVersion, rounds, versions, contenders, results }) {
  const sections = [
    '# What an outage does',
    'Written by `npm run bench:outage`; do not edit. Every figure is the median of the rounds, with the smallest and the largest in parentheses. Each contender went through each outage in a fresh process, with a Redis of its own that keeps its data (`appendfsync always`).',
    table(['', ''], [
      ['date', date],
      ['machine', machineInWords(machine)],
      ['Node', machine.node],
      ['Redis', `${redisVersion}, loopback, same machine`],
      ['rounds', rounds],
      ['versions', versionsInWords(versions)],
    ]),
    '## Answers',
    `Lower is better. "Never" is: not within ${LIMIT}.`,
    table(
      ['', 'first answer after `kill -9`', `${OUTSTANDING} calls outstanding when Redis freezes (SIGSTOP): all settled after`, 'a later call takes'],
      contenders.map(({ id, label }) => [
        label,
        timed(of(results, id, 'killed').map(({ first }) => first ?? null)),
        timed(of(results, id, 'frozen').map(({ outstanding }) => outstanding)),
        timed(of(results, id, 'frozen').map(({ later }) => later)),
      ]),
    ),
    '## What is kept',
    `${WRITES} writes and ${DELETES} deletes of keys that exist, called ${KNOWN_MS / 1000} s after \`kill -9\`. Redis is back with its data after a short and after a long outage; ${BACK_MS / 1000} s later a client of its own looks what it holds. "Acknowledged" is: settled before Redis was back, and not with an error. The rest was refused with an error, or was still pending.`,
    ...Object.entries(AWAY_MS).flatMap(([scenario, awayMs]) => [
      `Redis is away for ${awayMs / 1000} s:`,
      table(
        ['', 'writes acknowledged', 'refused', 'pending', 'acknowledged and **lost**', 'deletes acknowledged', 'refused', 'pending', 'acknowledged and **back**'],
        contenders.map(({ id, label }) => {
          const rows = of(results, id, scenario);
          return [label, ...counted(rows, 'writes', WRITES), ...counted(rows, 'deletes', DELETES)];
        }),
      ),
    ]),
    '## Crashes',
    'Rejections and exceptions that nobody handles end a Node process; here they were counted instead. All outages of a round together.',
    table(['', 'unhandled rejections', 'uncaught exceptions', 'processes that ended'], contenders.map(({ id, label }) => [label, ...crashes(results, id, rounds)])),
    '## How each is set up',
    contenders.map(({ label, setUp }) => `- ${label}: ${setUp}.`).join('\n'),
    '## What is not the same',
    NOT_THE_SAME.map((line) => `- ${line}`).join('\n'),
  ];
  return `${sections.join('\n\n')}\n`;
}

const NOT_THE_SAME = [
  'ioredis and node-redis are clients without a memory: they can refuse or wait. What was still pending when Redis came back may be carried out then; nobody was told that it was kept, so it counts neither way.',
  'rate-limiter-flexible keeps counts: a read and a write are both "consume a point"; lost is a point that is not counted after the return, back is a count that was deleted.',
  'An answer from memory can be older than what another process wrote to Redis before the outage.',
  'Every library can be set up otherwise, for instance with a deadline per command; these are the settings that its own documentation leads with.',
];

const HOW = { answer: 'the value', nothing: 'a miss', error: 'an error', pending: 'pending' };

/** [{ ms | null, how }] of the rounds as one cell. */
function timed(outcomes) {
  const reached = outcomes.filter((outcome) => outcome?.ms !== null && outcome?.ms !== undefined);
  if (reached.length === 0) return `never (${LIMIT})`;
  const found = summary(reached.map(({ ms }) => ms));
  const hows = [...new Set(reached.map(({ how }) => HOW[how]))].join(' or ');
  const never = outcomes.length - reached.length;
  return `${timesIn(found)}, ${hows}${never > 0 ? `; never in ${never} of ${outcomes.length} rounds` : ''}`;
}

function counted(rows, kind, all) {
  const of = (pick) => spread(summary(rows.map((row) => (row[kind] === undefined ? null : pick(row[kind])))), String);
  return [
    of(({ acknowledged }) => acknowledged),
    of(({ acknowledged, pending }) => all - acknowledged - pending),
    of(({ pending }) => pending),
    of(({ wrong }) => wrong),
  ];
}

function crashes(results, id, rounds) {
  const own = results.filter(({ contenderId }) => contenderId === id);
  const perRound = (pick) =>
    spread(summary(Array.from({ length: rounds }, (_, round) =>
      own.filter((one) => one.round === round).reduce((sum, { result }) => sum + pick(result), 0))), String);
  const ended = own.map(({ result }) => result.crash).filter((reason) => reason !== undefined);
  return [
    perRound(({ unhandled }) => unhandled?.rejections ?? 0),
    perRound(({ unhandled }) => unhandled?.exceptions ?? 0),
    ended.length === 0 ? '0' : `${ended.length}: ${[...new Set(ended)].join('; ')}`,
  ];
}

const of = (results, id, scenario) =>
  results.filter((one) => one.contenderId === id && one.scenario === scenario).map(({ result }) => result);

/** In seconds when the median is one or more. */
function timesIn(found) {
  const seconds = found.median >= 1_000;
  const digits = seconds || found.median < 1 ? 2 : 0;
  return `${spread(found, (ms) => (seconds ? ms / 1_000 : ms).toFixed(digits))} ${seconds ? 's' : 'ms'}`;
}
