// Point 6 of docs/boundary.md: a runtime of our own, which outlives every environment.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { opener } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import { clean, run } from './child'
import { range } from './inside'
import { startWorker } from './worker'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.dispose())

describe('worker threads', () => {
  it('come and go one after the other, and the last one works like the first', async () => {
    for (const n of range(6)) {
      const worker = startWorker({ options: { url: server.url }, keys: [`worker:${n}`], value: n, wait: true })
      expect(await worker.message).toEqual({ kept: [true], read: [n] })
      expect(await worker.ended).toBe(0)
    }
    using outside = await server.client()
    expect(await outside.call('EXISTS', ...range(6).map((n) => `ai-chatbot:cache:worker:${n}`))).toBe(6)
  })

  it('that are terminated leave the main thread and later workers at work', async () => {
    const { open, closeAll } = opener({ url: server.url })
    const { cacheManager } = open()
    await cacheManager.set('main', 1)
    for (const n of range(6)) {
      const worker = startWorker({ options: { url: server.url }, keys: ['any'], value: n, wait: false, stay: true })
      await worker.message
      await worker.terminate()
      expect(await cacheManager.getEntry('main', { skipL1: true })).toMatchObject({ value: 1, source: 'redis' })
    }
    const last = startWorker({ options: { url: server.url }, keys: ['last'], value: 'yes', wait: true })
    expect(await last.message).toEqual({ kept: [true], read: ['yes'] })
    expect(await last.ended).toBe(0)
    await closeAll()
  })

  it.each([1, 22, 333])('twenty with 200 operations each, terminated in the middle, end cleanly (seed %i)', async (seed) => {
    expect(await run('terminated-workers.mjs', { args: [server.url, String(seed)] })).toEqual({
      ...clean,
      stdout: 'after them: 199 from redis',
    })
  })
})
