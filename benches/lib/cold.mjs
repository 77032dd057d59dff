// A child process: how long a library takes from being asked for to its first answer, and the memory that this adds.
import { performance } from 'node:perf_hooks';
import { contenderNamed } from '../contenders/index.mjs';
import { answer, request } from './child.mjs';
import { COLD_SIZE, LIFETIME_SECONDS, keysOf, valueOf } from './plan.mjs';

const { contenderId, port } = request();
const contender = contenderNamed(contenderId);
const [key] = keysOf(contenderId, COLD_SIZE);
const value = valueOf(COLD_SIZE, 0);

const bareBytes = process.memoryUsage.rss();
const began = performance.now();
const library = await contender.load();
const loaded = performance.now();
const store = await contender.open(library, { port, lifetimeSeconds: LIFETIME_SECONDS });
// Redis holds the value already, memory starts empty.
if (port === null) await store.set(key, value);
const first = await store.get(key);
const answered = performance.now();
const bytes = process.memoryUsage.rss();

if (first === null || first.text !== value.text) throw new Error(`The first answer of ${contenderId} was wrong.`);
await store.close();
answer({ loadMs: loaded - began, firstAnswerMs: answered - began, addedBytes: bytes - bareBytes });
