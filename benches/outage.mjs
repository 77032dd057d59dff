// npm run bench:outage: what an outage does to Holdfast and to its rivals, written to benches/RESULTS-outage.md.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installLocked } from '../scripts/lib/packages.mjs';
import { endAll, endOnSignals } from '../scripts/lib/processes.mjs';
import { redisServer } from '../scripts/lib/tools.mjs';
import { machine as describeMachine, nativeFileBytes, versionsOf } from './lib/machine.mjs';
import { contenderNamed, contenders as all } from './outage/contenders.mjs';
import { report } from './outage/report.mjs';
import { runRounds } from './outage/run.mjs';

const HELP = `npm run bench:outage -- [options]
  --rounds N   rounds to run (default 3, about 16 minutes)
  --only a,b   these contenders alone: ${all.map(({ id }) => id).join(', ')}
Results go to benches/RESULTS-outage.md; those of --only go to benches/.cache/ instead.`;

const benches = fileURLToPath(new URL('./', import.meta.url));
const tell = (line) => console.log(line);

endOnSignals();
try {
  await main(settingsFrom(process.argv.slice(2)));
} catch (error) {
  console.error(`bench:outage: ${error.message}`);
  process.exitCode = 1;
}
endAll('SIGKILL');

async function main({ help, rounds, contenders, folder }) {
  if (help) return console.log(HELP);
  if (nativeFileBytes() === null) throw new Error('The package is not built: run `npm run build` first.');
  if (await installLocked(benches)) tell('Installed the rivals of benches/package-lock.json.');
  const binary = await redisServer(tell);
  const machine = describeMachine();
  const results = await runRounds({ contenders, rounds, binary, tell });
  const text = report({
    date: new Date().toISOString().slice(0, 10),
    machine,
    redisVersion: /v=([\d.]+)/.exec(String(spawnSync(binary, ['--version']).stdout))?.[1] ?? 'unknown',
    rounds,
    versions: versionsOf(contenders),
    contenders,
    results,
  });
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}RESULTS-outage.md`, text);
  tell(`\n${text}\nWritten to ${folder}RESULTS-outage.md.`);
}

function settingsFrom(args) {
  const options = { help: { type: 'boolean', default: false }, rounds: { type: 'string', default: '3' }, only: { type: 'string' } };
  const { help, rounds, only } = parseArgs({ args, options }).values;
  if (!(Number.isInteger(Number(rounds)) && Number(rounds) >= 1)) throw new Error(`--rounds: a whole number from 1 on, not "${rounds}".`);
  return {
    help,
    rounds: Number(rounds),
    contenders: only === undefined ? all : only.split(',').map((id) => contenderNamed(id.trim())),
    folder: only === undefined ? benches : `${benches}.cache/`,
  };
}
