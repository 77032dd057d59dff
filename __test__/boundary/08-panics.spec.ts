// Point 8 of docs/boundary.md: no panic ends the process or leaves a promise pending, an abort says what
// is known, and the end of an environment takes back nothing that was sent.

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { onStore, opener, stores, type Instance } from '../cache/stores'
import { FaultProxy } from '../support/fault-proxy'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'
import { run } from './child'
import { ask, counters, range, since, slotsTaken, turn } from './inside'
import { startWorker } from './worker'

describe.each(stores)('a panic on the native side, on %s', (store) => {
  const { holdfast, open } = onStore(store, { testHooks: true })
  const { cacheManager, redisClient } = holdfast
  const other = open({ testHooks: false })
  const panic = (): Promise<unknown> => redisClient.getClient().call('HOLDFAST.PANIC')

  it('in a synchronous call is thrown as E_INTERNAL, and the next call works', async () => {
    for (const n of range(3)) {
      expect(() => ask(holdfast, 'panic')).toThrow(expect.objectContaining({ name: 'HoldfastError', code: 'E_INTERNAL' }))
      expect(await cacheManager.set('next', n)).toBe(true)
      expect(await cacheManager.get('next')).toBe(n)
    }
  })

  it('while an operation is under way rejects that one with E_INTERNAL, and no other', async () => {
    const answers = await Promise.allSettled([
      ...range(50).map((n) => cacheManager.set(`beside:${n}`, n)),
      panic(),
      ...range(50).map((n) => cacheManager.get(`beside:${n}`)),
    ])
    const rejected = answers.filter((answer) => answer.status === 'rejected')
    expect(rejected.map(({ reason }) => reason as unknown)).toMatchObject([
      { name: 'HoldfastError', code: 'E_INTERNAL', operation: 'client.call' },
    ])
    expect(answers.slice(51)).toEqual(range(50).map((value) => ({ status: 'fulfilled', value })))
    expect(counters(other).pending).toBe(0)
  })

  it('leaves no slot behind, however often it happens', async () => {
    const before = slotsTaken()
    const answers = await Promise.allSettled(range(300).map(panic))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['rejected']))
    expect(slotsTaken()).toBe(before)
    expect(await cacheManager.get('none')).toBeNull()
  })

  it('can be asked for by tests alone', async () => {
    expect(() => ask(other, 'panic')).toThrow(expect.objectContaining({ code: 'E_INVALID' }))
    const answer: unknown = await other.redisClient.getClient().call('HOLDFAST.PANIC').catch((error: unknown) => error)
    expect(answer).toMatchObject({ name: 'HoldfastError' })
    expect(answer).not.toMatchObject({ code: 'E_INTERNAL' })
  })
})

describe('a panic in a process of its own', () => {
  it.each(['memory:', 'redis://127.0.0.1:1'])('does not end it, on %s', async (url) => {
    const { code, signal, stdout } = await run('panics.mjs', { args: [url] })
    expect({ code, signal }).toEqual({ code: 0, signal: null })
    const round = (n: number) => ['E_INTERNAL', true, 'E_INTERNAL', n]
    expect(JSON.parse(stdout)).toEqual(range(3).flatMap(round))
  })
})

