// With rawChanges: 'merge', an app is killed with -9: while Redis is away, while it takes over what the one before it
// left, and in the middle of the replay. Each change that was answered is there, and none is there twice.

import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { createHoldfast } from 'holdfast'
import { expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

const program = fileURLToPath(new URL('changer.mjs', import.meta.url))
const counter = fileURLToPath(new URL('../fault/children/counter.mjs', import.meta.url))

/** Runs the app until `enough`, then kills it. Answers the lines that it printed. */
async function killedWhen(args: readonly string[], enough: (lines: () => number) => Promise<unknown>): Promise<string[]> {
  const app = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise((resolve) => app.once('close', resolve))
  let said = ''
  app.stdout.setEncoding('utf8')
  app.stdout.on('data', (text: string) => (said += text))
  const whole = (): string[] => said.split('\n').slice(0, -1)
  try {
    await enough(() => whole().length)
  } finally {
    app.kill('SIGKILL')
  }
  await closed
  return whole()
}

const printed = (lines: () => number, more: number): Promise<unknown> => {
  const from = lines()
  return waitFor(`${more} more lines`, () => lines() >= from + more)
}

it('keeps every change of an app that is killed 5 times, and does none of them twice', { timeout: 120_000 }, async () => {
  const journals = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
  await using server = await RedisServer.start({ persistent: true })
  await server.kill()
  const args = [server.url, 'kill:', journals]
  const length = async (): Promise<number> => {
    using outside = await server.client()
    return Number(await outside.call('LLEN', 'kill:list'))
  }
  const grown = async (): Promise<void> => {
    const from = await length()
    await waitFor('what it owes to arrive', async () => (await length()) > from)
  }
  const lines: string[] = []
  const away = async (round: number, more: number): Promise<void> => {
    lines.push(...(await killedWhen([...args, String(round)], (count) => printed(count, more))))
  }

  await away(0, 211)
  await away(1, 97)
  await server.start()
  const during = await killedWhen([...args, '2'], async (count) => {
    await grown()
    // With changes on their way.
    await server.kill()
    await printed(count, 151)
  })
  lines.push(...during)
  await away(3, 53)
  await server.start()
  lines.push(...(await killedWhen([...args, '4'], grown)))
  const last = spawn(process.execPath, [program, ...args, 'last'], { stdio: 'inherit' })
  expect(await new Promise((resolve) => last.once('close', resolve))).toBe(0)

  const made = lines.filter((line) => line.startsWith('+ ')).map((line) => line.slice(2).split(' '))
  const answered = lines.filter((line) => line.startsWith('= ')).map((line) => line.slice(2).split(' '))
  expect(answered.length).toBeGreaterThan(200)
  // Nobody knows what became of one change of each worker, in each round.
  expect(made.length - answered.length).toBeLessThanOrEqual(5 * 5)

  using outside = await server.client()
  const held = await outside.pipeline([['GET', 'kill:counter'], ['LRANGE', 'kill:list', 0, -1], ['HGETALL', 'kill:hash'], ['SMEMBERS', 'kill:set']])
  const sum = (changes: string[][]): number =>
    changes.filter(([name]) => name === 'INCRBY').reduce((all, [, , by]) => all + Number(by), 0)
  const counter = Number(held[0])
  expect(counter).toBeGreaterThanOrEqual(sum(answered))
  expect(counter).toBeLessThanOrEqual(sum(made))

  const pushes = (changes: string[][]): string[] => changes.filter(([name]) => name === 'RPUSH').map(([, , id]) => id ?? '')
  const list = held[1] as string[]
  expect(new Set(list).size, 'none is there twice').toBe(list.length)
  expect(pushes(answered).filter((id) => !list.includes(id))).toEqual([])
  expect(list.filter((id) => !pushes(made).includes(id))).toEqual([])
  for (const worker of range(5)) {
    const of = (ids: string[]): string[] => ids.filter((id) => id.startsWith(`${worker}:`))
    expect(of(list), 'in the order in which it was pushed').toEqual(of(pushes(made)).filter((id) => list.includes(id)))
  }

  const words = held[2] as string[]
  const hash = new Map(range(words.length / 2).map((at) => [words[2 * at] ?? '', words[2 * at + 1] ?? '']))
  const set = new Set(held[3] as string[])
  // What was asked last of each field and member, and whether that was answered.
  const meant = new Map<string, { there: boolean; sure: boolean }>()
  for (const [changes, sure] of [[made, false], [answered, true]] as const) {
    for (const [name, , ...rest] of changes) {
      const id = name === 'HSET' ? rest[2] : rest[0]
      const kind = name === 'HSET' || name === 'HDEL' ? 'hash' : name === 'SADD' || name === 'SREM' ? 'set' : ''
      if (kind === '') continue
      const there = name === 'HSET' || name === 'SADD'
      const former = meant.get(`${kind} ${id}`)
      // One that was made and not answered leaves it open.
      if (!sure || former?.there === there) meant.set(`${kind} ${id}`, { there, sure })
    }
  }
  const wrong = [...meant].filter(([name, { there, sure }]) => {
    const [kind, id = ''] = name.split(' ')
    return sure && (kind === 'hash' ? hash.has(id) : set.has(id)) !== there
  })
  expect(wrong).toEqual([])
  for (const worker of range(5)) {
    const lasts = (changes: string[][]): string[] =>
      changes.filter(([name, , field]) => name === 'HSET' && field === `last:${worker}`).map(([, , , id]) => id ?? '')
    const from = lasts(made).indexOf(lasts(answered).at(-1) ?? '')
    expect(lasts(made).slice(from), 'the newest one that was answered, or one that was made after it').toContain(hash.get(`last:${worker}`))
  }
  expect(await readdir(journals), 'what was replayed leaves no file').toEqual([])
  await rm(journals, { recursive: true })
})

it('takes over 300,000 changes of one key without an outage', { timeout: 60_000 }, async () => {
  const journalPath = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  const app = spawn(process.execPath, [counter, url, 'count:', '30000', journalPath], { stdio: 'inherit' })
  expect(await new Promise((resolve) => app.once('close', (_, signal) => resolve(signal)))).toBe('SIGKILL')
  await using server = await RedisServer.start({ port })
  await using holdfast = createHoldfast({ env: {}, url, keyPrefix: 'count:', fallback: { rawChanges: 'merge', journalPath } })
  const degraded: string[] = []
  holdfast.on('backend-degraded', ({ reason }) => degraded.push(String(reason)))
  await waitFor('the replay', () => holdfast.isRedisAvailable() && holdfast.getFallbackStats().journalDepth === 0, { withinMs: 25_000 })
  using outside = await server.client()
  expect(await outside.call('GET', 'count:counter')).toBe('300000')
  expect(degraded).toEqual([])
  await rm(journalPath, { recursive: true })
})
