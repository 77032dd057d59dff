// Several processes: one listens, another one publishes; and a process that listens to nothing any more ends by itself.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clean, start, type Child } from '../boundary/child'
import { range } from '../boundary/inside'
import { onOwnServer } from '../cache/stores'
import { hears, listenersOf } from './messages'

const { server, outside, open } = onOwnServer()
const child = (name: string, ...args: string[]): Child => start(new URL(`children/${name}`, import.meta.url), { args: [server().url, ...args] })

describe.concurrent('a process that listens', () => {
  it.each(['subscription', 'unsubscribe', 'loop'])('hears another one, and ends by itself when it has left (%s)', async (how) => {
    const keyPrefix = `processes:${randomUUID()}:`
    const { pubSubManager } = open({ keyPrefix })
    const listens = child('listens.mjs', keyPrefix, how)
    await listens.printed('ready')
    for (const n of range(20)) await pubSubManager.publish('room', n)
    await pubSubManager.publish('room', 'leave')
    const { stdout, ...ending } = await listens.ended
    expect(ending).toEqual(clean)
    const lines = stdout.split('\n').filter((line) => line.startsWith('room ') && !line.includes('leave'))
    const twice = how === 'loop' ? 1 : 2
    expect(lines.sort()).toEqual(range(20).flatMap((n) => Array.from({ length: twice }, () => `room ${n}`)).sort())
  })

  it('and does not keep itself alive ends at once, and its connection with it', async () => {
    const keyPrefix = `processes:${randomUUID()}:`
    const { stdout, ...ending } = await child('listens.mjs', keyPrefix, 'idle').ended
    expect(ending).toEqual(clean)
    expect(stdout).toBe('ready')
    expect(await listenersOf(outside(), `${keyPrefix}room`)).toBe(0)
  })

  it('and is not told to leave goes on', async () => {
    const keyPrefix = `processes:${randomUUID()}:`
    const listens = child('listens.mjs', keyPrefix, 'subscription')
    await listens.printed('ready')
    const { pubSubManager } = open({ keyPrefix })
    await pubSubManager.publish('room', 1)
    await listens.printed('room 1')
    expect(listens.process.exitCode).toBeNull()
    listens.process.kill('SIGKILL')
    await listens.ended
  })
})

describe('processes that publish at once', () => {
  it('are each heard in their order, and lose nothing of the last moment', async () => {
    const keyPrefix = `processes:${randomUUID()}:`
    const { pubSubManager } = open({ keyPrefix })
    const [plain, persistent] = [hears(), hears()]
    await pubSubManager.subscribe('room', plain.handler)
    await pubSubManager.subscribe('room', persistent.handler, { persistent: true })
    const endings = await Promise.all(['a', 'b', 'c'].map((from) => child('publishes-many.mjs', keyPrefix, 'room', '300', from).ended))
    for (const ending of endings) expect(ending).toMatchObject(clean)
    await plain.until(900)
    await persistent.until(900)
    for (const heard of [plain, persistent])
      for (const from of ['a', 'b', 'c']) expect(heard.data().filter((data) => String(data).startsWith(from))).toEqual(range(300).map((n) => `${from}:${n}`))
    expect(new Set(plain.messages.map(({ id }) => id)).size).toBe(900)
  })
})
