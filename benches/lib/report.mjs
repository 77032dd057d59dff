// RESULTS.md: tables of medians and spreads, the ratios, where a rival wins, and the goals.
import { goalsOf } from './goals.mjs';
import { machineInWords, versionsInWords } from './machine.mjs';
import { CONCURRENCIES, CPU_CONCURRENCY, SIZES } from './plan.mjs';
import { ratioSummary, summary } from './statistics.mjs';
import { spread, table } from './table.mjs';

const HOLDFAST = 'holdfast';

export function report({
  machine, versions, redisVersion, settings, contenders, measures, failures, nativeBytes, date,
}) {
  const byId = new Map(measures.map((measure) => [measure.id, measure]));
  const serving = (kind) => contenders.filter((contender) => contender.serves.includes(kind));
  const cellOf = (id, contender) => figure(summary(byId.get(id)?.values[contender.id] ?? []));
  const ratioOf = (id, contender) => {
    const values = byId.get(id)?.values ?? {};
    return figure(ratioSummary(values[HOLDFAST] ?? [], values[contender.id] ?? []));
  };
  const isRival = (contender) => contender.id !== HOLDFAST;
  const rivals = (kind) => serving(kind).filter(isRival);
  const isComparison = contenders.some(isRival) && !contenders.every(isRival);

  const withRatios = (figures, ratios) =>
    isComparison ? [figures, 'Holdfast ÷ rival, within each round:', ratios] : [figures];

  // One line per cell with all contenders, then the same lines as ratios of Holdfast to each rival.
  const byCell = (kind, cells, name) => {
    const lines = (shown, entryOf) =>
      table(['', ...labels(shown)], cells.map(({ title, id }) => [
        title, ...shown.map((contender) => entryOf(`${id}/${name}`, contender)),
      ]));
    return withRatios(lines(serving(kind), cellOf), lines(rivals(kind), ratioOf));
  };
  // One line per contender that has any of the figures, a column per measure.
  const byContender = (kind, columns) => {
    const hasFigures = ({ id }) => columns.some((column) => byId.get(column.id)?.values[id] !== undefined);
    const lines = (shown, entryOf) =>
      table(['', ...columns.map(({ title }) => title)], shown.filter(hasFigures).map((contender) => [
        contender.label, ...columns.map(({ id }) => entryOf(id, contender)),
      ]));
    return withRatios(lines(serving(kind), cellOf), lines(rivals(kind), ratioOf));
  };
  const cells = (operation, concurrencies) => SIZES.flatMap((size) => concurrencies.map((concurrency) => ({
    title: `${size} bytes, concurrency ${concurrency}`, id: `redis/${operation}/${size}/${concurrency}`,
  })));

  const sections = [
    '# Benchmark results',
    'Written by `npm run bench`; do not edit. Every figure is the median of the rounds, with the smallest and the largest in parentheses. All contenders ran in one run, in turns, each in a fresh process per round. What an outage does to them stands in [RESULTS-outage.md](RESULTS-outage.md), what it costs in [RESULTS-figures.md](RESULTS-figures.md).',
    table(['', ''], [
      ['date', date],
      ['machine', machineInWords(machine)],
      ['load average before the run', machine.loadBefore.toFixed(2)],
      ['Node', machine.node],
      ['Redis', `${redisVersion}, loopback, no persistence, same machine`],
      ['rounds', `${settings.rounds}, ${settings.seconds} s per cell after ${settings.warmupSeconds} s of warm-up`],
      ['versions', versionsInWords(versions)],
    ]),
    '## Goals',
    table(['goal', 'measured', 'verdict'], goalsOf(measures, nativeBytes).map(({ text, found, unit, met, clear }) => [
      text, found === null ? 'not measured' : `${figure(found)} ${unit}`, verdictText(met, clear),
    ])),
    '## Where a rival wins',
    whereRivalsWin(measures, contenders),
    ...failureLines(failures),
    '## get from Redis: operations per second',
    'Higher is better. The value is parsed with `JSON.parse`; Holdfast is asked through `cacheManager.get` with `skipL1`.',
    ...byCell('redis', cells('get', CONCURRENCIES), 'rate'),
    'Hits of the copies in the process, and of what stands in front of them, are in [RESULTS-cache.md](RESULTS-cache.md).',
    '## set to Redis: operations per second',
    'Higher is better. The value is an object, turned into JSON, kept with an expiry.',
    ...byCell('redis', cells('set', [1, 100]), 'rate'),
    '## Latency of get at concurrency 1, µs',
    'Lower is better.',
    ...byContender('redis', SIZES.flatMap((size) => ['p50', 'p99'].map((name) => ({
      title: `${size} bytes, ${name}`, id: `redis/get/${size}/1/${name}`,
    })))),
    `## CPU per get at concurrency ${CPU_CONCURRENCY}, µs`,
    'Lower is better. "main thread" is its CPU time as the system counts it (Linux); "event loop" is its busy time, which also counts moments when something else had the core; "all threads" is the whole process.',
    ...byContender('redis', SIZES.flatMap((size) => CPU_COLUMNS.map(([name, title]) => ({
      title: `${size} bytes, ${title}`, id: `redis/get/${size}/${CPU_CONCURRENCY}/${name}`,
    })))),
    '## Memory hit: time per get of 700 bytes, parsed, µs',
    'Lower is better. Every contender hands out an object of the caller\'s own on each hit; "concurrency 100" is time per get while 100 are under way.',
    ...byContender('memory', [1, 100].map((concurrency) => ({
      title: `concurrency ${concurrency}`, id: `memory/get/700/${concurrency}/time`,
    }))),
    ...['redis', 'memory'].flatMap((kind) => [
      `## Cold start on ${kind}`,
      'Lower is better. A fresh process, the library\'s files in the page cache. Memory is what the process grew by until the first answer.',
      ...byContender(kind, COLD_COLUMNS.map(([name, title]) => ({ title, id: `${kind}/cold/${name}` }))),
    ]),
    '## Connections on the server',
    'After the load, with the defaults of each client.',
    byContender('redis', [{ title: 'connections', id: 'redis/connections' }])[0],
    '## What is not the same',
    NOT_THE_SAME.map((line) => `- ${line}`).join('\n'),
  ];
  return `${sections.join('\n\n')}\n`;
}

