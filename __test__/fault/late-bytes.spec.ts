// Bytes that lie in the network when their connection is given up, and reach the server long after:
// unless the server has closed that connection, it runs them. So it is told to close it first.

import { describe, expect, it } from 'vitest'

import type { InstanceOptions } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

describe('bytes that are delivered after their connection was given up', () => {
  // The connection that tells of changes carries no writes: this is about those that do.
  async function start(): Promise<Scene> {
    const scene = await Scene.start({ nearCache: 'off' })
    const { cache, holdfast } = scene
    await Promise.all([cache.set('written', 'first'), cache.set('deleted', 'first'), cache.set('cleared', 'first')])
    await holdfast.redisClient.getClient().call('SET', 'counter', 0)
    return scene
  }

  /** What was held is delivered, and the server has worked off everything that it took. */
  async function release(scene: Scene): Promise<void> {
    scene.proxy.release()
    using judge = await scene.server.client()
    await waitFor('the old connections to end', async () => (await judge.otherConnections()) === 1)
  }

  it('change nothing after an outage', async () => {
    await using scene = await start()
    const { cache, holdfast, proxy } = scene
    const client = holdfast.redisClient.getClient()
    await proxy.set('hold')
    const old = Promise.all([cache.set('written', 'old bytes'), cache.set('deleted', 'old bytes'), cache.set('cleared', 'old bytes')])
    const counted = client.call('INCR', 'counter').catch((error: unknown) => error)
    expect(await old).toEqual([true, true, true])
    expect(await counted).toMatchObject({ name: 'HoldfastError', applied: 'unknown' })
    await scene.degraded()
    await waitFor('the connection to be given up', () => proxy.counts.held === 1)
    await cache.clear()
    await Promise.all([cache.set('written', 'newest'), cache.set('deleted', 'newer')])
    await cache.delete('deleted')

    await proxy.set('pass')
    await scene.healed()
    await release(scene)
    expect(await scene.stored(['written', 'deleted', 'cleared'])).toEqual(['newest', null, null])
    expect(await client.call('GET', 'counter')).toBe('0')
  })

  it('change nothing after a single connection broke', async () => {
    await using scene = await start()
    const { cache, events, holdfast, proxy } = scene
    const client = holdfast.redisClient.getClient()
    await proxy.set('hold')
    const sent = Promise.all([cache.set('written', 'sent twice'), cache.delete('deleted')])
    const counted = client.call('INCR', 'counter').catch((error: unknown) => error)
    await waitFor('the bytes', () => proxy.waiting > 0)
    proxy.abandon()
    await proxy.set('pass')
    expect((await sent)[0]).toBe(true)
    expect(await counted).toMatchObject({ name: 'HoldfastError', applied: 'unknown' })
    expect(await scene.stored(['written', 'deleted'])).toEqual(['sent twice', null])
    await Promise.all([cache.set('written', 'newest'), cache.set('deleted', 'written since')])

    await waitFor('the server to have closed it', () => proxy.counts.held === 0)
    await release(scene)
    expect(await scene.stored(['written', 'deleted'])).toEqual(['newest', 'written since'])
    expect(await client.call('GET', 'counter')).toBe('0')
    expect(events).toEqual(['backend-connected'])
  })

  it('of a large value change nothing either', async () => {
    await using scene = await start()
    const { cache, proxy } = scene
    const large = (name: string): string => name + 'l'.repeat(3_000_000)
    await cache.set('written', large('first'), { compress: false })
    await proxy.set('hold')
    const sent = cache.set('written', large('old bytes'), { compress: false })
    await waitFor('the bytes', () => proxy.waiting > 1_000_000)
    expect(await sent).toBe(true)
    await scene.degraded()
    await waitFor('both connections to be given up', () => proxy.counts.held === 2)
    await cache.set('written', 'newest')
    await proxy.set('pass')
    await scene.healed()
    await release(scene)
    expect(await scene.stored(['written'])).toEqual(['newest'])
  })

  it('change nothing with fencedWrites where the server lets nobody close connections', async () => {
    const fenced = { username: 'app', password: 'of-the-app', fencedWrites: true, nearCache: 'off' } as InstanceOptions
    await using scene = await Scene.start(fenced)
    using judge = await scene.server.client()
    await judge.call('ACL', 'SETUSER', 'app', 'on', '>of-the-app', '~*', '&*', '+@all', '-client|kill')
    const { cache, proxy } = scene
    await Promise.all([cache.set('written', 'first'), cache.set('deleted', 'first')])
    await proxy.set('hold')
    await Promise.all([cache.set('written', 'old bytes'), cache.set('deleted', 'old bytes')])
    await scene.degraded()
    await waitFor('the connection to be given up', () => proxy.counts.held === 1)
    await Promise.all([cache.set('written', 'newest'), cache.delete('deleted')])
    await proxy.set('pass')
    await scene.healed()
    expect(proxy.release()).toBeGreaterThan(0)
    await waitFor('the old connection to end', async () => (await judge.otherConnections()) === 1)
    expect(await scene.stored(['written', 'deleted'])).toEqual(['newest', null])
  })
})
