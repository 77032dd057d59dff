// Several processes, and several copies of the addon in one: each has connections and a registry of its
// own, and none inherits or disturbs another's.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.dispose())

/** A script of children/: what it printed, its end, and a way to tell it to go on. */
function start(script: string, ...args: string[]): { lines: string[]; goOn: () => void; ended: Promise<unknown> } {
  const child = spawn(process.execPath, [fileURLToPath(new URL(`./children/${script}`, import.meta.url)), ...args], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  let stderr = ''
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  const hung = setTimeout(() => child.kill('SIGKILL'), 25_000)
  const ended = new Promise((resolve) => {
    child.once('close', (code, signal) => {
      clearTimeout(hung)
      resolve({ code, signal, stderr })
    })
  })
  return { lines, goOn: () => void child.stdin.end('go on\n'), ended }
}

const clean = { code: 0, signal: null, stderr: '' }

describe('the processes of node:cluster', () => {
  it('each have a connection of their own, and leave none behind', async () => {
    using outside = await server.client()
    const keyPrefix = `cluster:${randomUUID()}:`
    const { lines, goOn, ended } = start('cluster.mjs', server.url, keyPrefix)
    let over = false
    void ended.then(() => (over = true))
    await waitFor('the processes', () => over || lines.length > 0)
    if (over) expect(await ended).toEqual(clean)
    const said = JSON.parse(lines[0] ?? '[]') as { name: string; kept: boolean; value: string; source: string; client: number }[]
    const names = ['primary', 'worker 1', 'worker 2', 'worker 3', 'primary']
    expect(said.map(({ client: _, ...rest }) => rest)).toEqual(names.map((name) => ({ name, kept: true, value: name, source: 'redis' })))
    // The primary's is the same before and after the forks.
    expect(new Set(said.map(({ client }) => client)).size).toBe(4)
    expect(said[0]?.client).toBe(said[4]?.client)
    await waitFor('the connections that tell of changes', async () => (await outside.links()) === 4)
    expect(await outside.otherConnections()).toBe(4)
    goOn()
    expect(await ended).toEqual(clean)
    expect(lines.at(-1)).toBe('exit codes: 0,0,0')
    await waitFor('the connections to end', async () => (await outside.otherConnections()) + (await outside.links()) === 0)
  })
})

describe('two copies of the package in one process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-copy-'))
  beforeAll(() => {
    const root = fileURLToPath(new URL('../../', import.meta.url))
    const addons = readdirSync(root).filter((name) => name.endsWith('.node'))
    for (const name of ['dist', 'native.js', 'package.json', ...addons]) cpSync(join(root, name), join(folder, name), { recursive: true })
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('load an addon each, and have connections, states and slots of their own', async () => {
    const { lines, ended } = start('two-copies.mjs', server.url, `copies:${randomUUID()}:`, folder)
    expect(await ended).toEqual(clean)
    expect(JSON.parse(lines[0] ?? '{}')).toEqual({
      kept: true,
      read: true,
      sources: ['memory', 'redis'],
      errors: [
        [true, false],
        [true, true],
      ],
      connections: { commands: 2, changes: 2 },
      worker: 0,
    })
  })
})
