// Scripts in a process of their own: what becomes of a process can only be seen from outside.

import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { waitFor } from '../support/wait-for'

export interface Ending {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface Child {
  readonly process: ChildProcess
  /** Resolves when the script has printed this line. */
  printed(line: string): Promise<void>
  /** How it ended. A child that doesn't is killed after a generous bound, which shows as its signal. */
  readonly ended: Promise<Ending>
}

export interface ChildOptions {
  args?: readonly string[]
  /** Arguments of node itself. */
  node?: readonly string[]
  env?: Record<string, string>
  /** After so long it is killed. */
  hungMs?: number
}

const HUNG_MS = 25_000
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts a script, of `children/` where it has only a name, without the environment's own Redis settings. */
export function start(script: string | URL, { args = [], node = [], env = {}, hungMs = HUNG_MS }: ChildOptions = {}): Child {
  const path = fileURLToPath(new URL(script, new URL('./children/', import.meta.url)))
  const child = spawn(process.execPath, [...node, path, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const lines: string[] = []
  let stderr = ''
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  const hung = setTimeout(() => child.kill('SIGKILL'), hungMs)
  let over = false
  const ended = new Promise<Ending>((resolve) => {
    child.once('close', (code, signal) => {
      clearTimeout(hung)
      running.delete(child)
      over = true
      resolve({ code, signal, stdout: lines.join('\n'), stderr })
    })
  })
  const printed = async (line: string): Promise<void> => {
    await waitFor(`the line '${line}'`, () => over || lines.includes(line), { withinMs: HUNG_MS })
    if (!lines.includes(line)) throw new Error(`${String(script)} ended without printing '${line}'; it said:\n${stderr}`)
  }
  return { process: child, printed, ended }
}

/** Runs a script to its end. */
export function run(script: string, options: ChildOptions = {}): Promise<Ending> {
  return start(script, options).ended
}

/** The end of a script that went well. */
export const clean = { code: 0, signal: null, stderr: '' }
