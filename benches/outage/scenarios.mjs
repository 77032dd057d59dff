// The outages that a contender goes through, each in a fresh process. `server` does to the server what it is
// told ('kill', 'freeze', 'start', 'look'), and answers with the moment before it and what it saw.
import { now, pause, within } from '../../scripts/soak/clock.mjs';
import { AWAY_MS, BACK_MS, DELETED, KNOWN_MS, LATER, LIMIT_MS, OUTSTANDING, WARM, WRITTEN, textOf } from './plan.mjs';

const EVERY_MS = 20;

/** kill -9, and reads from then on: when the first of them is settled, and how. */
export async function killed(client, server) {
  await warm(client);
  const { at } = await server('kill');
  let first = null;
  while (first === null && now() - at < LIMIT_MS) {
    void settled(client.get(WARM)).then((result) => (first ??= { ms: now() - at, how: result.how }));
    await pause(EVERY_MS);
  }
  return { first };
}

/** SIGSTOP, with calls outstanding: when all of them are settled, and what later ones take. */
export async function frozen(client, server) {
  await warm(client);
  const { at } = await server('freeze');
  const outcomes = new Map();
  let lastAt = at;
  for (let call = 0; call < OUTSTANDING; call += 1) {
    void settled(client.get(WARM)).then(({ how }) => {
      outcomes.set(how, (outcomes.get(how) ?? 0) + 1);
      lastAt = now();
    });
  }
  const count = () => [...outcomes.values()].reduce((sum, each) => sum + each, 0);
  await within(LIMIT_MS, () => count() === OUTSTANDING);
  const outstanding = { ms: count() === OUTSTANDING ? lastAt - at : null, pending: OUTSTANDING - count(), how: most(outcomes) };
  return { outstanding, later: await laterCalls(client) };
}

/** One after the other, all within the limit. */
async function laterCalls(client) {
  const bound = now() + LIMIT_MS;
  const times = [];
  const outcomes = new Map();
  while (times.length < LATER) {
    const begun = now();
    const result = await Promise.race([settled(client.get(WARM)), pause(bound - begun)]);
    if (result === undefined) return { ms: null, how: 'pending' };
    times.push(now() - begun);
    outcomes.set(result.how, (outcomes.get(result.how) ?? 0) + 1);
  }
  return { ms: times.sort((one, other) => one - other)[Math.floor(LATER / 2)], how: most(outcomes) };
}

/** kill -9, writes and deletes while it lasts, and the server back with its data. The caller looks what it holds. */
export const written = (client, server) => writing(client, server, AWAY_MS.written);
export const writtenLong = (client, server) => writing(client, server, AWAY_MS.writtenLong);

async function writing(client, server, awayMs) {
  await warm(client);
  await fill(client, server);
  const { at } = await server('kill');
  await pause(KNOWN_MS);
  const writes = follow(WRITTEN, (key) => client.set(key, textOf(key)));
  const deletes = follow(DELETED, (key) => client.delete(key));
  await pause(at + awayMs - now());
  // What is acknowledged later was not acknowledged during the outage.
  const during = { writes: writes(), deletes: deletes() };
  await server('start');
  await pause(BACK_MS);
  return during;
}

/** Makes all the calls at once. Gives a function that tells how they stand. */
function follow(keys, call) {
  const acknowledged = [];
  let pending = keys.length;
  for (const key of keys) {
    void settled(call(key)).then(({ how, value }) => {
      pending -= 1;
      // `false` of a delete says that nothing was there; of a write, that it was not kept.
      if (how !== 'error' && !(keys === WRITTEN && value === false)) acknowledged.push(key);
    });
  }
  return () => ({ acknowledged: [...acknowledged], pending });
}

async function warm(client) {
  await client.set(WARM, textOf(WARM));
  await client.get(WARM);
  // What a library does in the background is done before the outage.
  await pause(500);
}

/** Only what is on the server before the outage can be back after it. */
async function fill(client, server) {
  const bound = now() + LIMIT_MS;
  do {
    for (const key of DELETED) await client.set(key, textOf(key));
    await pause(200);
    if (now() > bound) throw new Error('what is written does not reach the server');
  } while ((await server('look')).seen < DELETED.length);
}

/** { how: 'answer' | 'nothing' | 'error', value }; never rejects. */
async function settled(call) {
  try {
    const value = await call;
    return { how: value === null || value === undefined ? 'nothing' : 'answer', value };
  } catch {
    return { how: 'error' };
  }
}

const most = (outcomes) => [...outcomes].sort(([, one], [, other]) => other - one)[0]?.[0] ?? 'pending';
