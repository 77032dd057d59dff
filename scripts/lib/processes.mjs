// Child processes: run to the end with a bound, or kept until told to stop. Each is the leader of a
// group of its own, so that ending it ends what it started; nothing is ever ended by name.

import { spawn, spawnSync } from 'node:child_process'

const windows = process.platform === 'win32'
const alive = new Set()

/**
 * Runs a command to its end. Never rejects: { ok, code, output, timedOut }. `onLine` sees every line as it
 * comes; `timeoutMs` is a bound against
 * hanging, not an expectation.
 */
export function run(command, args, { cwd, env, wholeEnv, timeoutMs = 10 * 60_000, onLine } = {}) {
  return new Promise((resolve) => {
    const child = launch(command, args, { cwd, env, wholeEnv })
    let output = ''
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      endGroup(child, 'SIGKILL')
    }, timeoutMs)
    collect(child, (text) => (output += text), onLine)
    const finish = (code, signal) => {
      clearTimeout(timer)
      alive.delete(child)
      if (timedOut) output += `\nended after ${Math.round(timeoutMs / 1000)} s without coming to an end\n`
      else if (signal) output += `\nended by ${signal}\n`
      resolve({ ok: code === 0 && !timedOut, code, output, timedOut })
    }
    child.once('error', (error) => {
      output += `${command}: ${error.message}\n`
      finish(127, null)
    })
    child.once('close', finish)
  })
}

/** Like `run`, but a failure rejects with the whole output. */
export async function must(command, args, options) {
  const result = await run(command, args, options)
  if (!result.ok) {
    throw new Error(`${[command, ...args].join(' ')} failed (exit code ${result.code})\n${result.output.trimEnd()}`)
  }
  return result
}

/**
 * Starts a process that is meant to stay: { pid, output(), ended, stop() }. `stop` asks politely and, after
 * five seconds, no longer.
 */
export function start(command, args, { cwd, env, onLine } = {}) {
  const child = launch(command, args, { cwd, env })
  let output = ''
  collect(child, (text) => (output += text), onLine)
  let over = false
  const ended = new Promise((resolve) => {
    const finish = (code) => {
      over = true
      alive.delete(child)
      resolve(code)
    }
    child.once('error', (error) => {
      output += `${command}: ${error.message}\n`
      finish(127)
    })
    child.once('exit', finish)
  })
  return {
    pid: child.pid,
    output: () => output,
    ended,
    get running() {
      return !over
    },
    async stop(signal = 'SIGTERM') {
      if (over) return
      endGroup(child, signal)
      const timer = setTimeout(() => endGroup(child, 'SIGKILL'), 5_000)
      await ended
      clearTimeout(timer)
    },
  }
}

/** npm's own program run by this very node, without its advertising. */
export function npm(args, options = {}) {
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--no-update-notifier']
  const entry = process.env.npm_execpath
  return entry && /npm-cli\.[cm]?js$/.test(entry)
    ? must(process.execPath, [entry, ...args, ...quiet], withCleanNpm(options))
    : must(windows ? 'npm.cmd' : 'npm', [...args, ...quiet], withCleanNpm(options))
}

// Started by `npm test`, npm leaves its settings in the environment; in another folder they would be wrong.
function withCleanNpm(options) {
  const env = { ...process.env, ...options.env }
  for (const name of Object.keys(env)) {
    if (/^npm_(package|lifecycle|command|config_local_prefix|config_prefix)/.test(name)) delete env[name]
  }
  delete env.INIT_CWD
  return { ...options, env, wholeEnv: true }
}

/** Everything that was started and still runs, ended; for the way out. */
export function endAll(signal = 'SIGTERM') {
  for (const child of alive) endGroup(child, signal)
}

process.once('exit', () => endAll('SIGKILL'))

/** Ctrl+C and friends end what was started, then the command itself. */
export function endOnSignals(before = async () => {}) {
  let ending = false
  for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
    process.on(signal, async () => {
      if (ending) process.exit(128 + number)
      ending = true
      await before().catch(() => {})
      endAll('SIGTERM')
      const patience = Date.now() + 3_000
      while (alive.size > 0 && Date.now() < patience) await new Promise((resolve) => setTimeout(resolve, 20))
      process.exit(128 + number)
    })
  }
}

function launch(command, args, { cwd, env, wholeEnv = false }) {
  const child = spawn(command, args, {
    cwd,
    env: wholeEnv ? env : { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: !windows,
    shell: windows && command.endsWith('.cmd'),
  })
  alive.add(child)
  return child
}

function collect(child, append, onLine) {
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    let rest = ''
    stream.on('data', (text) => {
      append(text)
      if (!onLine) return
      const lines = (rest + text).split(/\r?\n/)
      rest = lines.pop()
      for (const line of lines) onLine(line)
    })
    stream.on('end', () => {
      if (rest !== '') onLine?.(rest)
    })
  }
}

function endGroup(child, signal) {
  if (child.pid === undefined) return
  try {
    if (windows) spawnSync('taskkill', ['/pid', String(child.pid), '/t', '/f'])
    else process.kill(-child.pid, signal)
  } catch {
    // It ended by itself in the meantime.
  }
}
