// Texts at hand: what was read a moment ago is answered without a crossing, and is as true as what stands behind it.
import { describe, expect, it } from 'vitest'
import { hotBytes, untilHot } from '../boundary/inside'
import { Scene } from '../fault/outage'
import { generator } from '../support/random'
import { waitFor } from '../support/wait-for'
import { reasonOf, type Cache } from './loads'
import { onStore, opener, stores } from './stores'

describe.each(stores)('texts at hand on %s', (store) => {
  const { holdfast, open, keyPrefix } = onStore(store)
  const { cacheManager, fallbackManager } = holdfast
  const hits = (): number => cacheManager.getStats().layers.hot

  async function hot(key: string, value: unknown, options: object = {}): Promise<void> {
    await cacheManager.set(key, value, options)
    await untilHot(holdfast, key)
  }

  it('give each caller a value of its own', async () => {
    await hot('own', { list: [1] })
    const first = await cacheManager.get<{ list: number[] }>('own')
    first!.list.push(2)
    expect(await cacheManager.get('own')).toEqual({ list: [1] })
    expect(await cacheManager.getOrSet('own', () => expect.unreachable())).toEqual({ list: [1] })
  })

  it.each<[string, unknown]>([
    ['a text', 'a"b\\c\u0000ü🜁'], ['null', null], ['zero', 0], ['an empty text', ''], ['false', false], ['an empty object', {}], ['a long text', 'ü'.repeat(20_000)],
  ])('give back %s as it was', async (name, value) => {
    await hot(`value:${name}`, value)
    expect(await cacheManager.get(`value:${name}`)).toEqual(value)
    expect((await cacheManager.getMany([`value:${name}`]))[0]).toEqual(value)
  })

  it('give back what has other letters as it was, in company of what has not', async () => {
    const words = { кто: 'ключ'.repeat(10), 誰: '鍵', small: '🜁' }
    const others = Array.from({ length: 10 }, (_, n) => `company:${n}`)
    await cacheManager.setMany([{ key: 'letters', value: words }, ...others.map((key) => ({ key, value: 'x'.repeat(500) }))])
    const before = hits()
    await waitFor('their texts at hand', async () => {
      expect((await cacheManager.getMany([...others, 'letters'])).at(-1)).toEqual(words)
      return hits() >= before + 2 * (others.length + 1)
    })
  })

  it('answer no more from the call on that changes them', async () => {
    const changes: [string, (key: string) => Promise<unknown>, unknown][] = [
      ['set', (key) => cacheManager.set(key, 'new'), 'new'],
      ['delete', (key) => cacheManager.delete(key), null],
      ['expire', (key) => cacheManager.expire(key), null],
      ['setMany', (key) => cacheManager.setMany([{ key, value: 'new' }]), 'new'],
      ['deleteMany', (key) => cacheManager.deleteMany([key]), null],
    ]
    for (const [name, change, after] of changes) {
      await hot(name, 'old')
      const changed = change(name)
      expect(await cacheManager.get(name), name).toBe(after)
      await changed
      expect(await cacheManager.get(name), name).toBe(after)
    }
  })

  it.each<[string, (cache: Cache, key: string) => Promise<unknown>]>([
    ['deleteByTag', (cache) => cache.deleteByTag('behind')],
    ['expireByTag', (cache) => cache.expireByTag(['nothing has this', 'behind'])],
    ['deletePattern', (cache, key) => cache.deletePattern(`${key}*`)],
    ['clear', (cache) => cache.clear()],
  ])('answer no more from the call of %s on: what stands behind them is asked', async (name, change) => {
    const spaces: [string, Cache][] = [['the cache', cacheManager], ['a namespace', cacheManager.namespace('behind')]]
    for (const [where, cache] of spaces) {
      const key = `behind:${name}`
      await cache.set(key, 'old', { tags: ['behind'] })
      await untilHot({ cacheManager: cache } as typeof holdfast, key)
      // This manager's eye is on another family now.
      await cache.get('elsewhere', { prefix: 'elsewhere' })
      cacheManager.resetStats()
      const changed = change(cache, key)
      const answers = await Promise.all([cache.get(key), cache.getMany([key]), cache.getOrSet(key, () => 'new')])
      await changed
      expect(cacheManager.getStats().layers.hot, where).toBe(0)
      // Redis is walked over key by key: a read may come before.
      const isWalk = store === 'redis' && (name === 'deletePattern' || (name === 'clear' && cache === cacheManager))
      if (!isWalk) expect(answers, where).toEqual([null, [null], 'new'])
    }
  })

  it('answer no more after what changes many has ended', async () => {
    const changes: [string, (key: string) => Promise<unknown>][] = [
      ['deleteByTag', () => cacheManager.deleteByTag('hot')],
      ['expireByTag', () => cacheManager.expireByTag('hot')],
      ['deletePattern', (key) => cacheManager.deletePattern(`${key}*`)],
      ['clear', () => cacheManager.clear()],
    ]
    for (const [name, change] of changes) {
      await hot(`many:${name}`, 'old', { tags: ['hot'] })
      await change(`many:${name}`)
      expect(await cacheManager.get(`many:${name}`), name).toBeNull()
    }
    const space = cacheManager.namespace('hot')
    await space.set('1', 'old')
    for (let time = 0; time < 5; time++) expect(await space.get('1')).toBe('old')
    await cacheManager.namespace('hot').clear()
    expect(await space.get('1')).toBeNull()
  })

  it('answer no more when another instance of the same configuration changes them', async () => {
    const twin = open().cacheManager
    await hot('twin', 'old')
    await twin.set('twin', 'new')
    expect(await cacheManager.get('twin')).toBe('new')
    await untilHot(holdfast, 'twin')
    await twin.delete('twin')
    expect(await cacheManager.get('twin')).toBeNull()
    await hot('twin', 'old', { tags: ['twins'] })
    await twin.deleteByTag('twins')
    expect(await cacheManager.get('twin')).toBeNull()
    await hot('twin', 'old')
    await twin.clear()
    expect(await cacheManager.get('twin')).toBeNull()
  })

  it('are what memory holds while the fallback is forced, and what Redis holds afterwards', async () => {
    const twin = open().cacheManager
    await hot('forced', 'before')
    await fallbackManager.forceFallbackMode(true)
    await twin.set('forced', 'during')
    for (let time = 0; time < 5; time++) expect(await cacheManager.get('forced')).toBe('during')
    await twin.delete('forced')
    for (let time = 0; time < 5; time++) expect(await cacheManager.get('forced')).toBeNull()
    await twin.set('forced', 'at last')
    await fallbackManager.forceFallbackMode(false)
    await waitFor('the store to answer', async () => (await cacheManager.getEntry('forced', { skipL1: true }))?.source === store)
    for (let time = 0; time < 5; time++) expect(await cacheManager.get('forced')).toBe('at last')
  })

  it('answer also where the options say what they say anyway', async () => {
    await hot('said', 1)
    const before = hits()
    expect(await cacheManager.get('said', { skipL1: false, l1Only: false, requireRedis: false, allowStale: false })).toBe(1)
    expect(hits() - before).toBe(1)
  })

  it('end with the time of what they are texts of', async () => {
    await hot('ends', 1, { ttl: 0.3 })
    await waitFor('it to end', async () => (await cacheManager.get('ends')) === null)
    expect(await cacheManager.exists('ends')).toBe(false)
    await hot('stale', 1, { ttl: 0.3, grace: 60 })
    await waitFor('it to be stale', async () => (await cacheManager.get('stale')) === null)
    expect(await cacheManager.get('stale', { allowStale: true })).toBe(1)
  })

  it('are told apart by prefix, namespace and instance', async () => {
    const other = open({ keyPrefix: `${keyPrefix}other:` })
    const space = cacheManager.namespace('apart')
    const all: [Cache, object][] = [[cacheManager, {}], [cacheManager, { prefix: 'views' }], [space, {}], [other.cacheManager, {}]]
    await Promise.all(all.map(([cache, options], n) => cache.set('same', n, options)))
    for (let time = 0; time < 5; time++) {
      for (const [n, [cache, options]] of all.entries()) expect(await cache.get('same', options)).toBe(n)
    }
    await cacheManager.delete('same')
    expect(await Promise.all(all.map(([cache, options]) => cache.get('same', options)))).toEqual([null, 1, 2, 3])
  })

  it('answer nobody who wants another answer: skipL1, l1Only, a serializer of his own, what is old', async () => {
    await hot('wants', { n: 1 })
    const own = { serialize: JSON.stringify, deserialize: (text: string | Uint8Array) => JSON.parse(String(text)) as unknown }
    const before = hits()
    expect(await cacheManager.get('wants', { skipL1: true })).toEqual({ n: 1 })
    expect(await cacheManager.get('wants', { l1Only: true })).toBeNull()
    expect(await cacheManager.get('wants', { serializer: own })).toEqual({ n: 1 })
    expect(await cacheManager.get('wants', { allowStale: true })).toEqual({ n: 1 })
    expect(await cacheManager.getOrSet('wants', () => ({ n: 2 }), { forceFresh: true })).toEqual({ n: 2 })
    expect(hits()).toBe(before)
    await cacheManager.set('custom', { n: 1 }, { serializer: own })
    for (let time = 0; time < 5; time++) {
      expect(await cacheManager.get('custom', { serializer: own })).toEqual({ n: 1 })
      expect(await reasonOf(cacheManager.get('custom'))).toMatchObject({ code: 'E_DATA' })
    }
  })

  it('are counted, with what they spared', async () => {
    cacheManager.resetStats()
    const slow = () => new Promise<string>((resolve) => setTimeout(resolve, 30, 'loaded'))
    await cacheManager.getOrSet('counted', slow)
    await untilHot(holdfast, 'counted')
    cacheManager.resetStats()
    for (let time = 0; time < 5; time++) await cacheManager.getOrSet('counted', slow)
    const { hits, misses, hitRate, layers, loads, savings } = cacheManager.getStats()
    expect({ hits, misses, hitRate, loads, hot: layers.hot }).toEqual({ hits: 5, misses: 0, hitRate: 1, loads: 0, hot: 5 })
    expect(savings.loadsAvoided).toBe(5)
    expect(savings.timeSavedMs).toBeGreaterThanOrEqual(5 * 25)
  })

  it('change nothing about what is refused', async () => {
    await hot('refused', 1)
    const aborted = { signal: AbortSignal.abort() }
    expect(await reasonOf(cacheManager.get('refused', aborted))).toMatchObject({ code: 'E_TIMEOUT', applied: 'no' })
    expect(await reasonOf(cacheManager.getOrSet('refused', () => 2, aborted))).toMatchObject({ code: 'E_TIMEOUT', applied: 'no' })
    const wrong: [string, object][] = [
      ['options.prefix', { prefix: '' }],
      ['options.compress', { compress: 'yes' }],
      ['options.fallbackToMemory', { fallbackToMemory: 1 }],
      ['options.ttl', { ttl: -1 }],
      ['options.grace', { grace: 'soon' }],
      ['options.tags', { tags: 'a' }],
      ['options.softTimeoutMs', { softTimeoutMs: -1 }],
      ['options.hardTimeoutMs', { hardTimeoutMs: 0 }],
      ['options.eagerRefresh', { eagerRefresh: 2 }],
      ['options.forceFresh', { forceFresh: 'yes' }],
    ]
    for (const [path, options] of wrong) {
      await untilHot(holdfast, 'refused')
      expect(await reasonOf(cacheManager.getOrSet('refused', () => 2, options)), path).toMatchObject({ code: 'E_INVALID', path })
    }
    for (const [path, options] of wrong.slice(0, 3)) {
      await untilHot(holdfast, 'refused')
      expect(await reasonOf(cacheManager.get('refused', options)), path).toMatchObject({ code: 'E_INVALID', path })
    }
  })

  it('take room for all instances together, and none after the end of theirs', async () => {
    const ending = open({ keyPrefix: `${keyPrefix}room:` })
    await hot('room', 'x'.repeat(20_000))
    for (const cache of [ending.cacheManager, ending.cacheManager.namespace('room')]) {
      await cache.set('room', 'x'.repeat(20_000))
      await untilHot({ cacheManager: cache } as typeof holdfast, 'room')
    }
    const all = hotBytes()
    await ending.close()
    const mine = hotBytes()
    expect([all - mine, mine]).toEqual([expect.toSatisfy((bytes: number) => bytes > 40_000), expect.toSatisfy((bytes: number) => bytes > 20_000)])
    await cacheManager.delete('room')
    expect(mine - hotBytes()).toBeGreaterThan(20_000)
  })

  it('answer nobody after the end', async () => {
    const { open: openOther, closeAll } = opener(store === 'memory' ? { url: 'memory:', keyPrefix: `${keyPrefix}end:` } : {})
    if (store === 'redis') return void (await closeAll())
    const ending = openOther()
    await ending.cacheManager.set('end', 1)
    await untilHot(ending, 'end')
    await ending.cacheManager.shutdown()
    expect(await reasonOf(ending.cacheManager.get('end'))).toMatchObject({ code: 'E_CLOSED' })
    await ending.close()
    expect(await reasonOf(ending.cacheManager.get('end'))).toMatchObject({ code: 'E_CLOSED' })
  })

  describe.each([
    ['without tags', 94],
    ['with tags', 100],
  ])('and everything behind them, %s', (how, most) => {
    it.each([1, 2, 3, 4])('answer like a Map, whatever is called by two instances (seed %i)', async (seed) => {
      const random = generator(seed)
      const options = { prefix: `model ${seed} ${how}` }
      const caches = [cacheManager, open().cacheManager]
      const model = new Map<string, { value: number; tags: string[] }>()
      const keys = ['a', 'b', 'c', 'ab']
      const remove = (which: (key: string, tags: string[]) => boolean): void => {
        for (const [key, { tags }] of model) if (which(key, tags)) model.delete(key)
      }
      for (let step = 0; step < 300; step++) {
        const cache = random.pick(caches)
        const key = random.pick(keys)
        const tags = how === 'with tags' ? random.pick([[], ['x'], ['x', 'y']]) : []
        const what = random.below(most)
        if (what < 50) expect(await cache.get(key, options), `step ${step}`).toBe(model.get(key)?.value ?? null)
        else if (what < 62) {
          const present = model.get(key)
          if (present === undefined) model.set(key, { value: step, tags })
          expect(await cache.getOrSet(key, () => step, { ...options, tags }), `step ${step}`).toBe(present?.value ?? step)
        } else if (what < 78) {
          await cache.set(key, step, { ...options, tags })
          model.set(key, { value: step, tags })
        } else if (what < 82) {
          // What is stale is there as well, so that the answer says less than the model knows.
          if (model.delete(key)) expect(await cache.delete(key, options)).toBe(true)
          else await cache.delete(key, options)
        } else if (what < 86) {
          await cache.expire(key, options)
          model.delete(key)
        } else if (what < 88) {
          await cache.deletePattern('a*', options)
          remove((name) => name.startsWith('a'))
        } else if (what < 92) {
          expect(await cache.getMany(keys, options), `step ${step}`).toEqual(keys.map((name) => model.get(name)?.value ?? null))
        } else if (what < 94) {
          await cache.clear(options.prefix)
          model.clear()
        } else if (what < 97) {
          await cache.deleteByTag('x')
          remove((_, all) => all.includes('x'))
        } else {
          await cache.expireByTag('y')
          remove((_, all) => all.includes('y'))
        }
      }
    })
  })
})

describe('texts at hand in an outage', () => {
  it('give way to what memory holds, and afterwards to what others wrote meanwhile', async () => {
    await using scene = await Scene.start()
    const { cache, holdfast, proxy, server } = scene
    await cache.set('k', 'before')
    await cache.set('mine', 'before')
    await Promise.all([untilHot(holdfast, 'k'), untilHot(holdfast, 'mine')])
    await proxy.set('refuse')
    await scene.degraded()
    expect(await cache.get('k')).toBe('before')
    await cache.set('mine', 'during')
    for (let time = 0; time < 5; time++) expect(await cache.get('mine')).toBe('during')
    const { open, closeAll } = opener({ url: server.url, keyPrefix: scene.keyPrefix })
    await open().cacheManager.set('k', 'by another one')
    await closeAll()
    expect(await cache.get('k')).toBe('before')
    await proxy.set('pass')
    await scene.healed()
    for (let time = 0; time < 20; time++) expect([await cache.get('k'), await cache.get('mine')]).toEqual(['by another one', 'during'])
  })
})
