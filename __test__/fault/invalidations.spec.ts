// Invalidations of many in an outage: in effect at once here, and for everybody when Redis is back.

import { describe, expect, it } from 'vitest'

import { opener, type Instance } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

type Cache = Instance['cacheManager']

const tags = ['t']
const kinds: [string, (cache: Cache) => Promise<unknown>][] = [
  ['deleteByTag', (cache) => cache.deleteByTag('t')],
  ['expireByTag', (cache) => cache.expireByTag('t')],
  ['deletePattern', (cache) => cache.deletePattern('a*')],
  ['expire', (cache) => cache.expire('a')],
  ['clear of a namespace', (cache) => cache.namespace('space').clear()],
]

/** What each of the kinds is about, and what it is not. */
async function fill(cache: Cache, value: string): Promise<void> {
  await cache.set('a', value, { tags, grace: 60 })
  await cache.namespace('space').set('a', value)
  await cache.set('other', value, { tags: ['u'] })
}

async function read(cache: Cache, kind: string): Promise<unknown[]> {
  const place = kind === 'clear of a namespace' ? cache.namespace('space') : cache
  return [await place.get('a', { skipL1: true }), await cache.get('other', { skipL1: true })]
}

describe.each(kinds)('%s in an outage', (kind, invalidate) => {
  it('takes what it is about at once, and for everybody when Redis is back', async () => {
    await using scene = await Scene.start()
    const { cache, proxy, server, keyPrefix } = scene
    await fill(cache, 'before')
    expect(await read(cache, kind)).toEqual(['before', 'before'])
    const { open, closeAll } = opener({ url: server.url, keyPrefix })
    const other = open().cacheManager
    expect(await read(other, kind)).toEqual(['before', 'before'])

    await proxy.set('refuse')
    await scene.degraded()
    await invalidate(cache)
    expect((await read(cache, kind))[0]).toBeNull()

    await proxy.set('pass')
    await scene.healed()
    expect(await read(cache, kind)).toEqual([null, 'before'])
    await waitFor('the other process to learn of it', async () => (await read(other, kind))[0] === null)
    expect(await read(other, kind)).toEqual([null, 'before'])
    await closeAll()
  })

  it('leaves what is written after it, here and when Redis is back', async () => {
    await using scene = await Scene.start()
    const { cache, proxy } = scene
    await fill(cache, 'before')
    await proxy.set('refuse')
    await scene.degraded()
    await invalidate(cache)
    await fill(cache, 'after')
    expect(await read(cache, kind)).toEqual(['after', 'after'])
    await proxy.set('pass')
    await scene.healed()
    expect(await read(cache, kind)).toEqual(['after', 'after'])
  })

  it('takes what was written in the same outage before it', async () => {
    await using scene = await Scene.start()
    const { cache, proxy } = scene
    await cache.set('probe', 1)
    await proxy.set('refuse')
    await scene.degraded()
    await fill(cache, 'in the outage')
    await invalidate(cache)
    expect(await read(cache, kind)).toEqual([null, 'in the outage'])
    await proxy.set('pass')
    await scene.healed()
    expect(await read(cache, kind)).toEqual([null, 'in the outage'])
  })
})
