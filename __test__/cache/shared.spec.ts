// shared: one frozen object for all who ask for it so, which spares its parsing.
import { describe, expect, it } from 'vitest'
import { untilHot } from '../boundary/inside'
import { areRefused, wrongSwitches } from './loads'
import { gate, onStore, stores } from './stores'

const shared = { shared: true }

function isFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  return Object.isFrozen(value) && Object.values(value).every(isFrozen)
}

describe.each(stores)('shared on %s', (store) => {
  const { holdfast } = onStore(store)
  const { cacheManager } = holdfast
  const value = { list: [1, { deep: true }], nothing: null, text: 'a' }

  it('answers what is cached, frozen all the way down, by every read', async () => {
    await cacheManager.set('every', value)
    const answers: unknown[] = []
    for (let time = 0; time < 3; time++) {
      answers.push(await cacheManager.get('every', shared), (await cacheManager.getEntry('every', shared))?.value)
      answers.push(...(await cacheManager.getMany(['every'], shared)))
      answers.push(await cacheManager.getOrSet('every', () => expect.unreachable(), shared))
    }
    for (const answer of answers) {
      expect(answer).toEqual(value)
      expect(isFrozen(answer)).toBe(true)
    }
    expect(() => ((answers.at(-1) as { text: string }).text = 'changed')).toThrow(TypeError)
  })

  it('is one object for all, once the text is at hand', async () => {
    await cacheManager.set('one', value)
    await untilHot(holdfast, 'one')
    const [first, ...others] = await Promise.all(Array.from({ length: 10 }, () => cacheManager.get('one', shared)))
    for (const other of others) expect(other).toBe(first)
    expect(await cacheManager.getOrSet('one', () => expect.unreachable(), shared)).toBe(first)
    expect((await cacheManager.getMany(['one'], shared))[0]).toBe(first)
  })

  it('gives those who do not ask for it objects of their own, to change as they like', async () => {
    await cacheManager.set('own', value)
    await untilHot(holdfast, 'own')
    const [frozen, own, other] = await Promise.all([
      cacheManager.get<typeof value>('own', shared),
      cacheManager.get<typeof value>('own'),
      cacheManager.get<typeof value>('own'),
    ])
    own!.list.push(2)
    own!.text = 'changed'
    expect([frozen, other, await cacheManager.get('own')]).toEqual([value, value, value])
  })

  it('is another object after a write', async () => {
    await cacheManager.set('written', { n: 1 })
    await untilHot(holdfast, 'written')
    const before = await cacheManager.get('written', shared)
    await cacheManager.set('written', { n: 2 })
    expect(await cacheManager.get('written', shared)).toEqual({ n: 2 })
    expect(before).toEqual({ n: 1 })
  })

  it.each([0, '', false, null, 'text', 7])('answers a cached %j as it is', async (simple) => {
    await cacheManager.set(`simple:${simple}`, simple)
    for (let time = 0; time < 3; time++) expect(await cacheManager.get(`simple:${simple}`, shared)).toBe(simple)
  })

  it('answers what a loader brought, frozen', async () => {
    const loaded = await cacheManager.getOrSet('loaded', async () => ({ list: [1] }), shared)
    expect(loaded).toEqual({ list: [1] })
    expect(isFrozen(loaded)).toBe(true)
    expect(await cacheManager.get('loaded')).toEqual({ list: [1] })
  })

  it('freezes nothing of those who share a load and did not ask for it', async () => {
    const answer = gate<{ n: number }>()
    const plain = cacheManager.getOrSet('joined', () => answer.opened)
    const frozen = cacheManager.getOrSet('joined', () => answer.opened, shared)
    answer.open({ n: 1 })
    expect(isFrozen(await frozen)).toBe(true)
    expect(Object.isFrozen(await plain)).toBe(false)
  })

  it('is true or false', async () => {
    await areRefused('options.shared', wrongSwitches, (given) => cacheManager.get('wrong', { shared: given }))
    await areRefused('options.shared', wrongSwitches, (given) => cacheManager.getOrSet('wrong', () => 1, { shared: given }))
  })
})
