// Point 11 of docs/boundary.md: nothing connects before the first call, and nothing at all while an app
// is built. Judged by the server's count of all connections that it ever accepted.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { opener } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import type { RespClient } from '../support/resp-client'
import { clean, run } from './child'

let server: RedisServer
let outside: RespClient
beforeEach(async () => {
  server = await RedisServer.start()
  outside = await server.client()
})
afterEach(async () => {
  outside.close()
  await server.dispose()
})

/** Connections accepted since the server started. */
async function accepted(): Promise<number> {
  const info = String(await outside.call('INFO', 'stats'))
  return Number(/total_connections_received:(\d+)/.exec(info)?.[1])
}

const building = { NEXT_PHASE: 'phase-production-build' }

describe('nothing connects', () => {
  it('at import, in createHoldfast or in a constructor', async () => {
    const before = await accepted()
    const env = { REDIS_URL: server.url }
    expect(await run('looks-only.mjs', { args: [server.url], env })).toEqual({ ...clean, stdout: 'looked' })
    expect(await accepted()).toBe(before)
    // The same server and the same variable, and calls: now there is a connection.
    expect(await run('idle.mjs', { args: [server.url, 'off'] })).toEqual({ ...clean, stdout: 'connected' })
    expect(await accepted()).toBe(before + 1)
  })

  it('of an instance that was never used, while one beside it is', async () => {
    const before = await accepted()
    // Without the one that tells of changes, which comes a while after the first use.
    const { open, closeAll } = opener({ url: server.url, nearCache: 'off' })
    const unused = open({ keyPrefix: 'unused:' })
    unused.on('state-change', () => {})
    await open({ keyPrefix: 'used:' }).cacheManager.set('a', 1)
    expect(await accepted()).toBe(before + 1)
    expect(await unused.cacheManager.exists('a')).toBe(false)
    expect(await accepted()).toBe(before + 2)
    await closeAll()
  })

  it('while Next.js builds the app, whatever is called', async () => {
    const before = await accepted()
    const child = await run('builds.mjs', { env: { REDIS_URL: server.url, ...building } })
    expect(child).toMatchObject(clean)
    const said = [false, true, 1, 2, true, 3, null, false, 'unhealthy', false]
    expect(JSON.parse(child.stdout)).toEqual(said)
    expect(await accepted()).toBe(before)
    // The same code when the app runs.
    const env = { REDIS_URL: server.url, REDIS_NEAR_CACHE: 'off' }
    expect(await run('builds.mjs', { env })).toMatchObject(clean)
    expect(await accepted()).toBe(before + 2)
  })

  it('while Next.js builds the app, in an instance with options of its own either', async () => {
    const before = await accepted()
    const { open, closeAll } = opener({ url: server.url })
    const { cacheManager } = open({ env: building })
    expect(await cacheManager.set('a', 1)).toBe(true)
    expect(await cacheManager.getEntry('a')).toMatchObject({ value: 1, source: 'memory' })
    await open({ env: {}, nearCache: 'off' }).cacheManager.get('a')
    expect(await accepted()).toBe(before + 1)
    await closeAll()
  })
})
