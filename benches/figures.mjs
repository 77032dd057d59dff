// npm run bench:figures: what an outage costs with Holdfast, and what its writes cost the server. Written to
// benches/RESULTS-figures.md. Medians of the rounds, with the smallest and the largest.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { endAll, endOnSignals } from '../scripts/lib/processes.mjs';
import { redisServer } from '../scripts/lib/tools.mjs';
import { machine as describeMachine } from './lib/machine.mjs';
import { Server, until } from './figures/server.mjs';

const { createHoldfast } = createRequire(import.meta.url)('../dist/index.js');
const ROUNDS = 7;
const benches = fileURLToPath(new URL('./', import.meta.url));

endOnSignals();
const machine = describeMachine();
const binary = await redisServer(console.log);
if (process.argv[2] === '--overload') {
  console.log(JSON.stringify(await overload()));
  process.exit(0);
}
const rows = [];
for (const [name, goal, unit, measure] of [
  ['First answer after kill -9', '< 5', 'ms', firstAnswerAfterKill],
  ['100 calls on their way when the server is frozen: all settled after', '<= 1100', 'ms', settledAfterFreeze],
  ['99 % of 1,000 calls after that take at most', '< 1', 'ms', () => laterAfterFreeze(990)],
  ['The slowest of them, V8 collecting garbage in between', '< 1', 'ms', () => laterAfterFreeze(1000)],
  ['From a thawed server answering again to Redis answering calls', '< 1000', 'ms', flip],
  ['From a server that was dead for 6 s answering again to Redis answering calls', '< 1000', 'ms', flipAfterRestart],
  ['Replay beside live traffic', '>= 50000', 'intents a second', replay],
  ['A refusal, of 100,000 calls at once to a frozen server: the slowest', '< 1', 'ms', refusal],
  ['Resident memory that these calls add', 'stated', 'MB', refusalMemory],
  ['Server CPU of a set, of a plain SET of the same bytes', '<= 1.2', 'times', () => serverCpu('set', {})],
  ['Server CPU of a delete, of a plain UNLINK', '<= 2.5', 'times', () => serverCpu('delete', {})],
  ['Server CPU of a set with fencedWrites', 'stated', 'times', () => serverCpu('set', { fencedWrites: true })],
  ['Server CPU of a delete with fencedWrites', 'stated', 'times', () => serverCpu('delete', { fencedWrites: true })],
]) {
  const found = [];
  for (let round = 0; round < ROUNDS; round++) found.push(await measure());
  found.sort((a, b) => a - b);
  const shown = (value) => (value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3));
  rows.push(`| ${name} | ${goal} ${unit} | ${shown(found[ROUNDS >> 1])} | ${shown(found[0])} to ${shown(found[ROUNDS - 1])} |`);
  console.log(rows.at(-1));
}
const text = `# What an outage costs

\`npm run bench:figures\`, ${new Date().toISOString().slice(0, 10)}, ${machine.cores} cores, Node ${process.version}. Medians of ${ROUNDS} rounds, with the smallest and the largest. Times are taken in the caller's process, on loopback.

| Figure | Goal | Median | From to |
|---|---|---|---|
${rows.join('\n')}

The server's CPU is \`used_cpu_user\` and \`used_cpu_sys\` of INFO over 100,000 operations of 100 bytes, 200 at a time, beside the same number of raw commands through the same kind of client, each on an empty server of its own.
`;
writeFileSync(`${benches}RESULTS-figures.md`, text);
console.log(`\n${text}`);
endAll('SIGKILL');
process.exit(0);

/** An instance that has met its server, and the server. */
async function scene(options = {}) {
  const server = await Server.start(binary);
  const holdfast = createHoldfast({ env: {}, url: server.url, keyPrefix: 'f:', ...options });
  const keys = Array.from({ length: 100 }, (_, n) => `key:${n}`);
  await Promise.all(keys.map((key) => holdfast.cacheManager.set(key, 'x'.repeat(98))));
  await Promise.all(keys.map((key) => holdfast.cacheManager.get(key)));
  const end = async () => {
    server.kill();
    await holdfast.close();
  };
  return { server, holdfast, cache: holdfast.cacheManager, keys, end };
}

async function firstAnswerAfterKill() {
  const { server, cache, end } = await scene();
  server.kill();
  const began = performance.now();
  await cache.get('key:1');
  const took = performance.now() - began;
  await end();
  return took;
}

