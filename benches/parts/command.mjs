// A suite of parts as a command: its options, its rounds, and its report in benches/.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installLocked } from '../../scripts/lib/packages.mjs'
import { endAll, endOnSignals } from '../../scripts/lib/processes.mjs'
import { redisServer } from '../../scripts/lib/tools.mjs'
import { machine as describeMachine, nativeFileBytes, versionsOf } from '../lib/machine.mjs'
import { partNamed } from './parts.mjs'
import { report } from './report.mjs'
import { runRounds } from './run.mjs'

const benches = fileURLToPath(new URL('../', import.meta.url))

export async function runCommand(suite) {
  endOnSignals()
  try {
    await main(suite, settingsFrom(suite, process.argv.slice(2)))
  } catch (error) {
    console.error(`${suite.command}: ${error.message}`)
    process.exitCode = 1
  }
  endAll('SIGKILL')
}

const helpOf = ({ command, rounds, lasts, parts, file }) => `npm run ${command} -- [options]
  --rounds N   rounds to run (default ${rounds}, ${lasts})
  --only a,b   these parts alone: ${parts.map(({ id }) => id).join(', ')}
  --write      results go to benches/${file}; those of --only go to benches/.cache/ instead`

async function main(suite, { help, write, rounds, parts, folder }) {
  if (help) return console.log(helpOf(suite))
  if (nativeFileBytes() === null) throw new Error('The package is not built: run `npm run build` first.')
  if (await installLocked(benches)) console.log('Installed the rivals of benches/package-lock.json.')
  const program = await redisServer((line) => console.log(line))
  const machine = describeMachine()
  if (machine.loadBefore > 0.5) {
    console.log(`The machine is busy (load average ${machine.loadBefore.toFixed(2)}): the figures will suffer.`)
  }
  const results = await runRounds({ child: suite.child, program, parts, rounds, tell: (line) => console.log(line) })
  const text = report({
    suite,
    date: new Date().toISOString().slice(0, 10),
    machine,
    redisVersion: /v=([\d.]+)/.exec(String(spawnSync(program, ['--version']).stdout))?.[1] ?? 'unknown',
    rounds,
    versions: versionsOf(packagesOf(suite, parts)),
    parts,
    results,
  })
  console.log(`\n${text}`)
  if (write) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${folder}${suite.file}`, text)
    console.log(`Written to ${folder}${suite.file}.`)
  }
  // A slow result is a result; a contender that could not be measured is a fault of the run.
  const failed = results.filter(({ error }) => error !== undefined)
  if (failed.length > 0) {
    throw new Error(`${failed.length} of ${results.length} measurements failed, see "Failures" above.`)
  }
}

/** [{ package }] as versionsOf takes them. */
function packagesOf(suite, parts) {
  const names = new Set(suite.packagesOf(parts.flatMap((part) => part.contenders)))
  return [...names].map((name) => ({ package: name }))
}

function settingsFrom(suite, args) {
  const options = {
    help: { type: 'boolean', default: false },
    rounds: { type: 'string', default: String(suite.rounds) },
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
    parts: only === undefined ? suite.parts : only.split(',').map((id) => partNamed(suite.parts, id.trim())),
    folder: only === undefined ? benches : `${benches}.cache/`,
  }
}
