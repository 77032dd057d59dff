// Clears leave a note on the server, for as long as tombstones live. Whoever owes sets of before reads the notes
// before a set is replayed, in every kind of re-sync, and again after that. docs/decisions/0009 has why.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { createHoldfast } from 'holdfast'
import { describe, expect, it } from 'vitest'

import type { Instance, InstanceOptions } from '../cache/stores'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { apart, Scene } from './outage'

const writer = fileURLToPath(new URL('../durable/writer.mjs', import.meta.url))

async function replayed({ fallbackManager, isRedisAvailable }: Instance): Promise<void> {
  await waitFor('the replay', () => isRedisAvailable() && fallbackManager.getStats().journalDepth === 0)
}

/** An instance whose server is well and out of its reach, with a set of `key` that waits. */
async function owing(options: InstanceOptions = {}): Promise<Scene> {
  const scene = await Scene.start(options)
  await scene.cache.set('probe', 1)
  await scene.proxy.set('refuse')
  await scene.degraded()
  expect(await scene.cache.set('key', 'older')).toBe(true)
  await apart()
  return scene
}

/** Another process to the server, which it reaches. */
const another = (scene: Scene, options: InstanceOptions = {}): Instance => scene.open({ url: scene.server.url, ...options })

// Side by side, because some of them wait.
describe.concurrent('a clear is heeded', () => {
  it('by the process that did it, for the journal of a dead one that it adopts afterwards', async () => {
    const port = await freePort()
    const [url, keyPrefix] = [`redis://127.0.0.1:${port}`, 'dead:']
    const journalPath = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
    const dead = spawn(process.execPath, [writer, url, keyPrefix, journalPath, 'always', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [said] = (await once(dead.stdout, 'data')) as [Buffer]
    // Its lock stays, until it is gone.
    dead.kill('SIGSTOP')
    await using server = await RedisServer.start({ port })
    await using holdfast = createHoldfast({ env: {}, url, keyPrefix, fallback: { journalPath } })
    await holdfast.cacheManager.set('own', 1)
    await apart()
    await holdfast.cacheManager.clear()
    dead.kill('SIGKILL')
    await waitFor('the journal to be taken over', () => (holdfast.getFallbackStats().adopted ?? 0) > 0)
    await replayed(holdfast)
    expect(said.toString()).toMatch(/^s 0:0 /)
    using outside = await server.client()
    expect(await outside.call('KEYS', `${keyPrefix}cache:*`)).toEqual([])
    expect(holdfast.getFallbackStats().superseded).toBeGreaterThan(0)
    await rm(journalPath, { recursive: true })
  })

  it('by the process that did it, for what it imports afterwards', async () => {
    await using scene = await owing()
    const data = scene.holdfast.fallbackManager.exportFallbackData()
    const { cacheManager, fallbackManager } = another(scene)
    await cacheManager.clear()
    fallbackManager.importFallbackData(data)
    await fallbackManager.syncWithRedis()
    expect(await scene.stored(['key'])).toEqual([null])
    expect(fallbackManager.getStats()).toMatchObject({ superseded: 1, replayed: 0, conflicts: 0 })
  })

  it('by a re-sync by hand, before it writes anything', async () => {
    await using scene = await owing({ fallback: { autoSync: false } })
    const { fallbackManager, isRedisAvailable } = scene.holdfast
    await another(scene).cacheManager.clear()
    await scene.proxy.set('pass')
    await waitFor('Redis', () => isRedisAvailable())
    await fallbackManager.syncWithRedis()
    expect(await scene.stored(['key'])).toEqual([null])
    expect(fallbackManager.getStats()).toMatchObject({ superseded: 1, replayed: 0, conflicts: 0 })
  })

  it('by others for tombstoneTtl from the moment it is carried out, whatever is cleared after it', async () => {
    await using scene = await owing()
    const other = another(scene, { tombstoneTtl: 3 })
    await other.cacheManager.exists('probe')
    await other.fallbackManager.forceFallbackMode(true)
    await other.cacheManager.clear()
    // Its stamp is older than tombstoneTtl when it reaches the server.
    await apart(3_100)
    await other.fallbackManager.forceFallbackMode(false)
    await replayed(other)
    await other.AICacheManager.clearCache()
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['key'])).toEqual([null])
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ superseded: 1, replayed: 0, conflicts: 0 })
  })

  it.each(['overwrite', 'if-absent'] as const)("by nobody who replays with syncMode '%s'", async (syncMode) => {
    await using scene = await owing({ fallback: { syncMode } })
    await another(scene).cacheManager.clear()
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(['key'])).toEqual(['older'])
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ superseded: 0, replayed: 1 })
  })
})

