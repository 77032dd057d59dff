// Point 10 of docs/boundary.md: a large value delays nobody. What is asserted is the order in which
// promises settle, never a time.

import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { opener, type Instance } from '../cache/stores'
import { Scene } from '../fault/outage'
import { FaultProxy } from '../support/fault-proxy'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { range } from './inside'

const MEGABYTES = 20
/** Text that no compression makes small, and text that any does. */
const random = randomBytes((MEGABYTES * 1024 * 1024 * 3) / 4).toString('base64')
const even = 'the same again and again; '.repeat((MEGABYTES * 1024 * 1024) / 26)

describe.each([
  ['random', random],
  ['even', even],
])('a value of 20 MB, %s,', (_, large) => {
  let server: RedisServer
  let proxy: FaultProxy
  let holdfast: Instance
  let closeAll: () => Promise<void>

  beforeAll(async () => {
    server = await RedisServer.start()
    proxy = await FaultProxy.start({ port: server.port })
    const made = opener({ url: proxy.url, keyPrefix: `large:${randomUUID()}:` })
    closeAll = made.closeAll
    holdfast = made.open()
    await holdfast.cacheManager.set('small', 'here')
    // A link on which much takes long: pieces of 64 KB, each in a turn of its own.
    await proxy.set({ slice: 64 * 1024 })
  })
  afterAll(async () => {
    await closeAll()
    await proxy.close()
    await server.dispose()
  })

  const small = (order: string[]): Promise<unknown>[] => {
    const { cacheManager, redisClient } = holdfast
    const note = (name: string) => (): number => order.push(name)
    return [
      ...range(5).map(() => cacheManager.get('small').then(note('small'))),
      cacheManager.set('small', 'here').then(note('small')),
      redisClient.getClient().call('PING').then(note('small')),
    ]
  }
  const last = [...range(7).map(() => 'small'), 'large']

  it('that is written delays no call that was made after it', async () => {
    const order: string[] = []
    const written = holdfast.cacheManager.set('large', large).then((kept) => (order.push('large'), kept))
    await Promise.all([written, ...small(order)])
    expect(await written).toBe(true)
    expect(order).toEqual(last)
  })

  it('that is read delays no call that was made after it', async () => {
    const order: string[] = []
    const read = holdfast.cacheManager.get<string>('large').then((value) => (order.push('large'), value))
    await Promise.all([read, ...small(order)])
    expect((await read) === large).toBe(true)
    expect(order).toEqual(last)
  })

  it('keeps the order of its own key', async () => {
    const { cacheManager } = holdfast
    const answers = await Promise.all([
      cacheManager.set('large', 'small for once'),
      cacheManager.get('large'),
      cacheManager.set('large', large),
      cacheManager.exists('large'),
      cacheManager.delete('large'),
      cacheManager.get('large'),
    ])
    expect(answers).toEqual([true, 'small for once', true, true, true, null])
  })
})

describe('values of 10 MB that were written during an outage', () => {
  const names = range(3).map((n) => `large:${n}`)
  const first = (name: string): string => `first ${name} ${random.slice(0, 10 * 1024 * 1024)}`
  let scene: Scene
  beforeAll(async () => {
    scene = await Scene.start()
    await scene.cache.set('small', 'here')
    await scene.proxy.set('refuse')
    await scene.degraded()
    const kept = await Promise.all([...names.map((name) => scene.cache.set(name, first(name))), scene.cache.set('during', 1)])
    expect(kept).toEqual([true, true, true, true])
  })
  afterAll(() => scene[Symbol.asyncDispose]())

  it('are replayed without delaying others, and each before what is asked of its key later', async () => {
    const { cache, proxy } = scene
    await proxy.set({ slice: 64 * 1024 })
    await waitFor('Redis to answer', () => scene.holdfast.isRedisAvailable())
    const order: string[] = []
    const note = <Value>(name: string, answer: Promise<Value>): Promise<Value> => answer.finally(() => order.push(name))
    const [value, replaced, small, during] = await Promise.all([
      note('large', cache.get<string>('large:1')),
      note('large', cache.set('large:2', 'newer')),
      note('small', cache.get('small')),
      note('small', cache.get('during')),
    ])
    expect(value === first('large:1')).toBe(true)
    expect([replaced, small, during]).toEqual([true, 'here', 1])
    expect(order).toEqual(['small', 'small', 'large', 'large'])
    await scene.healed()
    const { cacheManager: other } = scene.open({ url: scene.server.url })
    expect((await other.get('large:0')) === first('large:0')).toBe(true)
    expect((await other.get('large:1')) === first('large:1')).toBe(true)
    expect(await Promise.all([other.get('large:2'), other.get('during')])).toEqual(['newer', 1])
  })
})
