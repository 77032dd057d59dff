// npm run bench:rivals: failures of caches, shown by running them. With --write: benches/RESULTS-rivals.md.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installLocked } from '../scripts/lib/packages.mjs'
import { endAll, endOnSignals } from '../scripts/lib/processes.mjs'
import { machine as describeMachine, nativeFileBytes, versionsOf } from './lib/machine.mjs'
import { startRedis } from './lib/redis-server.mjs'
import { contenders as allContenders } from './rivals/contenders.mjs'
import { report, tableOf } from './rivals/report.mjs'
import { runAll } from './rivals/run.mjs'
import { scenarios as allScenarios } from './rivals/scenarios.mjs'

const HELP = `npm run bench:rivals -- [options]
  --only a,b   these alone: rivals (all but Holdfast), a contender, a scenario
               contenders: ${allContenders.map(({ id }) => id).join(', ')}
               scenarios: ${allScenarios.map(({ id }) => id).join(', ')}
  --write      results go to benches/RESULTS-rivals.md; those of --only go to benches/.cache/ instead`

const benches = fileURLToPath(new URL('./', import.meta.url))

endOnSignals()
try {
  await main(settingsFrom(process.argv.slice(2)))
} catch (error) {
  console.error(`bench:rivals: ${error.message}`)
  process.exitCode = 1
}
endAll('SIGKILL')

async function main({ help, write, scenarios, contenders, folder }) {
  if (help) return console.log(HELP)
  if (contenders.some(({ id }) => id === 'holdfast') && nativeFileBytes() === null) {
    throw new Error('The package is not built: run `npm run build` first, or run with --only rivals.')
  }
  if (await installLocked(benches)) console.log('Installed the rivals of benches/package-lock.json.')
  const machine = describeMachine()
  const versions = versionsOf(contenders)
  const server = await startRedis()
  const settings = { scenarios, contenders, port: server.port, tell: (line) => console.log(line) }
  const rows = await runAll(settings).finally(() => server.stop())
  console.log(`\n${tableOf(rows, versions)}`)
  const failed = rows.filter(({ verdict }) => verdict === 'failed')
  if (failed.length > 0) throw new Error(`${failed.length} of ${rows.length} showed nothing; nothing is written.`)
  if (!write) return
  const date = new Date().toISOString().slice(0, 10)
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}RESULTS-rivals.md`, report({ date, machine, redisVersion: server.version, versions, rows }))
  console.log(`\nWritten to ${folder}RESULTS-rivals.md.`)
}

function settingsFrom(args) {
  const options = {
    help: { type: 'boolean', default: false },
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
  }
  const { help, only, write } = parseArgs({ args, options }).values
  const names = only === undefined ? [] : only.split(',').map((name) => name.trim())
  const named = (all) => all.filter(({ id }) => names.includes(id))
  const known = ['rivals', ...allContenders.map(({ id }) => id), ...allScenarios.map(({ id }) => id)]
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`--only: no "${unknown}". There are: ${known.join(', ')}.`)
  const rivals = names.includes('rivals') ? allContenders.filter(({ id }) => id !== 'holdfast') : []
  const contenders = allContenders.filter((one) => rivals.includes(one) || named(allContenders).includes(one))
  const scenarios = named(allScenarios)
  return {
    help,
    write,
    contenders: contenders.length === 0 ? allContenders : contenders,
    scenarios: scenarios.length === 0 ? allScenarios : scenarios,
    folder: only === undefined ? benches : `${benches}.cache/`,
  }
}
