// The rounds: every contender once per round and outage, each in a fresh process with a server of its own.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { now } from '../../scripts/soak/clock.mjs';
import { Server } from '../../scripts/soak/server.mjs';
import { AWAY_MS, BACK_MS, LIMIT_MS, textOf } from './plan.mjs';
import { heldBy } from './stored.mjs';

/** No times are taken in the long outage, so all contenders go through it at once. */
const SCENARIOS = ['killed', 'frozen', 'written'];
const AT_ONCE = ['writtenLong'];

/** [{ round, contenderId, scenario, result }]; `result.crash` where the process ended without an answer. */
export async function runRounds({ contenders, rounds, binary, tell }) {
  const results = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const scenario of SCENARIOS) {
      const inTurn = contenders.map((_, index) => contenders[(index + round) % contenders.length]);
      for (const contender of inTurn) {
        tell(`round ${round + 1} of ${rounds}: ${scenario}, ${contender.label}`);
        results.push({ round, contenderId: contender.id, scenario, result: await runOne(contender, scenario, binary) });
      }
    }
    for (const scenario of AT_ONCE) {
      tell(`round ${round + 1} of ${rounds}: ${scenario}, all at once`);
      results.push(...(await Promise.all(contenders.map(async (contender) => (
        { round, contenderId: contender.id, scenario, result: await runOne(contender, scenario, binary) }
      )))));
    }
  }
  return results;
}

async function runOne(contender, scenario, binary) {
  const server = await Server.start(binary);
  try {
    const result = await inChild({ contenderId: contender.id, scenario, port: server.port }, server);
    if (AWAY_MS[scenario] === undefined || result.crash !== undefined) return result;
    return { ...result, ...(await judged(contender, result, server.port)) };
  } finally {
    await server.end();
  }
}

function inChild(message, server) {
  const deeds = {
    kill: () => server.kill({ keepsData: true }),
    freeze: () => server.freeze(),
    start: () => server.start(),
    look: async () => (await heldBy(server.port)).size,
  };
  const child = fork(fileURLToPath(new URL('./child.mjs', import.meta.url)), [JSON.stringify(message)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { PATH: process.env.PATH, NODE_ENV: 'production' },
  });
  const endWithUs = () => child.kill('SIGKILL');
  process.once('exit', endWithUs);
  return new Promise((resolve) => {
    let complaint = '';
    let result;
    const limit = setTimeout(() => child.kill('SIGKILL'), 4 * LIMIT_MS + (AWAY_MS[message.scenario] ?? 0) + BACK_MS);
    child.stderr.on('data', (chunk) => (complaint += chunk));
    child.on('message', async ({ deed, result: answer }) => {
      result ??= answer;
      if (deed === undefined) return;
      const at = now();
      const seen = await deeds[deed]();
      if (child.connected) child.send({ at, seen });
    });
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      process.removeListener('exit', endWithUs);
      resolve(result ?? { crash: complaint.trim().split('\n')[0] || `ended with ${signal ?? `code ${code}`}` });
    });
  });
}

/** What the server holds of all that was acknowledged during the outage. */
async function judged({ holds = (stored, text) => stored.includes(text) }, { writes, deletes }, port) {
  const stored = await heldBy(port);
  const isKept = (key) => stored.has(key) && holds(stored.get(key), textOf(key));
  const count = ({ acknowledged, pending }, wrong) => ({
    acknowledged: acknowledged.length,
    pending,
    wrong: acknowledged.filter(wrong).length,
  });
  return { writes: count(writes, (key) => !isKept(key)), deletes: count(deletes, (key) => stored.has(key)) };
}
