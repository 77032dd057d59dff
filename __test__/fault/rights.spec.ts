// A user of the ACL with no more rights than docs/configuration.md names can do everything, and come back from an
// outage. The table is read from there, so that it can't fall behind.

import { readFileSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import type { InstanceOptions } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Scene } from './outage'

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
const section = text.slice(text.indexOf('## What the server must allow'))

/** The commands of one line of the table. */
function needed(line: string): string[] {
  const row = section.split('\n').find((one) => one.startsWith(`| ${line}`)) ?? ''
  const commands = [...row.matchAll(/`([A-Z]+(?: [A-Z]+)?)`/g)].map(([, command = '']) => command)
  expect(commands, line).not.toEqual([])
  return commands.map((command) => `+${command.toLowerCase().replace(' ', '|')}`)
}

async function allowed(lines: readonly string[], options: InstanceOptions = {}): Promise<Scene> {
  const scene = await Scene.start({ username: 'app', password: 'of-the-app', ...options })
  await scene.outside((outside) =>
    outside.call('ACL', 'SETUSER', 'app', 'on', '>of-the-app', `~${scene.keyPrefix}*`, ...lines.flatMap(needed)),
  )
  return scene
}

/** What this user was denied. */
async function denied(scene: Scene): Promise<string[]> {
  const entries = (await scene.outside((outside) => outside.call('ACL', 'LOG'))) as string[][]
  return entries.map((entry) => entry[entry.indexOf('object') + 1] ?? '')
}

describe('the documented rights are enough', () => {
  it('for the cache, an outage, and what is owed after it', async () => {
    const features = ['the [notes of clears]', 'closing old connections', 'tags and namespaces', 'copies in this process']
    const lines = ['everything', 'a database number', ...features]
    await using scene = await allowed(lines, { db: 1 })
    const { cache, holdfast, proxy } = scene
    expect(await cache.set('a', 1)).toBe(true)
    expect(await cache.getEntry('a')).toMatchObject({ value: 1, source: 'redis' })
    await waitFor('a copy to answer', async () => (await cache.getEntry('a'))?.source === 'near')
    expect(await cache.exists('a')).toBe(true)
    expect(await cache.delete('a')).toBe(true)
    expect(await cache.set('tagged', 1, { tags: ['t'], ttl: 60, grace: 60 })).toBe(true)
    expect(await cache.set('tagged for good', 1, { tags: ['t'], persist: true })).toBe(true)
    expect([await cache.expire('tagged'), await cache.expireByTag('t'), await cache.deleteByTag('t')]).toEqual([true, true, true])
    expect(await cache.deletePattern('none*')).toBe(0)
    expect(await cache.getOrSet('loaded', () => 2)).toBe(2)
    await cache.clear()
    expect((await holdfast.getRedisHealth()).status).toBe('healthy')
    await proxy.set('refuse')
    await scene.degraded()
    await Promise.all([cache.set('a', 1), cache.delete('loaded'), holdfast.AICacheManager.clearCache()])
    await proxy.set('pass')
    await scene.healed()
    expect(await cache.getEntry('a', { skipL1: true })).toMatchObject({ value: 1, source: 'redis' })
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, dropped: 0 })
    expect(await denied(scene)).toEqual([])
  })

  it('for raw changes that merge', async () => {
    const lines = ['everything', 'the [notes of clears]', "`rawChanges: 'merge'`", 'closing old connections']
    await using scene = await allowed(lines, { fallback: { rawChanges: 'merge' } })
    const { holdfast, proxy } = scene
    const client = holdfast.redisClient.getClient()
    const all = [['INCR', 'c'], ['DECRBY', 'c', 3], ['HSET', 'h', 'a', 1], ['HDEL', 'h', 'a'], ['SADD', 's', 1], ['SREM', 's', 1], ['LPUSH', 'l', 1], ['RPUSH', 'l', 2]] as const
    for (const [name, ...args] of all) await client.call(name, ...args)
    await proxy.set('refuse')
    await scene.degraded()
    for (const [name, ...args] of all) await client.call(name, ...args)
    await proxy.set('pass')
    await scene.healed()
    const name = (key: string): string => `${scene.keyPrefix}${key}`
    const held = await scene.outside((outside) => outside.pipeline([['GET', name('c')], ['EXISTS', name('h'), name('s')], ['LRANGE', name('l'), 0, -1]]))
    expect(held).toEqual(['-4', 0, ['1', '1', '2', '2']])
    expect(holdfast.fallbackManager.getStats()).toMatchObject({ conflicts: 0, replayed: 4 })
    expect(await denied(scene)).toEqual([])
  })
})