async function frozen() {
  const found = await scene();
  found.server.freeze();
  const began = performance.now();
  await Promise.all(found.keys.map((key, n) => (n % 2 === 0 ? found.cache.get(key) : found.cache.set(key, n))));
  return { ...found, settled: performance.now() - began };
}

async function settledAfterFreeze() {
  const { settled, end } = await frozen();
  await end();
  return settled;
}

async function laterAfterFreeze(place) {
  const { cache, keys, end } = await frozen();
  const took = [];
  for (let n = 0; n < 1000; n++) {
    const began = performance.now();
    await cache.get(keys[n % 100]);
    took.push(performance.now() - began);
  }
  await end();
  return took.sort((a, b) => a - b)[place - 1];
}

/** From a server that answers again to Redis answering calls. */
async function flipOf({ server, holdfast, end }) {
  await server.answers();
  const began = performance.now();
  await until(() => holdfast.isRedisAvailable());
  const took = performance.now() - began;
  await end();
  return took;
}

async function flip() {
  const found = await frozen();
  found.server.thaw();
  return flipOf(found);
}

async function flipAfterRestart() {
  const found = await scene();
  found.server.kill();
  await found.cache.get('key:1');
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  found.server.restart(binary);
  return flipOf(found);
}

async function replay() {
  const { holdfast, cache, end } = await scene();
  const { fallbackManager } = holdfast;
  await fallbackManager.forceFallbackMode(true);
  const count = 200_000;
  for (let n = 0; n < count; n += 1000) {
    await Promise.all(Array.from({ length: 1000 }, (_, at) => cache.set(`replayed:${n + at}`, 'x'.repeat(98))));
  }
  let live = true;
  const traffic = (async () => {
    for (let n = 0; live; n++) await Promise.all(Array.from({ length: 20 }, (_, at) => cache.get(`key:${(n + at) % 100}`)));
  })();
  const began = performance.now();
  await fallbackManager.forceFallbackMode(false);
  await until(() => fallbackManager.getStats().journalDepth === 0);
  const took = performance.now() - began;
  live = false;
  await traffic;
  await end();
  return count / (took / 1000);
}

async function overload() {
  const { server, holdfast, end } = await scene();
  server.freeze();
  const client = holdfast.redisClient.getClient();
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let slowest = 0;
  const calls = [];
  for (let n = 0; n < 100_000; n++) {
    const began = performance.now();
    const call = client.call('SET', `many:${n}`, 'x'.repeat(98)).catch((error) => {
      if (error.code === 'E_OVERLOADED' && n >= 99_000) slowest = Math.max(slowest, performance.now() - began);
    });
    calls.push(call);
    // As many as a busy app makes in one turn of the event loop.
    if (n % 100 === 99) await new Promise(setImmediate);
  }
  const rss = (process.memoryUsage().rss - before) / 1024 / 1024;
  await Promise.all(calls);
  await end();
  return { slowest, rss };
}

/** In a process of its own, whose memory nothing else has touched. */
function overloaded() {
  const args = ['--expose-gc', fileURLToPath(import.meta.url), '--overload'];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

function refusal() {
  return overloaded().slowest;
}

function refusalMemory() {
  return overloaded().rss;
}

/** How much more of the server's CPU ours takes, each on a server of its own, so that both fill an empty table. */
async function serverCpu(kind, options) {
  return (await cpuOf(kind, 'ours', options)) / (await cpuOf(kind, 'plain', options));
}

async function cpuOf(kind, whose, options) {
  const { server, holdfast, cache, end } = await scene(options);
  const total = 100_000;
  const value = 'x'.repeat(98);
  const many = async (one) => {
    for (let n = 0; n < total; n += 200) await Promise.all(Array.from({ length: 200 }, (_, at) => one(n + at)));
  };
  const client = holdfast.redisClient.getClient();
  // As many bytes as the stored value has with its envelope, under a key as long.
  const same = 'x'.repeat(28 + 100);
  const ways = {
    plain: { set: (n) => client.call('SET', `plain:ours:${n}`, same, 'PX', 3600000), delete: (n) => client.call('UNLINK', `plain:ours:${n}`) },
    ours: { set: (n) => cache.set(`ours:${n}`, value), delete: (n) => cache.delete(`ours:${n}`) },
  }[whose];
  await many((n) => ways.set(n % 100));
  if (kind === 'delete') await many(ways.set);
  const before = await server.cpuSeconds();
  await many(ways[kind]);
  const took = (await server.cpuSeconds()) - before;
  await end();
  return took;
}
