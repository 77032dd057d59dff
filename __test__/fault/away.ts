// What must hold of a server that is there and can't serve us as a whole: it counts as away. Memory
// answers, writes are journalled, and when the state ends everything that was acknowledged is there.

import { describe, expect, it } from 'vitest'

import type { RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'
import type { ServerState } from './server-states'

/** An instance that has written what the tests read, and a connection to judge by. */
async function start({ server, instance, prepare }: ServerState): Promise<{ scene: Scene; judge: RespClient }> {
  const scene = await Scene.start(instance, server)
  const judge = await scene.server.client()
  await prepare?.(judge)
  const { cache } = scene
  await Promise.all([cache.set('kept', 1), cache.set('replaced', 'before'), cache.set('deleted', 'before')])
  // What was read is kept for an outage.
  expect(await Promise.all(['kept', 'replaced', 'deleted'].map((key) => cache.get(key)))).toEqual([1, 'before', 'before'])
  return { scene, judge }
}

export function countsAsAway(states: ServerState[]): void {
  describe.each(states)('a server that is $name', (state) => {
    it('is answered for from memory, and has everything when that ends', async () => {
      const { scene, judge } = await start(state)
      await using _ = scene
      await state.begin(scene, judge)
      const { cache, holdfast } = scene

      expect(await Promise.all([cache.set('during', { n: 1 }), cache.set('replaced', 'during')])).toEqual([true, true])
      expect(await cache.delete('deleted')).toBe(true)
      expect(await cache.getEntry('during')).toMatchObject({ value: { n: 1 }, source: 'memory' })
      expect(await Promise.all(['replaced', 'deleted'].map((key) => cache.get(key)))).toEqual(['during', null])
      expect(await cache.getOrSet('loaded', () => 'fresh')).toBe('fresh')
      expect(holdfast.isRedisAvailable()).toBe(false)
      expect((await holdfast.getSystemStatus()).overall).toBe('degraded')

      await state.end(scene, judge)
      await scene.healed()
      const names = ['kept', 'during', 'replaced', 'deleted', 'loaded']
      expect(await scene.stored(names)).toEqual([1, { n: 1 }, 'during', null, 'fresh'])
      expect(await cache.getEntry('replaced')).toMatchObject({ value: 'during', source: 'redis' })
      expect(await cache.get('deleted')).toBeNull()
      expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0 })
      judge.close()
    })

    it('is told of once, however often it is dialled, and refuses raw commands with a code', async () => {
      const { scene, judge } = await start(state)
      await using _ = scene
      const { cache, events, holdfast, proxy } = scene
      const reasons: (string | null)[] = []
      holdfast.on('backend-disconnected', ({ reason }) => reasons.push(reason))
      holdfast.on('backend-degraded', ({ reason }) => reasons.push(reason))
      await state.begin(scene, judge)

      expect(await cache.get('kept')).toBe(1)
      expect(await cache.set('during', 1)).toBe(true)
      await waitFor('memory to answer', () => holdfast.fallbackManager.getStats().isUsingFallback, { withinMs: 5_000 })
      const client = holdfast.redisClient.getClient()
      const refusal = { code: state.code ?? 'E_UNAVAILABLE', applied: 'no' }
      await expect(client.call('SET', 'raw', 1)).rejects.toMatchObject(refusal)
      const dials = proxy.counts.connections
      await waitFor('more dials', () => proxy.counts.connections >= dials + 3)
      expect(holdfast.redisClient.getConnectionState().lastError).toMatchObject({ code: state.lastError ?? refusal.code })
      expect(await cache.getEntry('during')).toMatchObject({ value: 1, source: 'memory' })
      expect(events).toEqual(['backend-connected', 'backend-disconnected', 'backend-degraded'])
      expect(reasons).toEqual([expect.stringMatching(state.says), expect.stringMatching(state.says)])

      await state.end(scene, judge)
      await scene.healed()
      await waitFor('the news', () => events.includes('backend-recovered'))
      expect(events.slice(3)).toEqual(['backend-connected', 'backend-recovered'])
      expect(await client.call('SET', 'raw', 1)).toBe('OK')
      expect(await scene.stored(['during'])).toEqual([1])
      judge.close()
    })

    it('does not hold up an instance that meets it in this state first', async () => {
      const { scene, judge } = await start(state)
      await using _ = scene
      await state.begin(scene, judge)
      const late = scene.open({ keyPrefix: `${scene.keyPrefix}late:` })
      expect(await late.cacheManager.set('first', 1)).toBe(true)
      expect(await late.cacheManager.getEntry('first')).toMatchObject({ value: 1, source: 'memory' })
      await state.end(scene, judge)
      await waitFor('the return', async () => (await late.cacheManager.getEntry('first'))?.source === 'redis')
      expect(await late.cacheManager.get('first')).toBe(1)
      judge.close()
    })
  })
}
