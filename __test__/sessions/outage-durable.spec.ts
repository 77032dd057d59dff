// With journalPath an app that is killed with -9 while Redis is away loses nothing of its sessions: the next one brings
// what it changed, and above all what it ended.
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { opener, patient } from '../cache/stores'
import { FaultProxy } from '../support/fault-proxy'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { datasOf } from './outages'

const program = fileURLToPath(new URL('children/changer.mjs', import.meta.url))

type Said =
  | { act: 'set'; id: string; n: number; worker: number }
  | { act: 'create'; id: string; user: string; n: number }
  | { act: 'end'; id: string }
  | { act: 'about to end all' | 'end all'; user: string }

/** An app that knows these sessions, is cut off, and is killed when it has said so much. */
async function killed(lines: number, args: readonly string[], ids: readonly string[], cutOff: () => Promise<void>): Promise<Said[]> {
  const app: ChildProcess = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const closed = new Promise((resolve) => app.once('close', resolve))
  let said = ''
  app.stdout?.setEncoding('utf8')
  app.stdout?.on('data', (text: string) => {
    said += text
    if (said.split('\n').length > lines) app.kill('SIGKILL')
  })
  app.stdin?.on('error', () => {})
  app.stdin?.write(`${JSON.stringify({ ids })}\n`)
  await waitFor('it to know all sessions', () => said.includes('known'))
  await cutOff()
  app.stdin?.write('go\n')
  await closed
  return said
    .split('\n')
    .slice(1, -1)
    .map((line) => JSON.parse(line) as Said)
}

describe.each(['always', 'everysec', 'no'])('with journalPath and journalSync %s', (sync) => {
  it('sessions are as apps left them that were killed while Redis was away', { timeout: 120_000 }, async () => {
    const journals = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
    await using server = await RedisServer.start({ persistent: true })
    await using proxy = await FaultProxy.start({ port: server.port })
    const keyPrefix = `kill:${randomUUID()}:`
    const { open, closeAll } = opener({ url: server.url, keyPrefix, ...patient })
    try {
      const { sessionManager } = open()
      const all: Said[] = []
      const ids = await Promise.all(range(40).map((n) => sessionManager.createSession(n % 2 === 0 ? null : 'of everybody', { n })))
      const args = [proxy.url, keyPrefix, journals, sync]
      const apps = await Promise.all(range(4).map(async (part) => {
        const own = ids.slice(10 * part, 10 * part + 10)
        let gone!: () => void
        const ready = new Promise<void>((resolve) => (gone = resolve))
        return { part, own, ready, gone }
      }))
      let waiting = apps.length
      const everybody = Promise.all(apps.map(({ ready }) => ready)).then(() => proxy.set('reset'))
      const told = await Promise.all(apps.map(({ part, own, gone }) =>
        killed(60 + 97 * part, [...args, String(part)], own, async () => {
          waiting--
          gone()
          await everybody
        })))
      expect(waiting).toBe(0)
      for (const said of told) all.push(...said)
      expect((await readdir(journals)).length).toBeGreaterThan(0)
      // Others went on meanwhile.
      await Promise.all(ids.map((id) => sessionManager.updateSession(id, { meanwhile: 1 })))

      await proxy.set('pass')
      const last = spawn(process.execPath, [program, ...args, 'last'], { stdio: 'inherit' })
      expect(await new Promise((resolve) => last.once('close', resolve))).toBe(0)
      expect(await readdir(journals), 'what was replayed leaves no file').toEqual([])

      const ended = new Set(all.flatMap((said) => (said.act === 'end' ? [said.id] : [])))
      expect((await datasOf(sessionManager, [...ended])).filter((data) => data !== null)).toEqual([])
      // What is said in parts of one moment may have been acknowledged in another order.
      const left = new Map<string, { user: string; n: number; at: number }>()
      all.forEach((said, at) => {
        if (said.act === 'create' && !ended.has(said.id)) left.set(said.id, { user: said.id.startsWith('g') ? '' : said.user, n: said.n, at })
      })
      let sure = 0
      for (const [id, { user, n, at }] of left) {
        const after = all.findIndex((said, index) => index > at && said.act.endsWith('end all') && 'user' in said && said.user === user)
        const isSurelyEnded = user !== '' && all.some((said, index) => index > at && said.act === 'about to end all' && said.user === user && all.some((later, then) => then > index && later.act === 'end all' && later.user === user))
        const [data] = await datasOf(sessionManager, [id])
        if (after === -1) expect([id, data]).toEqual([id, { n }])
        else if (isSurelyEnded) expect([id, data]).toEqual([id, null])
        if (after === -1) sure++
      }
      expect(sure).toBeGreaterThan(20)
      const held = new Map((await datasOf(sessionManager, ids)).map((data, at) => [ids[at]!, data as Record<string, unknown> | null]))
      expect([...ended].some((id) => held.has(id))).toBe(true)
      for (const said of all) {
        if (said.act !== 'set' || ended.has(said.id)) continue
        const data = held.get(said.id)
        const part = Math.floor(ids.indexOf(said.id) / 10)
        expect(data).toMatchObject({ n: ids.indexOf(said.id), [`${part}:${said.n}`]: said.n, meanwhile: 1 })
        // Set anew by the same one, it was set later.
        expect(Number(data?.[`last ${said.worker}`])).toBeGreaterThanOrEqual(said.n)
      }
    } finally {
      await closeAll()
      await rm(journals, { recursive: true })
    }
  })
})

