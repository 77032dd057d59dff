// A child process: one contender, all cells of one kind, in a closed loop. Prints one line of JSON.
import { performance } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import { contenderNamed } from '../contenders/index.mjs';
import { connectionsOf } from './asker.mjs';
import { answer, request } from './child.mjs';
import { cpuMeter } from './cpu.mjs';
import { LIFETIME_SECONDS, keysOf, loadCells, valueOf } from './plan.mjs';

const { contenderId, kind, port, seconds, warmupSeconds } = request();
const contender = contenderNamed(contenderId);
const store = await contender.open(await contender.load(), { port, lifetimeSeconds: LIFETIME_SECONDS });

const cells = loadCells[kind];
const data = new Map();
for (const { size } of cells) {
  if (data.has(size)) continue;
  const keys = keysOf(contenderId, size);
  const values = keys.map((_, index) => valueOf(size, index));
  data.set(size, { keys, values });
  await seed(keys, values);
}

// The first cell must not pay for the compiler's warming up with the client's whole path.
await warmUp(getter(data.get(cells[0].size).keys), 100);
const results = [];
for (const cell of cells) results.push({ ...cell, ...(await run(cell)) });
const connections = port === null ? 0 : await connectionsOf(port);
await checkSource();
await store.close();
answer({ results, connections });

/** Writes the values and makes sure that they come back whole, and as the caller's own object each time. */
async function seed(keys, values) {
  for (const [index, key] of keys.entries()) {
    await store.set(key, values[index]);
    const first = await store.get(key);
    const second = await store.get(key);
    if (!isDeepStrictEqual(first, values[index])) throw new Error(`${key} did not come back as it was set.`);
    if (first === second) throw new Error(`${contenderId} hands out one shared object: that is not the same work.`);
  }
  await checkSource();
}

async function checkSource() {
  if (store.source === undefined) return;
  for (const { keys } of data.values()) {
    const source = await store.source(keys[0]);
    if (source !== kind) throw new Error(`${keys[0]} was answered by ${source}, but this measures ${kind}.`);
  }
}

async function run({ operation, size, concurrency }) {
  const { keys, values } = data.get(size);
  const perform = operation === 'get' ? getter(keys) : setter(keys, values);
  const rate = await warmUp(perform, concurrency);
  const count = Math.max(concurrency, Math.ceil(rate * seconds));
  const latencies = concurrency === 1 && kind === 'redis' ? new Float64Array(count) : null;
  const meter = cpuMeter();
  const began = performance.now();
  if (latencies === null) await closedLoop(perform, concurrency, count);
  else await timedLoop(perform, latencies);
  const elapsedMs = performance.now() - began;
  return { count, elapsedMs, cpu: meter.stop(), ...percentiles(latencies) };
}

function getter(keys) {
  return async (turn) => {
    const index = turn % keys.length;
    const value = await store.get(keys[index]);
    if (value === null || value.id !== index) throw new Error(`${keys[index]} got a wrong answer.`);
  };
}

function setter(keys, values) {
  return async (turn) => {
    const index = turn % keys.length;
    if (!(await store.set(keys[index], values[index]))) throw new Error(`${keys[index]} was not kept.`);
  };
}

/** `concurrency` workers that each wait for an answer before they ask again. */
async function closedLoop(perform, concurrency, count) {
  let turn = 0;
  const worker = async () => {
    while (turn < count) {
      const mine = turn;
      turn += 1;
      await perform(mine);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

async function timedLoop(perform, latencies) {
  for (let turn = 0; turn < latencies.length; turn += 1) {
    const began = performance.now();
    await perform(turn);
    latencies[turn] = performance.now() - began;
  }
}

/** Runs until the time is up, in growing pieces, and answers the rate per second of the last one. */
async function warmUp(perform, concurrency) {
  const until = performance.now() + warmupSeconds * 1000;
  let count = concurrency * 4;
  for (;;) {
    const began = performance.now();
    await closedLoop(perform, concurrency, count);
    const ended = performance.now();
    if (ended >= until) return count / ((ended - began) / 1000);
    if ((ended - began) * 4 < warmupSeconds * 1000) count *= 2;
  }
}

function percentiles(latencies) {
  if (latencies === null) return {};
  latencies.sort();
  const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))];
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
