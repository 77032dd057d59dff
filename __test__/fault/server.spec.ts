// Faults of the server itself: frozen, killed, restarted empty or with its data. Everything is judged
// by a raw client, which shares no line with the package.

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import { Scene } from './outage'

const keys = (family: string, count: number): string[] => range(count).map((n) => `${family}:${n}`)

describe('a server that is frozen', () => {
  it('is answered for, and when it goes on everything said meanwhile is there', async () => {
    await using scene = await Scene.start()
    const { cache, server } = scene
    await Promise.all(keys('before', 100).map((key, n) => cache.set(key, n)))
    server.freeze()
    const during = keys('during', 100).map((key, n) => cache.set(key, { n }))
    expect(await Promise.all(during)).toEqual(during.map(() => true))
    expect(await cache.getEntry('during:7')).toMatchObject({ value: { n: 7 }, source: 'memory' })
    await Promise.all(keys('before', 50).map((key) => cache.delete(key)))
    server.thaw()
    await scene.healed()
    expect(await scene.stored(keys('before', 100))).toEqual(range(100).map((n) => (n < 50 ? null : n)))
    expect(await scene.stored(keys('during', 100))).toEqual(range(100).map((n) => ({ n })))
  })

  it('works off what it was sent before, and that replaces nothing newer', async () => {
    await using scene = await Scene.start()
    const { cache, server } = scene
    await Promise.all([cache.set('written', 'first'), cache.set('deleted', 'first')])
    server.freeze()
    // Its kernel takes these; it runs them when it goes on.
    await Promise.all([cache.set('written', 'in its kernel'), cache.set('deleted', 'in its kernel')])
    await scene.degraded()
    await Promise.all([cache.set('written', 'newest'), cache.delete('deleted')])
    server.thaw()
    await scene.healed()
    expect(await scene.stored(['written', 'deleted'])).toEqual(['newest', null])
  })

  it('again and again loses nothing', async () => {
    await using scene = await Scene.start()
    await scene.cache.set('start', 1)
    for (const round of range(3)) {
      scene.server.freeze()
      await Promise.all(keys('key', 50).map((key, n) => scene.cache.set(key, { n, round })))
      await scene.cache.delete('key:0')
      scene.server.thaw()
      await scene.healed()
      const expected = range(50).map((n) => (n === 0 ? null : { n, round }))
      expect(await scene.stored(keys('key', 50)), `round ${round}`).toEqual(expected)
    }
  })
})

describe('a server that is killed with -9', () => {
  it('and restarted empty has every one of 200 keys written and 50 deleted meanwhile right', async () => {
    await using scene = await Scene.start()
    const { cache, server } = scene
    await Promise.all(keys('key', 100).map((key, n) => cache.set(key, { n, from: 'before' })))
    await server.kill()
    await scene.degraded()
    const written = await Promise.all(keys('key', 200).map((key, n) => cache.set(key, { n, from: 'the outage' })))
    expect(written).toEqual(range(200).map(() => true))
    const deleted = await Promise.all(range(50).map((n) => cache.delete(`key:${n * 4}`)))
    expect(deleted).toEqual(range(50).map(() => true))
    await server.start()
    await scene.healed()
    const expected = range(200).map((n) => (n % 4 === 0 ? null : { n, from: 'the outage' }))
    expect(await scene.stored(keys('key', 200))).toEqual(expected)
    expect(await Promise.all(keys('key', 200).map((key) => cache.get(key)))).toEqual(expected)
    expect(scene.holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0 })
  })

  it('while 400 writes are in flight acknowledges each, and each is there afterwards', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { cache, server } = scene
    await cache.set('before', 1)
    const writes = keys('key', 200).map((key, n) => cache.set(key, n))
    const killed = server.kill()
    const more = keys('more', 200).map((key, n) => cache.set(key, n))
    expect(await Promise.all([...writes, ...more])).toEqual(range(400).map(() => true))
    await killed
    await scene.degraded()
    await server.start()
    await scene.healed()
    // Some were on its disk, the others are replayed.
    expect(await scene.stored(keys('key', 200))).toEqual(range(200))
    expect(await scene.stored(keys('more', 200))).toEqual(range(200))
  })

  it('and restarted with its data does not bring back what was deleted meanwhile', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { cache, server } = scene
    await Promise.all(keys('key', 200).map((key, n) => cache.set(key, n)))
    await server.kill()
    await scene.degraded()
    await Promise.all(range(50).map((n) => cache.delete(`key:${n * 4}`)))
    await Promise.all(range(50).map((n) => cache.set(`key:${n * 4 + 1}`, 'replaced')))
    expect(await cache.get('key:4')).toBeNull()
    await server.start()
    await scene.healed()
    const expected = range(200).map((n) => (n % 4 === 0 ? null : n % 4 === 1 ? 'replaced' : n))
    expect(await scene.stored(keys('key', 200))).toEqual(expected)
    expect(await cache.get('key:4')).toBeNull()
    // Nor on the next restart: the deletes are on its disk too.
    await server.restart({ keepData: true, force: true })
    await scene.degraded().catch(() => {})
    await scene.healed()
    expect(await scene.stored(keys('key', 200))).toEqual(expected)
  })

  it('and restarted with its data does not bring back a family that was cleared meanwhile', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { cache, server } = scene
    await Promise.all(keys('key', 100).map((key, n) => cache.set(key, n)))
    await server.kill()
    await scene.degraded()
    await cache.clear()
    await cache.set('key:1', 'after the clearing')
    await server.start()
    await scene.healed()
    expect(await scene.stored(keys('key', 100))).toEqual(range(100).map((n) => (n === 1 ? 'after the clearing' : null)))
  })

  it('in the middle of the replay loses nothing either', async () => {
    await using scene = await Scene.start({}, { persistent: true })
    const { cache, holdfast, server } = scene
    await cache.set('before', 1)
    await server.kill()
    await scene.degraded()
    await Promise.all(keys('key', 5_000).map((key, n) => cache.set(key, n)))
    await Promise.all(keys('gone', 500).map((key) => cache.delete(key)))
    const begun = new Promise<void>((resolve) => holdfast.on('resync-start', () => resolve()))
    await server.start()
    await begun
    await server.kill()
    await server.start()
    await scene.healed()
    expect(await scene.stored(keys('key', 5_000))).toEqual(range(5_000))
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0 })
  })
})