describe('what a killed app owes', () => {
  it('ends copies, too, of whoever takes it over', { timeout: 60_000 }, async () => {
    const journals = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
    await using server = await RedisServer.start({ persistent: true })
    const keyPrefix = `kill:${randomUUID()}:`
    const { open, closeAll } = opener({ url: server.url, keyPrefix, fallback: { journalPath: journals } })
    try {
      const adopter = open()
      const { sessionManager } = adopter
      const ids = await Promise.all(range(10).map((n) => sessionManager.createSession(null, { n })))
      const said = await killed(80, [server.url, keyPrefix, journals, 'no', '0'], ids, () => server.kill())
      const ended = ids.filter((id) => said.some((each) => each.act === 'end' && each.id === id))
      expect(ended.length).toBeGreaterThan(0)
      await waitFor('it to be taken over', () => adopter.fallbackManager.getStats().adopted > 0)
      const during = await datasOf(sessionManager, ended)
      await server.start()
      await waitFor('everything to be there', () => adopter.isRedisAvailable() && adopter.fallbackManager.getStats().journalDepth === 0)
      await server.kill()
      const later = await datasOf(sessionManager, ended)
      const nothing = ended.map(() => null)
      expect({ during, later }).toEqual({ during: nothing, later: nothing })
    } finally {
      await closeAll()
      await rm(journals, { recursive: true })
    }
  })

  it('counts like its own: ends stay ends, and the newest of each field stands', { timeout: 60_000 }, async () => {
    const journals = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
    await using server = await RedisServer.start({ persistent: true })
    const keyPrefix = `kill:${randomUUID()}:`
    const { open, closeAll } = opener({ url: server.url, keyPrefix })
    try {
      const { sessionManager } = open(patient)
      const ids = await Promise.all(range(10).map((n) => sessionManager.createSession(null, { n })))
      const args = [server.url, keyPrefix, journals, 'no']
      const said = await killed(80, [...args, '0'], ids, () => server.kill())
      // It adopts what the other one left while the server is still away, and goes on with it.
      const adopter = open({ fallback: { journalPath: journals } })
      const adopted = new Promise<void>((resolve) => adopter.on('journal-adopted', () => resolve()))
      await adopter.sessionManager.getStats()
      await adopted
      expect(adopter.fallbackManager.getStats().journalDepth).toBeGreaterThan(0)
      const revived = ids.find((id) => !said.some((each) => each.act === 'end' && each.id === id))!
      const ended = ids.filter((id) => said.some((each) => each.act === 'end' && each.id === id))
      await adopter.sessionManager.deleteSession(revived)
      await server.start()
      await waitFor('everything to be there', () => adopter.isRedisAvailable() && adopter.fallbackManager.getStats().journalDepth === 0)
      expect(ended.length).toBeGreaterThan(0)
      const judge = open({ ...patient, commandTimeoutMs: 58_000 }).sessionManager
      expect(await datasOf(judge, [...ended, revived])).toEqual([...ended, revived].map(() => null))
      for (const each of said) {
        if (each.act !== 'set' || ended.includes(each.id) || each.id === revived) continue
        expect(await datasOf(judge, [each.id])).toEqual([expect.objectContaining({ [`0:${each.n}`]: each.n })])
      }
    } finally {
      await closeAll()
      await rm(journals, { recursive: true })
    }
  })
})