describe('the note of a clear', () => {
  it('is not shortened by a process with a shorter tombstoneTtl, and its stamp never falls', async () => {
    await using scene = await Scene.start({ tombstoneTtl: 600 })
    const shorter = another(scene, { tombstoneTtl: 1 })
    using outside = await scene.server.client()
    const list = `${scene.keyPrefix}h:clears`
    const note = async (): Promise<number[]> =>
      String(await outside.call('HGET', list, `${scene.keyPrefix}cache:`)).split(':').map(Number)
    await scene.cache.clear()
    const [stamp = 0, keptUntil = 0] = await note()
    await apart()
    await shorter.cacheManager.clear()
    const [later, still] = await note()
    expect(later).toBeGreaterThan(stamp)
    expect(still).toBe(keptUntil)
    expect(await outside.call('PTTL', list)).toBeGreaterThan(500_000)
  })

  it('stands though what follows it is denied, so the clear says that nobody knows', async () => {
    await using scene = await Scene.start({ username: 'app', password: 'of-the-app' })
    using judge = await scene.server.client()
    await judge.call('ACL', 'SETUSER', 'app', 'on', '>of-the-app', '~*', '&*', '+@all')
    await scene.cache.set('a', 1)
    await judge.call('ACL', 'SETUSER', 'app', '-scan')
    await expect(scene.cache.clear()).rejects.toMatchObject({ code: 'E_AUTH', applied: 'unknown' })
    expect(await judge.call('HLEN', `${scene.keyPrefix}h:clears`)).toBe(1)
    expect(await scene.stored(['a'])).toEqual([1])
  })

  it('of long ago has nothing removed by a process that met no clear of its own', async () => {
    await using scene = await Scene.start({ commandTimeoutMs: 300, breaker: false })
    const { cache, holdfast, proxy } = scene
    await another(scene).cacheManager.clear()
    // A plain value has no stamp, so that only a sweep would remove it.
    await scene.outside((outside) => outside.call('SET', scene.name('foreign'), 'written after that clear'))
    await cache.set('probe', 1)
    await proxy.set({ delay: 400 })
    expect(await cache.set('late', 1)).toBe(true)
    await proxy.set('pass')
    await scene.healed()
    await waitFor('the end', () => holdfast.fallbackManager.getStats().syncStatus === 'synced')
    expect(await scene.outside((outside) => outside.call('EXISTS', scene.name('foreign')))).toBe(1)
    expect(await scene.stored(['late'])).toEqual([1])
  })
})

describe('a re-sync by hand while Redis answers', () => {
  it('tells its beginning and its end, and counts anew', async () => {
    await using scene = await Scene.start({ fallback: { autoSync: false } })
    const { cache, holdfast, proxy } = scene
    const told: unknown[] = []
    holdfast.on('resync-start', ({ depth }) => told.push(['start', depth]))
    holdfast.on('resync-end', ({ replayed: count }) => told.push(['end', count]))
    await cache.set('probe', 1)
    for (const keys of [['one'], ['two', 'three']]) {
      await proxy.set('refuse')
      await scene.degraded()
      await Promise.all(keys.map((key) => cache.set(key, 1)))
      await proxy.set('pass')
      await waitFor('Redis', () => holdfast.isRedisAvailable())
      await holdfast.fallbackManager.syncWithRedis()
      expect(holdfast.fallbackManager.getStats()).toMatchObject({ replayed: keys.length, superseded: 0, conflicts: 0 })
    }
    await waitFor('the news', () => told.length >= 4)
    expect(told).toEqual([
      ['start', 1],
      ['end', 1],
      ['start', 2],
      ['end', 2],
    ])
  })
})
