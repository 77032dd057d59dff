// `npm test`: everything, on a machine that has git, Node, npm and Rust. What else is needed it gets itself.
//   npm test -- --list           the steps
//   npm test -- --only vitest    one step (or several, with commas) and what it needs

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, delimiter } from 'node:path'

import { pack, packed } from './pack.mjs'
import { addonIsUpToDate } from './lib/addon.mjs'
import { consumer, installLocked, installPacked } from './lib/packages.mjs'
import { root } from './lib/paths.mjs'
import { endAll, endOnSignals, must, npm, run } from './lib/processes.mjs'
import { runSteps, withNeeds } from './lib/steps.mjs'
import { chromium, redisServer, which } from './lib/tools.mjs'

const minute = 60_000
const example = join(root, 'examples', 'chatbot')
const tests = join(root, '__test__')

/** Settings of whoever runs the tests must not reach them: a test names its own server. */
for (const name of Object.keys(process.env)) {
  if (/^(REDIS|UPSTASH|KV|CACHE|OPENAI|AI)_/.test(name)) delete process.env[name]
}
delete process.env.FORCE_COLOR
Object.assign(process.env, { NO_COLOR: '1', CARGO_TERM_COLOR: 'never', NEXT_TELEMETRY_DISABLED: '1' })

const cargo = (name, what, args, timeoutMs = 12 * minute) => ({
  name,
  what,
  needs: name.startsWith('rust-') ? ['rust', 'redis'] : ['rust'],
  alone: 'cargo',
  timeoutMs,
  run: ({ line, note }) =>
    must('cargo', args, { cwd: root, timeoutMs: timeoutMs - 1_000, onLine: line }).then(({ output }) => {
      const results = [...output.matchAll(/^test result: ok\. (\d+) passed/gm)]
      if (results.length > 0) note(`${what} (${results.reduce((sum, [, count]) => sum + Number(count), 0)} tests)`)
    }),
})

/** A Node program of this repository, with `rejects` naming output that is a failure even at exit code 0. */
const script = (name, what, needs, args, { load = 1, timeoutMs = 5 * minute, cwd = root, rejects, counts, alone } = {}) => ({
  name,
  what,
  needs,
  load,
  alone,
  timeoutMs,
  run: async ({ line, note }) => {
    const { output } = await must(process.execPath, args, { cwd, timeoutMs: timeoutMs - 1_000, onLine: line })
    if (rejects?.test(output)) throw new Error(`its output says ${rejects}:\n${output}`)
    const count = counts?.exec(output)?.[1]
    if (count) note(`${what} (${count} tests)`)
  },
})

const vitest = join('node_modules', 'vitest', 'vitest.mjs')
const vitestCounts = /Tests\s+(\d+) passed/
// vitest says so, and exits with 0 all the same, when something kept it from ending by itself.
const keptOpen = /something prevents|close timed out|hanging-process/i
const pool = (name) =>
  script(`pool-${name.toLowerCase()}`, `consumer suite, vitest pool ${name}`, ['addon', 'redis'],
    [vitest, 'run', '--config', 'vitest.consumer.config.mts', '--pool', name],
    { rejects: keptOpen, counts: vitestCounts, timeoutMs: 3 * minute })

/** Files that the build generates and that are in git all the same; the build must leave them as they are. */
const committedByBuild = ['native.js', 'native.d.ts', 'index.d.ts']
const contentOf = (name) => (existsSync(join(root, name)) ? readFileSync(join(root, name), 'utf8') : '')
let rewritten = []

