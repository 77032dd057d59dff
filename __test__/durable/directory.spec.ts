// The journal's directory: shared by processes, taken over from those that are gone, refused where it can't be.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { createHoldfast } from 'holdfast'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

const program = fileURLToPath(new URL('writer.mjs', import.meta.url))
let journals: string

beforeAll(async () => {
  journals = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
})
afterAll(async () => rm(journals, { recursive: true }))

/** Another process whose Redis is away; ended after its first acknowledged writes. Answers the keys of its sets. */
async function leftBehind(url: string, keyPrefix: string, journalPath: string): Promise<string[]> {
  const app = spawn(process.execPath, [program, url, keyPrefix, journalPath, 'everysec', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  app.stdout.on('data', (bytes: Buffer) => {
    said += bytes.toString()
    if (said.split('\n').length > 20) app.kill('SIGKILL')
  })
  await once(app, 'close')
  const lines = said.split('\n').slice(0, -1)
  return lines.filter((line) => line.startsWith('s 0:')).map((line) => line.split(' ')[1] ?? '')
}

describe('journalPath', () => {
  it('hands what a process left to one that runs already, and to no other server or prefix', async () => {
    const port = await freePort()
    const url = `redis://127.0.0.1:${port}`
    const running = createHoldfast({ env: {}, url, keyPrefix: 'a:', fallback: { journalPath: journals } })
    const stranger = createHoldfast({ env: {}, url, keyPrefix: 'b:', fallback: { journalPath: journals } })
    const adopted: object[] = []
    running.on('journal-adopted', (event) => adopted.push(event))
    await running.cacheManager.set('own', 1)
    await stranger.cacheManager.set('own', 1)
    expect(running.fallbackManager.getStats()).toMatchObject({ journalOnDisk: true, journalDepth: 1 })
    const keys = await leftBehind(url, 'a:', journals)
    await waitFor('the journal to be taken over', () => running.fallbackManager.getStats().journalDepth > 10)
    expect(stranger.fallbackManager.getStats().journalDepth).toBe(1)
    await waitFor('word of it', () => adopted.length > 0)
    expect(adopted).toHaveLength(1)
    // While Redis is away still, what was taken over is read like one's own.
    for (const key of keys) expect(await running.cacheManager.get(key)).not.toBeNull()
    await using server = await RedisServer.start({ port })
    await waitFor('the replay', () => {
      const { journalDepth, redisAvailable } = running.fallbackManager.getStats()
      return redisAvailable && journalDepth === 0
    })
    using outside = await server.client()
    expect(await outside.call('EXISTS', ...keys.map((key) => `a:cache:${key}`))).toBe(keys.length)
    expect(await outside.call('EXISTS', ...keys.map((key) => `b:cache:${key}`))).toBe(0)
    await Promise.all([running.close(), stranger.close()])
    await waitFor('the files to be gone', async () => (await readdir(journals)).length === 0)
  })

  it('takes over what stands before a damaged end, and tells how much it could not read', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`
    const keys = await leftBehind(url, 'torn:', journals)
    const [file = ''] = await readdir(journals)
    await appendFile(join(journals, file), Buffer.from([200, 0, 0, 0, 1, 2, 3, 4, 5, 6]))
    const next = createHoldfast({ env: {}, url, keyPrefix: 'torn:', fallback: { journalPath: journals } })
    const events: unknown[] = []
    next.on('journal-adopted', (event) => events.push(event))
    const { journalDepth, adopted, tornBytes } = next.fallbackManager.getStats()
    expect(journalDepth).toBeGreaterThan(10)
    expect(adopted).toBe(journalDepth)
    expect(tornBytes).toBeGreaterThanOrEqual(10)
    await waitFor('the event, though it happened before anybody could listen', () => events.length > 0)
    expect(events).toEqual([{ type: 'journal-adopted', intents: adopted, tornBytes }])
    for (const key of keys) expect(await next.cacheManager.get(key)).not.toBeNull()
    next.fallbackManager.clearFallbackData()
    await next.cacheManager.clear()
    await next.close()
  })

  it('keeps no file without an outage', async () => {
    await using server = await RedisServer.start()
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
    const { url } = server
    const holdfast = createHoldfast({ env: {}, url, keyPrefix: 'well:', fallback: { journalPath: directory } })
    await holdfast.cacheManager.set('a', 1)
    await holdfast.close()
    await waitFor('the file to be gone', async () => (await readdir(directory)).length === 0)
    await rm(directory, { recursive: true })
  })

  it('is refused where no journal can be kept, by name', async () => {
    const file = join(journals, 'a-file')
    await writeFile(file, '')
    expect(() => createHoldfast({ env: {}, url: 'redis://127.0.0.1:1', fallback: { journalPath: join(file, 'below') } })).toThrow(
      expect.objectContaining({ code: 'E_INVALID', path: 'fallback.journalPath' }),
    )
    await chmod(file, 0o600)
    await rm(file)
  })

  it.each([
    ['the options', (path: string) => ({ env: {}, fallback: { journalPath: path } })],
    ['the environment', (path: string) => ({ env: { REDIS_FALLBACK_JOURNAL_PATH: path } })],
  ])('named by %s of the instance is enough for persistentFallback', async (_, settings) => {
    const url = `redis://127.0.0.1:${await freePort()}`
    const instance = createHoldfast({ url, keyPrefix: 'asks:', ...settings(journals) })
    await instance.initializeRedisSystem({ fallbackOptions: { persistentFallback: true } })
    expect(instance.getFallbackStats().journalOnDisk).toBe(true)
    await instance.close()
  })

  it('is where persistentFallback asks to have it', async () => {
    const { initializeRedisSystem } = createHoldfast({ env: {}, url: 'memory:' })
    await expect(initializeRedisSystem({ fallbackOptions: { persistentFallback: true } })).rejects.toMatchObject({
      code: 'E_INVALID',
      path: 'options.fallbackOptions.persistentFallback',
    })
  })
})
