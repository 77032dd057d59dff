// With a journal on disk messages that wait for Redis outlive their process.
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { clean, start } from '../boundary/child'
import { range } from '../boundary/inside'
import { opener } from '../cache/stores'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { hears } from './messages'

/** So many processes are killed, one after the other: one of them at a bad moment. */
const KILLS = 6
const program = (name: string): URL => new URL(`children/${name}`, import.meta.url)

describe.each([true, false])('messages of a process that is killed with -9 while Redis is away (persistent: %s)', (persistent) => {
  it('are sent by the next one, in their order, marked late, before its own', async () => {
    const journals = await mkdtemp(join(tmpdir(), 'holdfast-messages-'))
    const port = await freePort()
    const args = [`redis://127.0.0.1:${port}`, 'killed:', journals]
    for (const round of range(KILLS)) {
      const child = start(program('publishes.mjs'), { args: [...args, '15', String(persistent)] })
      await child.printed('taken')
      child.process.kill('SIGKILL')
      expect((await child.ended).signal, `round ${round}`).toBe('SIGKILL')
    }
    await using server = await RedisServer.start({ port })
    const { open, closeAll } = opener({ url: server.url, keyPrefix: 'killed:' })
    const judge = open().pubSubManager
    const heard = hears()
    await judge.subscribe('room', heard.handler)
    const next = start(program('adopts.mjs'), { args })
    expect(await next.ended).toMatchObject(clean)
    await waitFor('the last', () => heard.data().includes('of the next'))
    await judge.publish('room', 'end')
    await heard.untilData('end')
    const late = heard.messages.filter(({ data }) => typeof data === 'number')
    expect(late.every((message) => message.late)).toBe(true)
    const lengths = late.reduce<number[]>((all, { data }) => (data === 0 ? [...all, 1] : [...all.slice(0, -1), (all.at(-1) ?? 0) + 1]), [])
    expect(lengths, 'of each process').toEqual(range(KILLS).map(() => 15))
    const expected = range(KILLS).flatMap(() => range(15))
    expect(late.map(({ data }) => data)).toEqual(expected)
    expect(new Set(heard.messages.map(({ id }) => id)).size).toBe(expected.length + 2)
    expect(heard.messages).toHaveLength(expected.length + 2)
    const kept = await judge.getPersistentMessages('room', 1_000)
    expect(kept.map(({ data }) => data).reverse()).toEqual(persistent ? expected : [])
    await closeAll()
    await rm(journals, { recursive: true })
  })
})

describe('a message that is acknowledged while Redis is away', () => {
  it.each([true, false])('is on the disk by then, with journalSync always (persistent: %s)', async (persistent) => {
    const journalPath = await mkdtemp(join(tmpdir(), 'holdfast-messages-'))
    const { open, closeAll } = opener({ url: `redis://127.0.0.1:${await freePort()}`, keyPrefix: 'disk:', fallback: { journalPath, journalSync: 'always' } })
    const { cacheManager, publish } = open()
    const size = async (): Promise<number> => {
      const sizes = await Promise.all((await readdir(journalPath)).map(async (name) => (await stat(join(journalPath, name))).size))
      return sizes.reduce((sum, bytes) => sum + bytes, 0)
    }
    await cacheManager.set('first', 1)
    for (const _ of range(10)) {
      const before = await size()
      await publish('room', 'x'.repeat(100), { persistent })
      expect((await size()) - before).toBeGreaterThan(100)
    }
    await closeAll()
    await rm(journalPath, { recursive: true })
  })
})