const CPU_COLUMNS = [['main-cpu', 'main thread'], ['loop-busy', 'event loop'], ['all-cpu', 'all threads']];
const COLD_COLUMNS = [
  ['load', 'require, ms'], ['first-answer', 'require to first answer, ms'], ['memory', 'memory added, MB'],
];

const NOT_THE_SAME = [
  'Redis and the clients share the machine: with few cores, a client that uses more threads takes time from the server.',
  'A closed loop favours whoever gathers many commands into one write; an application that spreads its calls over time gains less.',
  'Holdfast keeps each value in an envelope with its stamp, 28 bytes; the rivals store the JSON alone.',
  'ioredis with auto-pipelining loads the same files as ioredis: its cold start is not listed twice.',
  'cacheable, cache-manager and lru-cache hold JSON text that is parsed after the hit. Without that, cache-manager and lru-cache hand out the stored object itself, which is faster and shares one object among all callers.',
  'valkey-glide has a request timeout of 10 s in place of 250 ms; all other settings are defaults.',
];

function whereRivalsWin(measures, contenders) {
  const labelOf = new Map(contenders.map((contender) => [contender.id, contender.label]));
  const lines = [];
  for (const { id, label, better, values } of measures) {
    if (!isCompared(id) || values[HOLDFAST] === undefined) continue;
    for (const [rival, theirs] of Object.entries(values)) {
      if (rival === HOLDFAST) continue;
      const ratio = ratioSummary(values[HOLDFAST], theirs);
      if (ratio === null) continue;
      const loses = (found) => (better === 'higher' ? found < 1 : found > 1);
      if (!loses(ratio.median)) continue;
      const always = loses(ratio.min) && loses(ratio.max);
      const note = always ? '' : ', not in every round';
      lines.push(`- ${labelOf.get(rival)}: ${label} (Holdfast ÷ rival ${figure(ratio)}, ${better} is better${note})`);
    }
  }
  return lines.length > 0 ? lines.join('\n') : 'In none of the rows below, by the median.';
}

// The measures that have a row below; the others only restate them.
function isCompared(id) {
  if (id.includes('/cold/')) return true;
  const [kind, operation, , concurrency, name] = id.split('/');
  if (kind === 'memory') return name === 'time';
  if (name === 'rate') return true;
  if (operation !== 'get') return false;
  if (name === 'p50' || name === 'p99') return true;
  return CPU_COLUMNS.some(([column]) => column === name) && Number(concurrency) === CPU_CONCURRENCY;
}

function failureLines(failures) {
  if (failures.length === 0) return [];
  const lines = failures.map(({ round, contenderId, kind, what, message }) =>
    `- round ${round + 1}, ${contenderId}, ${kind}, ${what}: ${message}`);
  return ['## Failures', 'These have no figure in their round.', lines.join('\n')];
}

function verdictText(met, clear) {
  if (met === null) return 'not measured';
  return `${met ? 'met' : '**missed**'}${clear ? '' : ' (rounds differ)'}`;
}

const labels = (contenders) => contenders.map(({ label }) => label);

function figure(found) {
  return spread(found, digits);
}

function digits(value) {
  if (value === 0 || Number.isInteger(value)) return String(value);
  if (Math.abs(value) >= 1000) return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}