describe('an AbortSignal', () => {
  const keyPrefix = `abort:${randomUUID()}:`
  let server: RedisServer
  let proxy: FaultProxy
  let holdfast: Instance
  let other: Instance
  let closeAll: () => Promise<void>

  beforeAll(async () => {
    server = await RedisServer.start()
    proxy = await FaultProxy.start({ port: server.port })
    // So patient that a reply which is held back is late and nothing else.
    const made = opener({ url: proxy.url, keyPrefix, silenceMs: 60_000, commandTimeoutMs: 60_000 })
    closeAll = made.closeAll
    holdfast = made.open()
    other = made.open()
    await Promise.all(['a', 'b', 'c'].map((name) => holdfast.cacheManager.set(name, `value of ${name}`)))
  })
  afterAll(async () => {
    await proxy.set('pass')
    await closeAll()
    await proxy.close()
    await server.dispose()
  })

  it('that was aborted before the call says that nothing was applied, and nothing crosses', async () => {
    const before = counters(other)
    const reason = new Error('changed my mind')
    const call = holdfast.cacheManager.set('never', 1, { signal: AbortSignal.abort(reason) })
    await expect(call).rejects.toMatchObject({ code: 'E_TIMEOUT', applied: 'no', cause: reason, operation: 'cacheManager.set' })
    await turn()
    expect(since(before, other)).toMatchObject({ submits: 0, operations: 0 })
    expect(await holdfast.cacheManager.exists('never')).toBe(false)
  })

  it('that is aborted after it was sent says that nobody knows, and the work is done all the same', async () => {
    await proxy.set('blackhole', 'toClient')
    const controller = new AbortController()
    const call = holdfast.cacheManager.set('sent', 1, { signal: controller.signal })
    using outside = await server.client()
    await waitFor('the write to arrive', async () => (await outside.call('EXISTS', `${keyPrefix}cache:sent`)) === 1)
    controller.abort()
    await expect(call).rejects.toMatchObject({ code: 'E_TIMEOUT', applied: 'unknown' })
    await proxy.set('pass')
    expect(await holdfast.cacheManager.get('sent')).toBe(1)
  })

  it('frees the slot only when the late reply has come, so that it can answer nobody else', async () => {
    expect(slotsTaken()).toBe(0)
    await proxy.set('blackhole', 'toClient')
    const controller = new AbortController()
    const aborted = range(50).map(() => holdfast.cacheManager.get('a', { signal: controller.signal }))
    await turn()
    controller.abort()
    const settled = await Promise.allSettled(aborted)
    expect(settled.every((answer) => answer.status === 'rejected')).toBe(true)
    expect(slotsTaken()).toBe(50)
    const later = range(50).map((n) => holdfast.cacheManager.get(n % 2 === 0 ? 'b' : 'c'))
    await turn()
    expect(slotsTaken()).toBe(100)
    await proxy.set('pass')
    expect(await Promise.all(later)).toEqual(range(50).map((n) => `value of ${n % 2 === 0 ? 'b' : 'c'}`))
    expect(slotsTaken()).toBe(0)
  })

  it('that fires after the answer changes nothing', async () => {
    const controller = new AbortController()
    expect(await holdfast.cacheManager.get('a', { signal: controller.signal })).toBe('value of a')
    controller.abort()
    expect(await holdfast.cacheManager.get('a')).toBe('value of a')
  })
})

describe('the end of an environment', () => {
  it.each([
    ['while the main thread has the same instance', true],
    ['although nobody else has the instance', false],
  ])('drops settlements, not work already sent, %s', async (_, shared) => {
    await using server = await RedisServer.start()
    // So patient that a server which is frozen is late and nothing else.
    const options = { url: server.url, keyPrefix: 'ended:', silenceMs: 60_000, commandTimeoutMs: 60_000 }
    const { open, closeAll } = opener(options)
    if (shared) await open().cacheManager.set('before', 1)
    const keys = range(500).map((n) => `key:${n}`)
    const worker = startWorker({ options, keys, value: 'by a worker', wait: false, stay: true, warm: true })
    expect(await worker.message).toBe('connected')

    // Nothing is answered until the worker is gone.
    server.freeze()
    const handedOver = worker.next()
    worker.release()
    expect(await handedOver).toBe('handed over')
    await worker.terminate()
    server.thaw()

    using outside = await server.client()
    const names = keys.map((key) => `ended:cache:${key}`)
    await waitFor('all that was sent', async () => (await outside.call('EXISTS', ...names)) === keys.length)
    expect(await open().cacheManager.get('key:499')).toBe('by a worker')
    await closeAll()
  })
})
