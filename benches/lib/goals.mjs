// The figures that Holdfast sets itself, each compared with what this run measured.
import { ratioSummary, summary } from './statistics.mjs';

const rateGoal = (size, rival, name, least) => ({
  text: `get at concurrency 100, ${size} bytes: at least ${least} times ${name}`,
  measure: `redis/get/${size}/100/rate`,
  rival,
  atLeast: least,
});

const GOALS = [
  rateGoal(100, 'ioredis', 'ioredis', 2.5),
  rateGoal(100, 'ioredis-auto-pipelining', 'its auto-pipelining', 1.4),
  rateGoal(700, 'ioredis', 'ioredis', 2.0),
  rateGoal(700, 'ioredis-auto-pipelining', 'its auto-pipelining', 1.25),
  ...[100, 700].map((size) => ({
    text: `main-thread CPU per get at concurrency 100, ${size} bytes: at most 45 % of auto-pipelining's`,
    measure: `redis/get/${size}/100/main-cpu`,
    // Where the system does not tell a thread's CPU time, the event loop's busy time stands in for it.
    otherwise: `redis/get/${size}/100/loop-busy`,
    rival: 'ioredis-auto-pipelining',
    atMost: 0.45,
  })),
  {
    text: 'get at concurrency 1, 100 bytes: median latency at most 1.2 times that of ioredis',
    measure: 'redis/get/100/1/p50',
    rival: 'ioredis',
    atMost: 1.2,
  },
  ...[1, 100].map((concurrency) => ({
    text: `memory hit, 700 bytes, parsed, concurrency ${concurrency}: at most 0.6 of BentoCache's time`,
    measure: `memory/get/700/${concurrency}/time`,
    rival: 'bentocache',
    atMost: 0.6,
  })),
  ...['memory', 'redis'].map((kind) => ({
    text: `require plus first answer on ${kind}: under 10 ms`,
    measure: `${kind}/cold/first-answer`,
    unit: 'ms',
    atMost: 10,
  })),
];

const NATIVE_LIMIT_MB = 8;

/** [{text, found: {median, min, max} | null, unit, met: boolean | null, clear}]; null where nothing was measured. */
export function goalsOf(measures, nativeBytes) {
  const byId = new Map(measures.map((measure) => [measure.id, measure]));
  const judged = GOALS.map((goal) => {
    const measure = byId.get(goal.measure) ?? byId.get(goal.otherwise);
    const ours = measure?.values.holdfast ?? [];
    const found = goal.rival === undefined ? summary(ours) : ratioSummary(ours, measure?.values[goal.rival] ?? []);
    return { text: goal.text, found, unit: goal.unit ?? '×', ...verdict(goal, found) };
  });
  const megabytes = nativeBytes === null ? null : nativeBytes / 1e6;
  judged.push({
    text: `native file: under ${NATIVE_LIMIT_MB} MB`,
    found: megabytes === null ? null : { median: megabytes, min: megabytes, max: megabytes },
    unit: 'MB',
    met: megabytes === null ? null : megabytes < NATIVE_LIMIT_MB,
    clear: true,
  });
  return judged;
}

// Judged by the median; `clear` says whether every single round would have given the same verdict.
function verdict({ atLeast, atMost }, found) {
  if (found === null) return { met: null, clear: false };
  const reaches = (figure) => (atLeast === undefined ? figure <= atMost : figure >= atLeast);
  return { met: reaches(found.median), clear: reaches(found.min) === reaches(found.max) };
}
