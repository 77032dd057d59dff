// An app whose Redis is away is killed with -9, over and over; the last one to start finds Redis again.
// What the earlier ones acknowledged must be there, and what they deleted must be gone.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'

const program = fileURLToPath(new URL('writer.mjs', import.meta.url))
const HEADER_BYTES = 42

interface Acknowledged {
  kind: 's' | 'd'
  key: string
  value: string | undefined
}

/** Runs the app until it has acknowledged so many calls, then kills it. Answers what it had said by then. */
async function killedAfter(lines: number, args: readonly string[]): Promise<Acknowledged[]> {
  const app: ChildProcess = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  app.stdout?.setEncoding('utf8')
  app.stdout?.on('data', (text: string) => {
    said += text
    if (said.split('\n').length > lines) app.kill('SIGKILL')
  })
  await new Promise((resolve) => app.once('close', resolve))
  return said
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [kind, key, value] = line.split(' ') as ['s' | 'd', string, string | undefined]
      return { kind, key, value }
    })
}

describe.each([
  { sync: 'always', kills: 50 },
  { sync: 'everysec', kills: 50 },
  { sync: 'no', kills: 10 },
])('journalPath with journalSync $sync', ({ sync, kills }) => {
  it(`keeps every acknowledged write of an app that is killed ${kills} times`, { timeout: 120_000 }, async () => {
    const journals = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
    const port = await freePort()
    const args = [`redis://127.0.0.1:${port}`, 'kill:', journals, sync]
    const acknowledged: Acknowledged[] = []
    for (const round of range(kills)) {
      // Always the same numbers, none of them round.
      const lines = 5 + ((round * 7919) % 211)
      acknowledged.push(...(await killedAfter(lines, [...args, String(round)])))
    }
    const files = await readdir(journals)
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) expect((await stat(join(journals, file))).mode & 0o777).toBe(0o600)

    await using server = await RedisServer.start({ port })
    using outside = await server.client()
    const deleted = acknowledged.filter(({ kind }) => kind === 'd').map(({ key }) => key)
    // An old value under every key that was deleted: of another process, which knew nothing.
    await outside.pipeline(deleted.map((key) => ['SET', `kill:cache:${key}`, 'returned']))
    const last = spawn(process.execPath, [program, ...args, 'last'], { stdio: 'inherit' })
    expect(await new Promise((resolve) => last.once('close', resolve))).toBe(0)

    const expected = new Map<string, string | null>()
    for (const { kind, key, value } of acknowledged) expected.set(key, kind === 'd' ? null : JSON.stringify(value))
    const names = [...expected.keys()]
    outside.encoding = 'latin1'
    const found = await outside.pipeline(names.map((name) => ['GET', `kill:cache:${name}`]))
    const held = found.map((reply) =>
      typeof reply === 'string' ? Buffer.from(reply, 'latin1').toString('utf8', HEADER_BYTES) : null,
    )
    const wrong = names.filter((name, at) => {
      if (held[at] === expected.get(name)) return false
      // The last word on a shared key may have been written and not printed.
      return !(name.startsWith('shared:') && isLater(held[at], expected.get(name)))
    })
    expect(wrong).toEqual([])
    expect(acknowledged.length).toBeGreaterThan(kills * 50)
    expect(await readdir(journals), 'what was replayed leaves no file').toEqual([])
    await rm(journals, { recursive: true })
  })
})

function isLater(found: string | null | undefined, said: string | null | undefined): boolean {
  const order = (text: string): number => {
    const [round = 0, number = 0] = (JSON.parse(text) as string).split(':').map(Number)
    return round * 1_000_000 + number
  }
  return typeof found === 'string' && typeof said === 'string' && order(found) > order(said)
}
