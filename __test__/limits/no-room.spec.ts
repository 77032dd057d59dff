// A server that has no room for counts is answered for, and told when it has room again.
import { describe, expect, it } from 'vitest'
import { onOwnServer } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { allowedOf, counting, left, limiterOf } from './limiters'

const { outside, open } = onOwnServer()
const room = (bytes: 0 | 1): Promise<unknown> => outside().call('CONFIG', 'SET', 'maxmemory', bytes)

describe.each(counting)('while the server has no room, a %s', (algorithm) => {
  it('is decided here, from the last count that is known, and lets no more through', async () => {
    const limiter = limiterOf(open({ instances: 1 }), 10, { algorithm })
    expect(await allowedOf(limiter, 'key', 3)).toBe(3)
    await room(1)
    try {
      expect(await limiter.check('key')).toMatchObject({ success: true, source: 'local', remaining: 6 })
      expect(await allowedOf(limiter, 'key', 20)).toBe(6)
      expect(await limiter.check('key')).toMatchObject({ success: false, reason: 'limited', source: 'local' })
      expect(await limiter.reserve('other', { estimate: 4 })).toMatchObject({ success: true, source: 'local', remaining: 6 })
    } finally {
      await room(0)
    }
  })

  it('counts what was let through when there is room again', async () => {
    const limiter = limiterOf(open({ instances: 1 }), 10, { algorithm })
    expect(await allowedOf(limiter, 'key', 3)).toBe(3)
    await room(1)
    try {
      expect(await allowedOf(limiter, 'key', 5)).toBe(5)
    } finally {
      await room(0)
    }
    await waitFor('it to be counted', async () => (await left(limiter, 'key'))[0] === 2, { withinMs: 5_000 })
    expect(await allowedOf(limiter, 'key', 20)).toBe(2)
  })
})
