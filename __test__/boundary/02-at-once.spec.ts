// Point 2 of docs/boundary.md: what memory answers is answered in the same native call, and the event
// loop gets its turn all the same.

import { connect, createServer, type AddressInfo } from 'node:net'
import { beforeAll, describe, expect, it } from 'vitest'

import { onStore, stores } from '../cache/stores'
import { counters, range, since, turn, untilHot } from './inside'

/** Past the texts that JavaScript has at hand, so that each call crosses. */
const past = { skipL1: true }

describe('memory', () => {
  const { holdfast, open } = onStore('memory')
  const { cacheManager } = holdfast
  const other = open()

  it('answers in the call that asks, without a wake', async () => {
    await cacheManager.set('there', { yes: true })
    const before = counters(other)
    for (const n of range(50)) expect(await cacheManager.get('there', past), String(n)).toEqual({ yes: true })
    await Promise.all([cacheManager.set('a', 1), cacheManager.delete('a'), cacheManager.get('a')])
    expect(since(before, other)).toMatchObject({ wakes: 0, operations: 53, pending: 0 })
  })

  it('answers before the event loop goes on', async () => {
    await turn()
    const order: string[] = []
    setImmediate(() => order.push('the event loop'))
    await Promise.all(range(10).map(async (n) => order.push(`get ${n}: ${await cacheManager.get('none')}`)))
    expect(order).toEqual(range(10).map((n) => `get ${n}: null`))
    await turn()
    expect(order.at(-1)).toBe('the event loop')
  })
})

describe.each(stores)('texts at hand, on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const { cacheManager } = holdfast
  const other = open()

  it('answer without a crossing', async () => {
    await cacheManager.set('there', { yes: true })
    await untilHot(holdfast, 'there')
    await turn()
    const before = counters(other)
    for (const n of range(50)) expect(await cacheManager.get('there'), String(n)).toEqual({ yes: true })
    for (const n of range(50)) expect(await cacheManager.getOrSet('there', () => n)).toEqual({ yes: true })
    expect(await cacheManager.getMany(['there', 'there'])).toEqual([{ yes: true }, { yes: true }])
    expect(since(before, other)).toMatchObject({ submits: 0, operations: 0, pending: 0 })
  })
})

describe.each([
  ['memory', 'memory', past],
  ['texts at hand, on memory', 'memory', {}],
  ['texts at hand, on redis', 'redis', {}],
] as const)('%s', (_, store, options) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast
  const get = (): Promise<unknown> => cacheManager.get('there', options)
  beforeAll(async () => {
    await cacheManager.set('there', 1)
    await untilHot(holdfast, 'there')
  })

  it.each([
    ['one by one', 1],
    ['forty at a time', 40],
  ])('lets the event loop turn after 1,000 answers at once, asked %s', async (_, company) => {
    let turns = 0
    const next = (): void => {
      turns++
      if (turns < 3) setImmediate(next)
    }
    setImmediate(next)
    let asked = 0
    for (; turns < 3 && asked < 20_000; asked += company) await Promise.all(range(company).map(get))
    expect(turns).toBe(3)
    // Not for every answer either: that would cost more than the answer. Sooner where the machine is slow.
    expect(asked).toBeGreaterThan(3 * 15)
    expect(asked).toBeLessThanOrEqual(3 * 1_000 + 3 * company)
  })

  it('does not starve a socket', async () => {
    const server = createServer((socket) => socket.pipe(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    let echoed = ''
    socket.on('data', (bytes) => (echoed += bytes.toString()))
    socket.write('are you there?')
    // A bound against hanging: without its turn the socket would never answer.
    for (let asked = 0; echoed === '' && asked < 3_000_000; asked++) await get()
    expect(echoed).toBe('are you there?')
    socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('answers that take long', () => {
  const { holdfast } = onStore('memory')
  const { cacheManager } = holdfast

  /** How many come before the event loop has its turn. */
  async function beforeTurn(ask: () => Promise<unknown>): Promise<number> {
    await turn()
    let turned = false
    setImmediate(() => (turned = true))
    let asked = 0
    for (; !turned && asked < 1_000; asked++) await ask()
    return asked
  }

  it('leave the event loop its turn after few of them', async () => {
    await cacheManager.set('long', 'x'.repeat(4_000_000))
    expect(await beforeTurn(() => cacheManager.get('long', past))).toBeLessThan(100)
  })

  it('are those of long texts at hand, too', async () => {
    await cacheManager.set('at hand', 'x'.repeat(60 * 1024))
    await untilHot(holdfast, 'at hand')
    expect(await beforeTurn(() => cacheManager.get('at hand'))).toBeLessThan(20)
  })
})

describe('an outage', () => {
  it('is answered for in the same way', async () => {
    const { open } = onStore('memory', { url: 'redis://127.0.0.1:1' })
    const holdfast = open()
    const other = open({ url: 'memory:' })
    await holdfast.cacheManager.set('there', 1)
    const before = counters(other)
    for (const n of range(50)) expect(await holdfast.cacheManager.get('there'), String(n)).toBe(1)
    expect(since(before, other)).toMatchObject({ operations: 50, pending: 0 })
    await Promise.all([holdfast.close(), other.close()])
  })
})
