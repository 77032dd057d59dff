// An id that no reservation has is refused, and what is called beside it is none the worse for it.
import { randomUUID } from 'node:crypto'
import { createHoldfast } from 'holdfast'
import { describe, expect, inject, it } from 'vitest'
import { patient, stores, type Instance } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { left, limiterOf } from './limiters'

const wrongIds = ['', 'id', '0123456789abcdeg', '0123456789abcdef0', '-1', '+1', ' 1', '\ud800', 5, null, undefined, {}, [], 2 ** 53]
const shown = (id: unknown): string => `${typeof id} ${String(id)}`

describe.each(stores)('an id that is none on %s', (store) => {
  const url = store === 'memory' ? 'memory:' : `redis://127.0.0.1:${inject('redisPort')}`
  /** An instance that is closed when its work is done: whoever can't close does not hold up the other tests. */
  async function withOne(work: (holdfast: Instance) => Promise<void>): Promise<void> {
    const holdfast = createHoldfast({ env: {}, ...patient, url, keyPrefix: `ids:${randomUUID()}:` })
    try {
      await work(holdfast)
    } finally {
      void holdfast.close()
    }
  }

  it.each(wrongIds.map((id) => [shown(id), id] as const))('is refused by commit and release: %s', async (_, id) => {
    await withOne(async (holdfast) => {
      const limiter = limiterOf(holdfast, 5)
      const refusal = { name: 'HoldfastError', code: 'E_INVALID', path: 'id', applied: 'no' }
      await expect(limiter.commit('key', id as string, 1)).rejects.toMatchObject(refusal)
      await expect(limiter.release('key', id as string)).rejects.toMatchObject(refusal)
      expect(await left(limiter, 'key')).toEqual([5])
    })
  })

  it.each(wrongIds.map((id) => [shown(id), id] as const))('harms no call beside it: %s', async (_, id) => {
    await withOne(async (holdfast) => {
      const limiter = limiterOf(holdfast, 5)
      const [before, , after, set] = await Promise.allSettled([
        limiter.check('before'),
        limiter.commit('key', id as string, 1),
        limiter.check('after', { cost: 4 }),
        holdfast.cacheManager.set('beside', 'it'),
      ])
      expect([before.status, after.status, set]).toEqual(['fulfilled', 'fulfilled', { status: 'fulfilled', value: true }])
      expect([await left(limiter, 'before'), await left(limiter, 'after')]).toEqual([[4], [1]])
      expect(await holdfast.cacheManager.get('beside')).toBe('it')
    })
  })

  it.each(wrongIds.map((id) => [shown(id), id] as const))('does not keep an instance from closing: %s', async (_, id) => {
    await withOne(async (holdfast) => {
      await limiterOf(holdfast, 5).commit('key', id as string, 1).catch(() => undefined)
      let closed = false
      void holdfast.close().then(() => (closed = true))
      await waitFor('the instance to close', () => closed, { withinMs: 5_000 })
    })
  })
})
