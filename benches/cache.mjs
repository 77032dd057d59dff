// npm run bench:cache: what hits, tags, batches, size and coherence cost. With --write: benches/RESULTS-cache.md.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installLocked } from '../scripts/lib/packages.mjs'
import { endAll, endOnSignals } from '../scripts/lib/processes.mjs'
import { partNamed, parts as all } from './cache/parts.mjs'
import { report } from './cache/report.mjs'
import { runRounds } from './cache/run.mjs'
import { machine as describeMachine, nativeFileBytes, versionsOf } from './lib/machine.mjs'

const HELP = `npm run bench:cache -- [options]
  --rounds N   rounds to run (default 7, about 20 minutes)
  --only a,b   these parts alone: ${all.map(({ id }) => id).join(', ')}
  --write      results go to benches/RESULTS-cache.md; those of --only go to benches/.cache/ instead`

const benches = fileURLToPath(new URL('./', import.meta.url))

endOnSignals()
try {
  await main(settingsFrom(process.argv.slice(2)))
} catch (error) {
  console.error(`bench:cache: ${error.message}`)
  process.exitCode = 1
}
endAll('SIGKILL')

async function main({ help, write, rounds, parts, folder }) {
  if (help) return console.log(HELP)
  if (nativeFileBytes() === null) throw new Error('The package is not built: run `npm run build` first.')
  if (await installLocked(benches)) console.log('Installed the rivals of benches/package-lock.json.')
  const machine = describeMachine()
  if (machine.loadBefore > 0.5) {
    console.log(`The machine is busy (load average ${machine.loadBefore.toFixed(2)}): the figures will suffer.`)
  }
  const results = await runRounds({ parts, rounds, tell: (line) => console.log(line) })
  const text = report({
    date: new Date().toISOString().slice(0, 10),
    machine,
    redisVersion: /v=([\d.]+)/.exec(String(spawnSync('redis-server', ['--version']).stdout))?.[1] ?? 'unknown',
    rounds,
    versions: versionsOf(packagesOf(parts)),
    parts,
    results,
  })
  console.log(`\n${text}`)
  if (write) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${folder}RESULTS-cache.md`, text)
    console.log(`Written to ${folder}RESULTS-cache.md.`)
  }
  // A slow result is a result; a contender that could not be measured is a fault of the run.
  const failed = results.filter(({ error }) => error !== undefined)
  if (failed.length > 0) {
    throw new Error(`${failed.length} of ${results.length} measurements failed, see "Failures" above.`)
  }
}

/** [{ package }] as versionsOf takes them: those of the contenders, and what puts two of them on Redis. */
function packagesOf(parts) {
  const contenders = parts.flatMap((part) => part.contenders)
  const names = new Set(contenders.map((contender) => contender.package).filter((name) => name !== undefined))
  if (contenders.some(({ package: name, redis }) => redis && /^cache/.test(name))) names.add('@keyv/redis')
  return [...names].map((name) => ({ package: name }))
}

function settingsFrom(args) {
  const options = {
    help: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '7' },
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
  }
  const { help, rounds, only, write } = parseArgs({ args, options }).values
  if (!(Number.isInteger(Number(rounds)) && Number(rounds) >= 1)) {
    throw new Error(`--rounds: a whole number from 1 on, not "${rounds}".`)
  }
  return {
    help,
    write,
    rounds: Number(rounds),
    parts: only === undefined ? all : only.split(',').map((id) => partNamed(id.trim())),
    folder: only === undefined ? benches : `${benches}.cache/`,
  }
}
