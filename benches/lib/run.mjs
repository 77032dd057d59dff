// The rounds: every contender once per round, each in a fresh process, in an order that turns from round to round.
import { ask } from './child.mjs';
import { median } from './statistics.mjs';
import { loadCells } from './plan.mjs';

const KINDS = ['redis', 'memory'];
const COLD_STARTS_PER_ROUND = 3;

/** Runs everything and answers the raw figures: {load, cold, failures}. `tell` gets a line of progress at a time. */
export async function runRounds({ contenders, rounds, seconds, warmupSeconds, port, tell }) {
  const load = [];
  const cold = [];
  const failures = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of KINDS) {
      const serving = contenders.filter((contender) => contender.serves.includes(kind));
      const inTurn = serving.map((_, index) => serving[(index + round) % serving.length]);
      const serverPort = kind === 'redis' ? port : null;
      const attempt = async (contender, what, script, message, limitMs) => {
        try {
          return await ask(script, { contenderId: contender.id, port: serverPort, ...message }, { limitMs });
        } catch (error) {
          failures.push({ round, contenderId: contender.id, kind, what, message: error.message });
          tell(`  ${contender.label}, ${kind}, ${what}: FAILED: ${error.message}`);
          return null;
        }
      };

      for (const contender of inTurn) {
        tell(`round ${round + 1} of ${rounds}: ${kind}, ${contender.label}`);
        // Twenty times what is planned: enough for a slow machine, and an end for a client that hangs.
        const limitMs = 30_000 + loadCells[kind].length * (seconds + warmupSeconds) * 20_000;
        const given = await attempt(contender, 'load', './load.mjs', { kind, seconds, warmupSeconds }, limitMs);
        if (given !== null) load.push({ round, contenderId: contender.id, kind, ...given });
      }
      // After the load, when Redis holds every contender's values and the files of every library are in the page cache.
      const starting = inTurn.filter((contender) => contender.coldStartIsThatOf === undefined);
      for (let start = 0; start < COLD_STARTS_PER_ROUND; start += 1) {
        for (const contender of starting) {
          const given = await attempt(contender, 'cold start', './cold.mjs', {}, 30_000);
          if (given !== null) cold.push({ round, contenderId: contender.id, kind, ...given });
        }
      }
    }
  }
  return { load, cold, failures };
}

/**
 * The raw figures as measures: {id, unit, better: 'higher' | 'lower', label, values: {[contenderId]: one per round}}.
 * A round without a figure is null.
 */
export function measuresOf({ load, cold }, rounds) {
  const measures = new Map();
  const put = (id, about, contenderId, round, value) => {
    if (value === null || value === undefined) return;
    if (!measures.has(id)) measures.set(id, { id, ...about, values: {} });
    const { values } = measures.get(id);
    values[contenderId] ??= Array.from({ length: rounds }, () => null);
    values[contenderId][round] = value;
  };

  for (const { round, contenderId, kind, results, connections } of load) {
    for (const { operation, size, concurrency, count, elapsedMs, cpu, p50Ms, p99Ms } of results) {
      const id = `${kind}/${operation}/${size}/${concurrency}`;
      const label = `${operation} ${operation === 'get' ? 'from' : 'to'} ${kind}, ${size} bytes, concurrency ${concurrency}`;
      const record = (name, unit, better, value) =>
        put(`${id}/${name}`, { unit, better, label: `${label}: ${TITLES[name]}` }, contenderId, round, value);
      record('rate', 'operations/s', 'higher', count / (elapsedMs / 1000));
      record('time', 'µs', 'lower', (elapsedMs * 1000) / count);
      record('main-cpu', 'µs', 'lower', cpu.mainThreadMicros === null ? null : cpu.mainThreadMicros / count);
      record('loop-busy', 'µs', 'lower', cpu.loopBusyMicros / count);
      record('all-cpu', 'µs', 'lower', cpu.allThreadsMicros / count);
      record('p50', 'µs', 'lower', p50Ms === undefined ? null : p50Ms * 1000);
      record('p99', 'µs', 'lower', p99Ms === undefined ? null : p99Ms * 1000);
    }
    if (kind === 'redis') {
      const about = { unit: 'connections', better: 'lower', label: 'connections on the server after the load' };
      put('redis/connections', about, contenderId, round, connections);
    }
  }

  for (const [key, starts] of groupBy(cold, coldKey)) {
    const [kind, contenderId, round] = key.split(' ');
    const record = (name, unit, of) => {
      const about = { unit, better: 'lower', label: `cold start on ${kind}: ${TITLES[name]}` };
      put(`${kind}/cold/${name}`, about, contenderId, Number(round), median(starts.map(of)));
    };
    record('load', 'ms', (start) => start.loadMs);
    record('first-answer', 'ms', (start) => start.firstAnswerMs);
    record('memory', 'MB', (start) => start.addedBytes / 1024 / 1024);
  }
  return [...measures.values()];
}

const TITLES = {
  rate: 'operations per second',
  time: 'time per operation',
  'main-cpu': 'CPU time of the main thread per operation',
  'loop-busy': 'busy time of the event loop per operation',
  'all-cpu': 'CPU time of all threads per operation',
  p50: 'median latency',
  p99: '99th percentile latency',
  load: 'require',
  'first-answer': 'require to first answer',
  memory: 'memory added',
};

const coldKey = ({ kind, contenderId, round }) => `${kind} ${contenderId} ${round}`;

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
