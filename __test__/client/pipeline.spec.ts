// Commands in one go: each reply in its place, a failed one null.
import { describe, expect, it } from 'vitest'
import { onStore } from '../cache/stores'

describe('pipeline', () => {
  const { holdfast, keyPrefix, outside } = onStore('redis')
  const { redisClient } = holdfast

  it('answers in the order of its commands', async () => {
    const replies = await redisClient.pipeline([
      { command: 'SET', args: ['a', '1'] },
      { command: 'INCR', args: ['a'] },
      { command: 'GET', args: ['a'] },
      { command: 'LRANGE', args: ['none', 0, -1] },
      { command: 'PING', args: [] },
    ])
    expect(replies).toEqual(['OK', 2, '2', [], 'PONG'])
    expect(await outside().call('GET', `${keyPrefix}a`)).toBe('2')
  })

  it('has null where a command failed, and goes on', async () => {
    const replies = await redisClient.pipeline([
      { command: 'RPUSH', args: ['list', 'x'] },
      { command: 'INCR', args: ['list'] },
      { command: 'LLEN', args: ['list'] },
    ])
    expect(replies).toEqual([1, null, 1])
  })

  it('of nothing is nothing', async () => {
    expect(await redisClient.pipeline([])).toEqual([])
  })

  it('takes thousands of commands', async () => {
    const replies = await redisClient.pipeline(Array.from({ length: 3000 }, (_, n) => ({ command: 'SET', args: [`many:${n}`, n] })))
    expect(replies).toHaveLength(3000)
    expect(new Set(replies)).toEqual(new Set(['OK']))
    expect(await outside().call('GET', `${keyPrefix}many:2999`)).toBe('2999')
  })

  it('carries bytes', async () => {
    const [, reply] = await redisClient.pipeline([
      { command: 'SET', args: ['bytes', Buffer.from([255, 0])] },
      { command: 'GET', args: ['bytes'] },
    ])
    expect([...(reply as Uint8Array)]).toEqual([255, 0])
  })
})

describe('pipeline without a server', () => {
  const { open } = onStore('redis')

  it('is empty, and execute is null', async () => {
    const { redisClient } = open({ url: 'redis://127.0.0.1:1', fallback: { enabled: false } })
    expect(await redisClient.pipeline([{ command: 'SET', args: ['a', 1] }])).toEqual([])
    expect(await redisClient.execute('SET', 'a', 1)).toBeNull()
    expect(await redisClient.pipeline([])).toEqual([])
  })
})
