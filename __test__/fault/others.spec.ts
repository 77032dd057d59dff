// Somebody else writes while we are cut off: another process with the package, or a program that knows
// nothing of it. What is newer stays, and what is not ours is left alone.

import { randomBytes } from 'node:crypto'

import { describe, expect, it } from 'vitest'

import { clean, run } from '../boundary/child'
import { range } from '../boundary/inside'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

type Step = ['set', string, unknown] | ['delete', string] | ['clear']

/** A second process, straight at the server while our way to it is cut. */
async function other(scene: Scene, steps: readonly Step[]): Promise<void> {
  const args = [scene.server.url, scene.keyPrefix, JSON.stringify(steps)]
  expect(await run('second-process.mjs', { args })).toMatchObject(clean)
}

async function cutOff(keys: readonly string[] = []): Promise<Scene> {
  const scene = await Scene.start()
  await scene.cache.set('probe', 1)
  await Promise.all(keys.map((key) => scene.cache.set(key, 'before')))
  await scene.proxy.set('refuse')
  await scene.degraded()
  return scene
}

async function reunite(scene: Scene): Promise<void> {
  await scene.proxy.set('pass')
  await scene.healed()
}

describe('while we are cut off, another process', () => {
  it('writes what is newer: our older journalled set does not replace it', async () => {
    await using scene = await cutOff(['key'])
    expect(await scene.cache.set('key', 'ours, older')).toBe(true)
    await other(scene, [['set', 'key', 'theirs, newer']])
    expect(await scene.cache.get('key')).toBe('ours, older')
    await reunite(scene)
    expect(await scene.stored(['key'])).toEqual(['theirs, newer'])
    expect(await scene.cache.get('key')).toBe('theirs, newer')
  })

  it('writes what is older: our newer journalled set replaces it', async () => {
    await using scene = await cutOff(['key'])
    await other(scene, [['set', 'key', 'theirs, older']])
    expect(await scene.cache.set('key', 'ours, newer')).toBe(true)
    await reunite(scene)
    expect(await scene.stored(['key'])).toEqual(['ours, newer'])
  })

  it('deletes after our set: the delete is not undone', async () => {
    await using scene = await cutOff(['key'])
    await scene.cache.set('key', 'ours, older')
    await scene.cache.set('fresh', 'ours, older')
    await other(scene, [
      ['delete', 'key'],
      ['delete', 'fresh'],
    ])
    await reunite(scene)
    expect(await scene.stored(['key', 'fresh'])).toEqual([null, null])
    expect(await scene.cache.get('key')).toBeNull()
  })

  it('deletes before our set: the set stands', async () => {
    await using scene = await cutOff(['key'])
    await other(scene, [['delete', 'key']])
    await scene.cache.set('key', 'ours, newer')
    await reunite(scene)
    expect(await scene.stored(['key'])).toEqual(['ours, newer'])
  })

  it('writes after our delete: the write stays', async () => {
    await using scene = await cutOff(['key'])
    await scene.cache.delete('key')
    await other(scene, [['set', 'key', 'theirs, newer']])
    expect(await scene.cache.get('key')).toBeNull()
    await reunite(scene)
    expect(await scene.stored(['key'])).toEqual(['theirs, newer'])
    expect(await scene.cache.get('key')).toBe('theirs, newer')
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ superseded: 1, conflicts: 0, replayed: 0 })
  })

  it('writes before our delete: the value is gone', async () => {
    await using scene = await cutOff(['key'])
    await other(scene, [['set', 'key', 'theirs, older']])
    await scene.cache.delete('key')
    await reunite(scene)
    expect(await scene.stored(['key'])).toEqual([null])
  })

  it('writes after our clear: only what is older goes', async () => {
    await using scene = await cutOff(['old', 'key'])
    await scene.cache.clear()
    await other(scene, [['set', 'key', 'theirs, newer']])
    await reunite(scene)
    expect(await scene.stored(['old', 'key'])).toEqual([null, 'theirs, newer'])
  })

  it('clears after our sets: none of them comes back, absent as their keys were', async () => {
    await using scene = await cutOff(['key'])
    await Promise.all([scene.cache.set('key', 'ours, older'), scene.cache.set('fresh', 'ours, older')])
    await scene.holdfast.fallbackManager.set('apart', 'in another family')
    await other(scene, [['clear']])
    await reunite(scene)
    expect(await scene.stored(['key', 'fresh'])).toEqual([null, null])
    expect(await Promise.all(['key', 'fresh'].map((key) => scene.cache.get(key)))).toEqual([null, null])
    const { fallbackManager } = scene.holdfast
    expect(await fallbackManager.get('apart')).toBe('in another family')
    expect(fallbackManager.getStats()).toMatchObject({ superseded: 2, conflicts: 0, replayed: 1 })
  })

  it('clears before our sets: they stand', async () => {
    await using scene = await cutOff(['key'])
    await other(scene, [['clear']])
    await Promise.all([scene.cache.set('key', 'ours, newer'), scene.cache.set('fresh', 'ours, newer')])
    await reunite(scene)
    expect(await scene.stored(['key', 'fresh'])).toEqual(['ours, newer', 'ours, newer'])
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ superseded: 0, conflicts: 0 })
  })
})

