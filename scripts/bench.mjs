// npm run bench: Holdfast and its rivals in one run, written to benches/RESULTS.md and benches/results.json.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { contenderNamed, contenders as all } from '../benches/contenders/index.mjs';
import { machine as describeMachine, nativeFileBytes, versionsOf } from '../benches/lib/machine.mjs';
import { startRedis } from '../benches/lib/redis-server.mjs';
import { report } from '../benches/lib/report.mjs';
import { measuresOf, runRounds } from '../benches/lib/run.mjs';

const HELP = `npm run bench -- [options]
  --rounds N   rounds to run (default 7, about 15 minutes; 3 with --quick, about 3)
  --quick      0.3 s per cell instead of 1 s: a look, not a result
  --only a,b   these contenders alone: ${all.map(({ id }) => id).join(', ')}
Results go to benches/RESULTS.md and benches/results.json; those of --quick and --only go to benches/.cache/ instead.`;

const root = fileURLToPath(new URL('../', import.meta.url));
const benches = `${root}benches/`;

// Ending by a signal must still run the exit handlers, one of which ends the Redis server.
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) process.once(signal, () => process.exit(code));

try {
  await main(settingsFrom(process.argv.slice(2)));
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}

async function main({ help, rounds, seconds, warmupSeconds, contenders, folder }) {
  if (help) return console.log(HELP);
  if (contenders.some(({ id }) => id === 'holdfast')) needBuiltPackage();
  installRivals();
  const machine = describeMachine();
  if (machine.loadBefore > 0.5) {
    console.log(`The machine is busy (load average ${machine.loadBefore.toFixed(2)}): the figures will suffer.`);
  }
  const date = new Date().toISOString().slice(0, 10);
  const settings = { rounds, seconds, warmupSeconds };
  const redis = await startRedis();
  let raw;
  try {
    raw = await runRounds({ ...settings, contenders, port: redis.port, tell: (line) => console.log(line) });
  } finally {
    await redis.stop();
  }

  const { failures } = raw;
  const found = {
    date, machine, settings, versions: versionsOf(contenders), redisVersion: redis.version,
    nativeBytes: nativeFileBytes(), failures, measures: measuresOf(raw, rounds),
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}results.json`, `${JSON.stringify(found, null, 1)}\n`);
  const text = report({ ...found, contenders });
  writeFileSync(`${folder}RESULTS.md`, text);
  console.log(`\n${text}\nWritten to ${folder}RESULTS.md and results.json.`);
  // A slow result is a result; a contender that could not be measured is a fault of the run.
  if (failures.length > 0) throw new Error(`${failures.length} measurements failed, see "Failures" above.`);
}

function settingsFrom(argv) {
  const options = {
    help: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
  };
  const { help, quick, rounds: wanted, only } = parseArgs({ args: argv, options }).values;
  const rounds = wanted === undefined ? (quick ? 3 : 7) : Number(wanted);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds: a whole number from 1 on, not "${wanted}".`);
  return {
    help,
    rounds,
    seconds: quick ? 0.3 : 1,
    warmupSeconds: quick ? 0.15 : 0.4,
    contenders: only === undefined ? all : only.split(',').map((id) => contenderNamed(id.trim())),
    folder: quick || only !== undefined ? `${benches}.cache/` : benches,
  };
}

function needBuiltPackage() {
  if (!existsSync(`${root}dist/index.js`)) throw new Error('The package is not built: run `npm run build` first.');
  if (nativeFileBytes() === null) throw new Error('The native file is not built: run `npm run build:native` first.');
}

/** Exactly what the lock file names; nothing is fetched when that is what is installed. */
function installRivals() {
  const { packages } = JSON.parse(readFileSync(`${benches}package-lock.json`, 'utf8'));
  const isInstalled = Object.entries(packages).every(([path, { version, optional }]) => {
    if (path === '') return true;
    const file = `${benches}${path}/package.json`;
    if (!existsSync(file)) return optional === true;
    return JSON.parse(readFileSync(file, 'utf8')).version === version;
  });
  if (isInstalled) return;
  console.log('Installing the rivals of benches/package-lock.json ...');
  // No contender needs an install script.
  const command = 'npm ci --ignore-scripts --no-audit --no-fund';
  const { status } = spawnSync(command, { cwd: benches, stdio: 'inherit', shell: true });
  if (status !== 0) throw new Error(`\`npm ci\` in benches/ failed (on ${os.platform()} ${os.arch()}).`);
}