const steps = [
  {
    name: 'packages',
    what: 'npm ci',
    load: 0,
    timeoutMs: 5 * minute,
    run: async ({ note }) => note((await installLocked(root)) ? 'npm ci' : 'npm packages are as locked'),
  },
  { name: 'rust', what: 'cargo, rustfmt and clippy', load: 0, timeoutMs: 5 * minute, run: ({ note }) => rustToolchain(note) },
  {
    name: 'redis',
    what: 'a Redis server',
    load: 0,
    timeoutMs: 12 * minute,
    run: async ({ line, note }) => {
      const server = await redisServer(line)
      process.env.HOLDFAST_REDIS_SERVER = server
      // For suites that look on the PATH.
      process.env.PATH = `${process.env.PATH}${delimiter}${dirname(server)}`
      note(`Redis server: ${server}`)
    },
  },
  {
    name: 'chromium',
    what: 'a Chromium',
    // After Redis, whose absence would hold up more.
    needs: ['redis'],
    load: 0,
    timeoutMs: 12 * minute,
    run: async ({ line, note }) => {
      process.env.CHROMIUM_PATH = await chromium(line)
      note(`Chromium: ${process.env.CHROMIUM_PATH}`)
    },
  },
  {
    name: 'addon',
    what: 'release build of the addon and the JavaScript',
    needs: ['packages', 'rust'],
    timeoutMs: 15 * minute,
    run: async ({ line, note }) => {
      if (addonIsUpToDate()) return note('addon and JavaScript are up to date')
      const before = committedByBuild.map(contentOf)
      await npm(['run', 'build'], { cwd: root, timeoutMs: 15 * minute - 1_000, onLine: line })
      rewritten = committedByBuild.filter((name, index) => contentOf(name) !== before[index])
    },
  },
  cargo('format', 'cargo fmt --check', ['fmt', '--check'], 2 * minute),
  cargo('clippy', 'cargo clippy --all-targets', ['clippy', '--locked', '--all-targets', '--', '-D', 'warnings']),
  cargo('clippy-core', 'cargo clippy without the node feature',
    ['clippy', '--locked', '--all-targets', '--no-default-features', '--', '-D', 'warnings']),
  cargo('rust-core', 'cargo test without the node feature', ['test', '--locked', '--no-default-features'], 15 * minute),
  cargo('rust-node', 'cargo test with the node feature', ['test', '--locked'], 15 * minute),
  {
    name: 'fetch',
    what: 'npm ci of the consumers and the example',
    needs: ['packages'],
    load: 0,
    timeoutMs: 10 * minute,
    run: async () => {
      await consumer('jest', join(tests, 'jest'))
      await consumer('next', join(tests, 'next', 'app'))
      await installLocked(example)
    },
  },
  {
    name: 'generated',
    what: 'generated files are as committed',
    needs: ['packages', 'addon'],
    timeoutMs: 3 * minute,
    run: async ({ line }) => {
      if (rewritten.length > 0) throw new Error(`the build wrote ${rewritten.join(', ')} anew: look at the change and commit it`)
      await must(process.execPath, ['scripts/generate-operations.mjs', '--check'], { cwd: root, onLine: line })
      await must(process.execPath, ['scripts/build-js.mjs', '--check'], { cwd: root, onLine: line })
    },
  },
  script('types', 'type check of the tests', ['packages', 'addon'],
    [join('node_modules', 'typescript', 'bin', 'tsc'), '--noEmit', '-p', join('__test__', 'tsconfig.json')]),
  { name: 'pack', what: 'npm pack', needs: ['addon'], timeoutMs: 2 * minute, run: () => pack() },
  script('install', 'the tarballs in an empty project', ['pack'], [join('__test__', 'packed', 'run.mjs')]),
  pool('forks'),
  pool('threads'),
  pool('vmThreads'),
  script('jest', 'jest 30 from the tarballs', ['pack', 'redis', 'fetch'], [join('__test__', 'jest', 'run.mjs')]),
  script('vitest', 'vitest', ['addon', 'redis'], [vitest, 'run'],
    { load: 2, rejects: keptOpen, counts: vitestCounts, timeoutMs: 20 * minute }),
  script('soak', 'a minute of outages', ['addon', 'redis'], [join('scripts', 'soak.mjs'), '--seconds', '60'],
    { load: 2, timeoutMs: 4 * minute }),
  script('next', 'a fresh Next app: Turbopack, standalone, hot reload', ['pack', 'redis', 'fetch'],
    [join('__test__', 'next', 'run.mjs')], { load: 2, timeoutMs: 8 * minute }),
  {
    name: 'example',
    what: 'the example: its own tests and its build',
    needs: ['pack', 'redis', 'fetch'],
    load: 2,
    timeoutMs: 8 * minute,
    run: async ({ line, note }) => {
      await installPacked(example, packed())
      const { output } = await npm(['test'], { cwd: example, onLine: line })
      const count = /^# pass (\d+)|ℹ pass (\d+)/m.exec(output)
      if (count) note(`the example: its own tests and its build (${count[1] ?? count[2]} tests)`)
    },
  },
  script('browser', 'the example in Chromium, Redis killed and back', ['example', 'chromium'],
    [join('__test__', 'browser', 'chatbot.mjs')], { load: 2, timeoutMs: 8 * minute }),
  script('windows', 'the example in two windows: sessions, presence, limits', ['example', 'chromium'],
    [join('__test__', 'browser', 'windows.mjs')], { load: 2, timeoutMs: 8 * minute }),
  script('demo', 'npm run demo', ['example'], [join('scripts', 'demo.mjs'), '--check'], { load: 2, timeoutMs: 5 * minute }),
]

async function rustToolchain(note) {
  if (!which('cargo')) throw new Error('Rust is needed: install it with rustup (stable), so that cargo is on the PATH.')
  const lacks = []
  for (const [component, command] of [['rustfmt', 'fmt'], ['clippy', 'clippy']]) {
    if (!(await run('cargo', [command, '--version'], { cwd: root })).ok) lacks.push(component)
  }
  if (lacks.length > 0) {
    const added = which('rustup') && (await run('rustup', ['component', 'add', ...lacks], { cwd: root, timeoutMs: 4 * minute })).ok
    if (!added) throw new Error(`Rust's ${lacks.join(' and ')} are needed: install them (rustup component add ${lacks.join(' ')}).`)
  }
  const { output } = await must('cargo', ['--version'], { cwd: root })
  note(output.trim())
}

endOnSignals()
const argv = process.argv.slice(2)
if (argv.includes('--list')) {
  for (const { name, what } of steps) process.stdout.write(`${name.padEnd(16)}${what}\n`)
} else {
  const only = argv.flatMap((word, index) => (word === '--only' ? (argv[index + 1] ?? '').split(',') : word.startsWith('--only=') ? word.slice(7).split(',') : []))
  const unknown = argv.find((word, index) => !/^--only(=|$)/.test(word) && argv[index - 1] !== '--only')
  try {
    if (unknown !== undefined) throw new Error(`unknown argument ${unknown}; there are --list and --only <step>`)
    const { failed } = await runSteps(only.length > 0 ? withNeeds(steps, only) : steps)
    process.exitCode = failed === 0 ? 0 : 1
  } catch (error) {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 2
  }
  endAll('SIGKILL')
  // A step that was given up may still be waiting for something; the verdict doesn't.
  setTimeout(() => process.exit(), 2_000).unref()
}