describe('while our sets are replayed, another process', () => {
  it('clears: those that had arrived go, and those that had not go too', async () => {
    await using scene = await cutOff()
    const { cache, holdfast, proxy } = scene
    const keys = range(100).map((n) => `key:${n}`)
    // Text that can't be made smaller, so that it takes its time.
    await Promise.all(keys.map((key) => cache.set(key, randomBytes(30_000).toString('base64'))))
    await proxy.set({ bytesPerSecond: 200_000 })
    const left = (): number => holdfast.fallbackManager.getStats().journalDepth
    await waitFor('the first to arrive', () => holdfast.isRedisAvailable() && left() < keys.length)
    await other(scene, [['clear']])
    expect(left()).toBeGreaterThan(0)
    // Ours are removed by their names: what somebody else wrote since then stays.
    await scene.outside((outside) => outside.call('SET', scene.name('foreign'), 'plain'))
    await proxy.set('pass')
    await scene.healed()
    expect(await scene.stored(keys)).toEqual(keys.map(() => null))
    expect(await scene.outside((outside) => outside.call('GET', scene.name('foreign')))).toBe('plain')
    expect(await cache.get('key:99')).toBeNull()
  })
})

describe('a foreign value under our name', () => {
  it('that came while we were cut off is left alone by a journalled set, which is told as a conflict', async () => {
    await using scene = await cutOff()
    await Promise.all([scene.cache.set('list', 'ours'), scene.cache.set('text', 'ours'), scene.cache.set('free', 'ours')])
    using outside = await scene.server.client()
    await outside.call('RPUSH', scene.name('list'), 'a', 'b')
    await outside.call('SET', scene.name('text'), '"theirs"')
    await reunite(scene)
    expect(await outside.call('LRANGE', scene.name('list'), 0, -1)).toEqual(['a', 'b'])
    expect(await outside.call('GET', scene.name('text'))).toBe('"theirs"')
    expect(await scene.stored(['free'])).toEqual(['ours'])
    expect(scene.holdfast.fallbackManager.getStats().conflicts).toBe(2)
    expect(await scene.cache.get('text')).toBe('theirs')
    await expect(scene.cache.get('list')).rejects.toMatchObject({ code: 'E_DATA' })
  })

  it('that came while we were cut off is removed by a journalled delete', async () => {
    await using scene = await cutOff(['list', 'text'])
    await Promise.all([scene.cache.delete('list'), scene.cache.delete('text')])
    using outside = await scene.server.client()
    await outside.call('DEL', scene.name('list'), scene.name('text'))
    await outside.call('RPUSH', scene.name('list'), 'a')
    await outside.call('SET', scene.name('text'), '"theirs"')
    await reunite(scene)
    expect(await outside.call('EXISTS', scene.name('list'), scene.name('text'))).toBe(0)
  })

  it('of another type spoils the call for its key alone', async () => {
    await using scene = await Scene.start()
    using outside = await scene.server.client()
    await outside.call('RPUSH', scene.name('list'), 'a')
    const { cache, events } = scene
    const answers = await Promise.allSettled([
      cache.set('one', 1),
      cache.get('list'),
      cache.get('one'),
      cache.getOrSet('list', () => 'never'),
      cache.exists('list'),
      cache.set('two', 2),
    ])
    expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : (answer.reason as { code: string }).code))).toEqual(
      [true, 'E_DATA', 1, 'E_DATA', true, true],
    )
    expect(await outside.call('LRANGE', scene.name('list'), 0, -1)).toEqual(['a'])
    expect(events).toEqual(['backend-connected'])
  })
})
