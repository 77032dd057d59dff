// A loader that hangs: it is told to stop, its callers get an error, and its key is free.
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { unhandledDuring } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { areRefused, makeStale, reasonOf, wrongTimeouts } from './loads'
import { gate, onStore, stores } from './stores'

const timeout = { name: 'HoldfastError', code: 'E_TIMEOUT', retryable: true, operation: 'cacheManager.getOrSet' }

describe.each(stores)('hardTimeoutMs on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast
  const hung = () => new Promise<never>(() => {})
  // A caller's time counts while it connects, too.
  beforeAll(() => cacheManager.set('connected', 1))

  it('ends the call of a hung loader with E_TIMEOUT, and tells the loader by its signal', async () => {
    const signals: AbortSignal[] = []
    const reason = await reasonOf(cacheManager.getOrSet('hung', ({ signal }) => (signals.push(signal), hung()), { hardTimeoutMs: 300 }))
    expect(reason).toMatchObject(timeout)
    await waitFor('the signal', () => signals[0]?.aborted === true)
    expect(signals).toHaveLength(1)
    expect(signals[0]?.reason).toBe(reason)
  })

  it('frees the key: who asks next loads anew, at once, and is cached', async () => {
    await reasonOf(cacheManager.getOrSet('freed', hung, { hardTimeoutMs: 300 }))
    // Had the lease not been given back, this would wait for its end, 10 s.
    expect(await cacheManager.getOrSet('freed', async () => 'new', { hardTimeoutMs: 5_000 })).toBe('new')
    expect(await cacheManager.get('freed')).toBe('new')
  })

  it('gives all who wait the same error, and runs the loader once', async () => {
    const loader = vi.fn(hung)
    const asking = Array.from({ length: 50 }, () => reasonOf(cacheManager.getOrSet('all', loader, { hardTimeoutMs: 300 })))
    const reasons = await Promise.all(asking)
    expect(new Set(reasons).size).toBe(1)
    expect(reasons[0]).toMatchObject(timeout)
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it("is each caller's own: it ends the call of one who shares a load that has none", async () => {
    const answer = gate<string>()
    const patient = cacheManager.getOrSet('own', () => answer.opened)
    const hurried = reasonOf(cacheManager.getOrSet('own', () => answer.opened, { hardTimeoutMs: 300 }))
    // A bound against hanging: what ends it otherwise is the answer.
    const first = await Promise.race([hurried, new Promise((resolve) => setTimeout(resolve, 2_000, 'it waits'))])
    answer.open('in the end')
    expect(await patient).toBe('in the end')
    expect(first).toMatchObject(timeout)
  })

  it('serves an old value instead, where grace keeps one', async () => {
    await makeStale(cacheManager, 'old')
    const signals: AbortSignal[] = []
    const loader = vi.fn(({ signal }: { signal: AbortSignal }) => (signals.push(signal), hung()))
    const ask = () => cacheManager.getOrSet<string>('old', loader, { grace: 60, hardTimeoutMs: 300 })
    expect(await ask()).toBe('old')
    expect(await ask()).toBe('old')
    await waitFor('the signal', () => signals[0]?.aborted === true)
    expect(await ask()).toBe('old')
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('goes on after the soft one: the old value at once, the signal later', async () => {
    await makeStale(cacheManager, 'both')
    const signals: AbortSignal[] = []
    const load = ({ signal }: { signal: AbortSignal }) => (signals.push(signal), hung())
    expect(await cacheManager.getOrSet<string>('both', load, { grace: 60, softTimeoutMs: 0, hardTimeoutMs: 100 })).toBe('old')
    await waitFor('the signal', () => signals[0]?.aborted === true)
    expect(signals[0]?.reason).toMatchObject({ code: 'E_TIMEOUT' })
  })

  it('caches nothing that a loader brings after it', async () => {
    const answer = gate<string>()
    const signals: AbortSignal[] = []
    const load = ({ signal }: { signal: AbortSignal }) => (signals.push(signal), answer.opened)
    expect(await reasonOf(cacheManager.getOrSet('late', load, { hardTimeoutMs: 300 }))).toMatchObject(timeout)
    await waitFor('the signal', () => signals[0]?.aborted === true)
    answer.open('late')
    await answer.opened
    expect(await cacheManager.exists('late')).toBe(false)
    expect(await cacheManager.getOrSet('late', async () => 'new')).toBe('new')
    expect(await cacheManager.get('late')).toBe('new')
  })

  it('leaves no rejection unhandled when the loader fails after it', async () => {
    const answer = gate<string>()
    const unhandled = await unhandledDuring(async () => {
      await reasonOf(cacheManager.getOrSet('fails', () => answer.opened, { hardTimeoutMs: 300 }))
      answer.fail(new Error('late'))
      await answer.opened.catch(() => {})
    })
    expect(unhandled).toEqual([])
  })

  it('leaves a loader alone that is in time, and its signal unaborted', async () => {
    let told: AbortSignal | undefined
    expect(await cacheManager.getOrSet('in time', async ({ signal }) => ((told = signal), 'new'), { hardTimeoutMs: 20_000 })).toBe('new')
    expect(told?.aborted).toBe(false)
  })

  it('passes on what an aborted loader does with its signal', async () => {
    const load = ({ signal }: { signal: AbortSignal }) =>
      new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    expect(await reasonOf(cacheManager.getOrSet('heeds', load, { hardTimeoutMs: 300 }))).toMatchObject(timeout)
  })

  it('is a number of ms, at least one', async () => {
    await areRefused('options.hardTimeoutMs', [...wrongTimeouts, 0, 0.5], (hardTimeoutMs) =>
      cacheManager.getOrSet('wrong', () => expect.unreachable('the loader ran'), { hardTimeoutMs }),
    )
    await areRefused('options.lockTimeoutMs', wrongTimeouts, (lockTimeoutMs) =>
      cacheManager.getOrSet('wrong', () => expect.unreachable('the loader ran'), { lockTimeoutMs }),
    )
    expect(await cacheManager.exists('wrong')).toBe(false)
  })
})
