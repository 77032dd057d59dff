// Loaders that ask the cache: one that would wait for itself is told so, and all others wait for what they asked for.
import { describe, expect, it, vi } from 'vitest'
import { makeStale, reasonOf } from './loads'
import { gate, onStore, stores } from './stores'

const waitsForItself = { name: 'HoldfastError', code: 'E_INVALID', path: 'key', message: expect.stringContaining('; allowed: ') as string }

describe.each(stores)('a loader on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

  it('that asks for its own key is told that it waits for itself', async () => {
    const own = cacheManager.getOrSet('own', async () => (await turn(), cacheManager.getOrSet('own', () => 1)))
    expect(await reasonOf(own)).toMatchObject({ ...waitsForItself, operation: 'cacheManager.getOrSet' })
    expect(await cacheManager.getOrSet('own', () => 2)).toBe(2)
  })

  it('may go on without what it was refused', async () => {
    const inner = () => cacheManager.getOrSet('goes on', () => 1).catch((error: { code: string }) => error.code)
    expect(await cacheManager.getOrSet('goes on', async () => `refused: ${await inner()}`)).toBe('refused: E_INVALID')
    expect(await cacheManager.get('goes on')).toBe('refused: E_INVALID')
  })

  it('that asks for its own key gets the old value where an old one will do', async () => {
    await makeStale(cacheManager, 'old')
    const again = () => cacheManager.getOrSet('old', () => expect.unreachable(), { grace: 60 })
    expect(await cacheManager.getOrSet<string>('old', async () => `newer than ${await again()}`, { grace: 60 })).toBe('newer than old')
  })

  it('that waits for another one which waits for it is told so, over however many', async () => {
    const names = ['a', 'b', 'c']
    const began = names.map(() => gate())
    const all = Promise.all(began.map(({ opened }) => opened))
    const asking = names.map((name, at) =>
      cacheManager.getOrSet(`ring:${name}`, async () => {
        began[at]?.open()
        await all
        return await cacheManager.getOrSet<string>(`ring:${names[(at + 1) % names.length]}`, () => 'of nobody')
      }),
    )
    for (const asked of asking) expect(await reasonOf(asked)).toMatchObject(waitsForItself)
    expect(await cacheManager.getOrSet('ring:a', () => 'again')).toBe('again')
  })

  it('that waits for one of its own keys by way of a nested load is told so', async () => {
    const nested = cacheManager.getOrSet('outer', () => cacheManager.getOrSet('inner', () => cacheManager.getOrSet('outer', () => 1)))
    expect(await reasonOf(nested)).toMatchObject(waitsForItself)
  })

  it('of many keys is told so as well', async () => {
    const loader = async (missing: readonly string[]) => (await cacheManager.getOrSet('many:b', () => 1), missing)
    expect(await reasonOf(cacheManager.getOrSetMany(['many:a', 'many:b'], loader))).toMatchObject(waitsForItself)
    const again = cacheManager.getOrSet('many:c', () => cacheManager.getOrSetMany(['many:d', 'many:c'], (missing) => missing.map(() => 1)))
    expect(await reasonOf(again)).toMatchObject(waitsForItself)
  })

  it('waits for a load that others began, and others for what it began', async () => {
    const answer = gate<string>()
    const elsewhere = cacheManager.getOrSet('elsewhere', () => answer.opened)
    const loader = vi.fn(async () => `with ${await cacheManager.getOrSet('elsewhere', () => expect.unreachable('another loader ran'))}`)
    const [first, second] = [cacheManager.getOrSet('reads', loader), cacheManager.getOrSet('reads', loader)]
    await turn()
    answer.open('it')
    expect(await Promise.all([elsewhere, first, second])).toEqual(['it', 'with it', 'with it'])
    expect(loader).toHaveBeenCalledTimes(1)
  })

  it('that joins the same load in two ways, or twice, waits for it', async () => {
    const answer = gate<number>()
    const leaf = () => cacheManager.getOrSet('leaf', () => answer.opened)
    const branch = (name: string) => cacheManager.getOrSet(`branch:${name}`, leaf)
    const top = cacheManager.getOrSet('top', async () => await Promise.all([branch('a'), branch('b'), leaf(), leaf()]))
    await turn()
    answer.open(1)
    expect(await top).toEqual([1, 1, 1, 1])
  })

  it('may read and write its own key otherwise', async () => {
    const loaded = cacheManager.getOrSet('otherwise', async () => {
      expect(await cacheManager.get('otherwise')).toBeNull()
      return await cacheManager.getOrSet('otherwise', () => 'of another prefix', { prefix: 'views' })
    })
    expect(await loaded).toBe('of another prefix')
  })

  it('that has ended is no loader any more: what it left running may ask for its key', async () => {
    const [ended, asked] = [gate(), gate<Promise<string>>()]
    await cacheManager.getOrSet('left', () => {
      void ended.opened.then(() => asked.open(cacheManager.getOrSet('left', async () => (await turn(), 'second'), { forceFresh: true })))
      return 'first'
    })
    ended.open()
    expect(await asked.opened).toBe('second')
  })
})
