// Changes that merge reach the server in another order than they were made: threads overtake each other, and what is
// refused or held up comes later. None hides another, because each is known by its own id. docs/decisions/0010 has why.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'

import { describe, expect, it } from 'vitest'

import { range } from '../boundary/inside'
import type { RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'
import { apart, type Scene } from './outage'
import { held, leave, merge, run, settled, start } from './raw'

const counter = new URL('children/counter.mjs', import.meta.url)
const script = readFileSync(new URL('../../src/backend/redis/scripts/change.lua', import.meta.url), 'utf8')

/**
 * Answers of ours are held back long enough, and nobody takes the server for silent. No other connection opens, whose
 * first question is a script that is refused.
 */
const patient = { ...merge(), silenceMs: 10_000, nearCache: false }

/** How many scripts were refused: changes. Now and then something else is asked, and may be refused as well. */
async function refusals(judge: RespClient): Promise<number> {
  const stats = /cmdstat_evalsha:.*rejected_calls=(\d+),failed_calls=(\d+)/.exec(String(await judge.call('INFO', 'commandstats')))
  return Number(stats?.[1] ?? 0) + Number(stats?.[2] ?? 0)
}

const counts = (scene: Scene, to: string): Promise<unknown> =>
  waitFor(`the counter to stand at ${to}`, async () => (await held(scene, ['GET', 'counter']))[0] === to)

describe('changes of one key that arrive in another order than they were made', () => {
  it('those of several worker threads are all carried out', async () => {
    await using scene = await start()
    const { keyPrefix, server } = scene
    const workers = range(4).map(() => new Worker(counter, { argv: [server.url, keyPrefix, '300'] }))
    expect(await Promise.all(workers.map((worker) => once(worker, 'exit')))).toEqual(range(4).map(() => [0]))
    expect(await held(scene, ['GET', 'counter'])).toEqual(['12000'])
  })

  it.each<[when: string, before: string[][], after: string[][]]>([
    ['READONLY before a later one went through', [['REPLICAOF', '127.0.0.1', '1']], [['REPLICAOF', 'NO', 'ONE']]],
    ['NOSCRIPT before somebody loaded the script again', [['SCRIPT', 'FLUSH']], [['SCRIPT', 'LOAD', script]]],
  ])('one that met %s is carried out', async (_, before, after) => {
    await using scene = await start(patient)
    const { holdfast, proxy, server } = scene
    await run(holdfast, [['INCRBY', 'counter', 0]])
    using judge = await server.client()
    await judge.call('CONFIG', 'RESETSTAT')
    const client = holdfast.redisClient.getClient()
    await proxy.set('blackhole', 'toClient')
    await judge.pipeline(before)
    const first = client.call('INCR', 'counter')
    await waitFor('the refusal', async () => (await refusals(judge)) > 0)
    await judge.pipeline(after)
    const second = client.call('INCR', 'counter')
    await counts(scene, '1')
    await proxy.set('pass')
    expect((await settled([first, second])).filter((answer) => typeof answer !== 'number')).toEqual([])
    await scene.healed()
    expect(await held(scene, ['GET', 'counter'])).toEqual(['2'])
  })

  it('a replay that was refused with OOM is carried out after a live change that met room', async () => {
    await using scene = await start(patient)
    const { holdfast, proxy, server } = scene
    using judge = await server.client()
    await leave(scene)
    await run(holdfast, [['INCRBY', 'counter', 100]])
    await judge.call('CONFIG', 'SET', 'maxmemory', 1)
    await proxy.set('pass')
    await waitFor('the first refusal', async () => (await refusals(judge)) > 0 && holdfast.isRedisAvailable())
    await apart()
    await proxy.set('blackhole', 'toClient')
    const before = await refusals(judge)
    await waitFor('the next try', async () => (await refusals(judge)) > before)
    await judge.call('CONFIG', 'SET', 'maxmemory', 0)
    const live = holdfast.redisClient.getClient().call('INCR', 'counter')
    await counts(scene, '1')
    await proxy.set('pass')
    await live
    await scene.healed()
    expect(await held(scene, ['GET', 'counter'])).toEqual(['101'])
  })

  it('one whose deadline passed is carried out after a later one', async () => {
    await using scene = await start({ ...patient, commandTimeoutMs: 600 })
    const { holdfast, proxy, server } = scene
    const client = holdfast.redisClient.getClient()
    using judge = await server.client()
    const own = await client.call<number>('CLIENT', 'ID')
    await proxy.set('hold')
    const first = client.call('INCRBY', 'counter', 100)
    await apart(400)
    const second = client.call('INCR', 'counter')
    // Memory answers it, and the journal has it as one that was sent.
    expect(await first).toBe(100)
    await judge.call('CLIENT', 'KILL', 'ID', own)
    await proxy.set('pass')
    await second
    await scene.healed()
    expect(await held(scene, ['GET', 'counter'])).toEqual(['101'])
  })

  it.each([{ autoSync: false }, { syncMode: 'off' as const }])('what waits for syncWithRedis() is carried out after a live change of its key: %o', async (how) => {
    await using scene = await start(merge(how))
    const { holdfast, proxy } = scene
    await leave(scene)
    await run(holdfast, [['INCRBY', 'counter', 100], ['RPUSH', 'list', 'waits']])
    await proxy.set('pass')
    await waitFor('Redis', () => holdfast.isRedisAvailable())
    await run(holdfast, [['INCR', 'counter'], ['RPUSH', 'list', 'live']])
    await holdfast.syncWithRedis()
    const [sum, list] = await held(scene, ['GET', 'counter'], ['LRANGE', 'list', 0, -1])
    expect([sum, [...(list as string[])].sort()]).toEqual(['101', ['live', 'waits']])
  })
})
