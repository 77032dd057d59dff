// Vectors of texts: they come back as the 32-bit floats that they are, in the order of their texts, and stand in Redis
// as bytes.
import { createHash, randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { requestText } from '../../js/ai/request'
import { counters, range, since, turn } from '../boundary/inside'
import { areRefused, reasonOf, wrongDurations } from '../cache/loads'
import { asAnother, onStore, stores } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'

/** The bytes in front of a stored value; docs/decisions/0004 has their meaning. */
const HEADER_BYTES = 42
/** Where it says in which format the payload is, and that it is compressed. */
const [FLAGS_AT, FORMAT_AT] = [2, 3]
const FORMAT_JSON_STARTS = /^\s*[[{"]/

/** A vector as models give them, the same in every run. */
const vectorOf = (dimensions: number, seed = 1): number[] => range(dimensions).map((n) => Math.sin((n + 1) * (seed + 0.123)) / 3)
const bytesOf = (vector: ArrayLike<number>): Buffer => {
  const bytes = Buffer.alloc(vector.length * 4)
  Array.from(vector).forEach((number, index) => bytes.writeFloatLE(number, index * 4))
  return bytes
}

/** An error about many keys. */
interface Failing {
  failures?: unknown
}

describe.each(stores)('embeddings on %s', (store) => {
  const { holdfast, keyPrefix, open, outside } = onStore(store)
  const { AICacheManager: ai, cacheManager } = holdfast
  // Counts what crosses without crossing itself.
  const other = open(asAnother)

  describe('come back as the floats that they are', () => {
    const edges = [0, -0, 1, -1, 0.1, 1 / 3, 3.4028234663852886e38, -3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45, 1e-50, 16_777_217, Math.PI]
    const text = Float32Array.from(new Float32Array(Uint8Array.from(Buffer.from('these 32 bytes are text in UTF-8')).buffer))
    const part = new Float32Array([9, 1, 2, 3, 9]).subarray(1, 4)
    it.each<[string, readonly number[] | Float32Array | Float64Array]>([
      ['a list of numbers', edges],
      ['a Float32Array', Float32Array.from(edges)],
      ['a Float64Array', Float64Array.from(edges)],
      ['a part of a larger array', part],
      ['one dimension', [0.5]],
      ['nothing but zeros', new Float32Array(64)],
      ['floats whose bytes are text', text],
      ['1,536 dimensions', vectorOf(1_536)],
      ['8,192 dimensions that are all the same', new Float32Array(8_192).fill(0.25)],
    ])('from %s, one by one and together', async (name, vector) => {
      expect(await ai.cacheEmbedding(name, 'm', vector)).toBe(true)
      expect(await ai.cacheEmbeddings([{ text: `${name} together`, vector }], 'm')).toEqual([true])
      for (const found of [await ai.getCachedEmbedding(name, 'm'), ...(await ai.getCachedEmbeddings([name, `${name} together`], 'm'))]) {
        expect(found).toBeInstanceOf(Float32Array)
        // By their bytes, which tell -0 from 0.
        expect(bytesOf(found ?? [])).toEqual(bytesOf(vector))
        expect(found?.byteLength).toBe(vector.length * 4)
      }
    })
  })

  it('are taken as they are when the call is made, and each answer is a copy', async () => {
    const vector = [1, 2, 3]
    const writes = [ai.cacheEmbedding('copied', 'm', vector), ai.cacheEmbeddings([{ text: 'copied too', vector }], 'm')]
    vector.fill(0)
    await Promise.all(writes)
    for (const _ of range(3)) {
      for (const found of await ai.getCachedEmbeddings(['copied', 'copied too'], 'm')) {
        expect(found).toEqual(new Float32Array([1, 2, 3]))
        found?.fill(0)
      }
    }
  })

  describe('many at once', () => {
    const texts = (name: string, count: number) => range(count).map((n) => `${name} ${n}`)

    it('are answered in the order of the texts, null for a miss, a text that is named twice twice', async () => {
      expect(await ai.cacheEmbeddings([{ text: 'b', vector: [2] }, { text: 'a', vector: [1] }], 'm')).toEqual([true, true])
      const [one, two] = [new Float32Array([1]), new Float32Array([2])]
      for (const _ of range(2)) expect(await ai.getCachedEmbeddings(['a', 'none', 'b', 'a', ''], 'm')).toEqual([one, null, two, one, null])
      expect(await ai.getCachedEmbedding('none', 'm')).toBeNull()
    })

    it('may be none', async () => {
      expect(await ai.cacheEmbeddings([], 'm')).toEqual([])
      expect(await ai.getCachedEmbeddings([], 'm')).toEqual([])
    })

    it('cross in one trip', async () => {
      const all = texts('trip', 100)
      const calls: (() => Promise<unknown>)[] = [
        () => ai.cacheEmbeddings(all.map((text, n) => ({ text, vector: vectorOf(16, n) })), 'm'),
        () => ai.getCachedEmbeddings(all, 'm'),
      ]
      for (const call of calls) {
        await turn()
        // In company, so that no read crosses by itself.
        await Promise.all([cacheManager.exists('a'), cacheManager.exists('b')])
        const before = counters(other)
        await call()
        expect(since(before, other)).toMatchObject({ submits: 1, operations: 100, pending: 0 })
      }
    })

    it('are those of the docs: what is missing is embedded and kept', async () => {
      const all = texts('missing', 50)
      await ai.cacheEmbeddings(all.slice(10, 20).map((text) => ({ text, vector: [1] })), 'm')
      const found = await ai.getCachedEmbeddings(all, 'm')
      const missing = all.filter((_, at) => found[at] === null)
      expect(missing).toEqual([...all.slice(0, 10), ...all.slice(20)])
      expect(new Set(await ai.cacheEmbeddings(missing.map((text) => ({ text, vector: [2] })), 'm'))).toEqual(new Set([true]))
      const vectors = await ai.getCachedEmbeddings(all, 'm')
      expect(vectors.map((vector) => vector?.[0])).toEqual(all.map((_, at) => (at >= 10 && at < 20 ? 1 : 2)))
    })

    it('that are too large are refused, each by its text and its path', async () => {
      const limited = open({ maxValueBytes: 1_000 }).AICacheManager
      const entries = range(2).map((n) => ({ text: `limited ${n}`, vector: vectorOf(1_000, n) }))
      const error = await reasonOf(limited.cacheEmbeddings(entries, 'm'))
      const refusal = (path: string) => expect.objectContaining({ code: 'E_INVALID', path })
      expect(error).toMatchObject({ operation: 'AICacheManager.cacheEmbeddings' })
      expect(error).toEqual(refusal('entries[0].vector'))
      expect((error as Failing).failures).toEqual(new Map([['limited 0', refusal('entries[0].vector')], ['limited 1', refusal('entries[1].vector')]]))
      expect(await reasonOf(limited.cacheEmbedding('limited', 'm', vectorOf(1_000)))).toEqual(refusal('vector'))
      expect(await limited.cacheEmbedding('limited', 'm', vectorOf(200))).toBe(true)
    })

    if (store === 'memory') it('for which there is no room are answered with false', async () => {
      const small = open({ fallback: { maxMemoryMb: 1 }, nearCache: 'off' }).AICacheManager
      const noise = vectorOf(400_000)
      expect(await small.cacheEmbeddings(range(2).map((n) => ({ text: `room ${n}`, vector: noise })), 'm')).toEqual([false, false])
      expect(await small.cacheEmbedding('room 0', 'm', [1])).toBe(true)
      expect(await small.getCachedEmbeddings(['room 0', 'room 1'], 'm')).toEqual([new Float32Array([1]), null])
    })
  })

  describe('are found by text, model and parameters', () => {
    it('and by nothing that only looks alike', async () => {
      type Key = [text: string, model: string, parameters?: Record<string, unknown>]
      const keys: Key[] = [['same', 'm'], ['same', 'n'], ['same ', 'm'], ['Same', 'm'], ['a:b', 'c'], ['a', 'b:c'], ['', 'm'], ['same', 'm', { dimensions: 256 }], ['same', 'm', { dimensions: 512 }]]
      for (const [at, [text, model, parameters]] of keys.entries()) await ai.cacheEmbedding(text, model, [at], 60, parameters)
      for (const [at, [text, model, parameters]] of keys.entries()) {
        expect(await ai.getCachedEmbedding(text, model, parameters)).toEqual(new Float32Array([at]))
        expect(await ai.getCachedEmbeddings([text], model, parameters)).toEqual([new Float32Array([at])])
      }
      expect(await ai.getCachedEmbedding('same', 'm', {})).toEqual(new Float32Array([0]))
    })

    it('apart from answers and from the cache', async () => {
      await ai.cacheEmbedding('apart', 'm', [1])
      expect(await ai.getCachedResponse('apart', 'm')).toBeNull()
      await ai.cacheResponse('apart', 'an answer', 'm')
      expect(await ai.getCachedEmbedding('apart', 'm')).toEqual(new Float32Array([1]))
      expect(await ai.getCachedResponse('apart', 'm')).toBe('an answer')
    })

    it('and the last that was written, of any length', async () => {
      for (const vector of [vectorOf(3), vectorOf(1_536), vectorOf(1)]) {
        await ai.cacheEmbedding('again', 'm', vector)
        expect(await ai.getCachedEmbedding('again', 'm')).toEqual(Float32Array.from(vector))
      }
    })
  })

  it('end with their ttl, each with its own', async () => {
    await ai.cacheEmbedding('long', 'm', [1], '1h')
    await ai.cacheEmbedding('short', 'm', [2], 0.05)
    await ai.cacheEmbeddings([{ text: 'short too', vector: [3] }], 'm', 0.05)
    await waitFor('the short ones to end', async () => (await ai.getCachedEmbeddings(['short', 'short too'], 'm')).every((vector) => vector === null))
    expect(await ai.getCachedEmbedding('long', 'm')).toEqual(new Float32Array([1]))
  })

  it.each<[string, () => Promise<unknown>]>([
    ['clearCache', () => ai.clearCache()],
    ['clear', () => cacheManager.clear('ai')],
    ['deletePattern', () => cacheManager.deletePattern('*', { prefix: 'ai:embedding' })],
  ])('are gone after %s, and what is in the cache stays', async (name, remove) => {
    const texts = range(3).map((n) => `${name} ${n}`)
    await cacheManager.set('stays', 1)
    await ai.cacheEmbeddings(texts.map((text) => ({ text, vector: [1] })), 'm')
    expect(await ai.getCachedEmbeddings(texts, 'm')).not.toContain(null)
    await remove()
    expect(await ai.getCachedEmbeddings(texts, 'm')).toEqual([null, null, null])
    expect(await cacheManager.get('stays')).toBe(1)
  })

  describe('what is wrong', () => {
    const badVectors = [undefined, null, 5, 'abc', {}, [], new Float32Array(), new Uint8Array([1]), new Set([1])]
    const badNumbers = [Number.NaN, Infinity, -Infinity, 1e39, -3.5e38, '1', null, undefined, 1n, [1], {}]
    const badTexts = [undefined, null, 5, {}, ['a'], () => 'a']
    const one = (vector: unknown, text: unknown) => ai.cacheEmbedding(text as string, 'm', vector as number[])
    const many = (...vectors: unknown[]) => ai.cacheEmbeddings(vectors.map((vector, n) => ({ text: `wrong ${n}`, vector: vector as number[] })), 'm')

    it.each<[string, string, readonly unknown[], (value: never) => unknown]>([
      ['a vector', 'vector', badVectors, (vector) => one(vector, 'wrong')],
      ['a number', 'vector[1]', badNumbers, (number) => one([1, number], 'wrong')],
      ['a number of a Float64Array', 'vector[1]', [Number.NaN, Infinity, 1e39], (number) => one(new Float64Array([1, number]), 'wrong')],
      ['a number of a Float32Array', 'vector[2]', [Number.NaN, Infinity], (number) => one(new Float32Array([1, 2, number]), 'wrong')],
      ['a vector among others', 'entries[1].vector', badVectors, (vector) => many([1], vector, [2])],
      ['a number among others', 'entries[2].vector[0]', badNumbers, (number) => many([1], [2], [number])],
      ['a length other than that of the others', 'entries[2].vector', [[1], [1, 2, 3], new Float32Array(3)], (vector) => many([1, 2], [3, 4], vector)],
      ['a text', 'text', badTexts, (text) => one([1], text)],
      ['a text among others', 'entries[1].text', badTexts, (text) => ai.cacheEmbeddings([{ text: 'wrong 0', vector: [1] }, { text, vector: [1] }], 'm')],
      ['an entry', 'entries[1]', [undefined, null, 5, 'a'], (entry) => ai.cacheEmbeddings([{ text: 'wrong 0', vector: [1] }, entry], 'm')],
      ['entries', 'entries', [undefined, null, 5, 'a', {}, new Set()], (entries) => ai.cacheEmbeddings(entries, 'm')],
      ['texts', 'texts', [undefined, null, 5, 'a', {}, new Set()], (texts) => ai.getCachedEmbeddings(texts, 'm')],
      ['a text that is asked for', 'text', badTexts, (text) => ai.getCachedEmbedding(text, 'm')],
      ['a text that is asked for among others', 'texts[1]', badTexts, (text) => ai.getCachedEmbeddings(['a', text], 'm')],
      ['a model', 'model', ['', undefined, null, 5], (model) => ai.cacheEmbedding('wrong', model, [1])],
      ['a model that is asked for', 'model', ['', undefined, null, 5], (model) => ai.getCachedEmbeddings(['wrong'], model)],
      ['a ttl', 'ttl', wrongDurations, (ttl) => ai.cacheEmbedding('wrong', 'm', [1], ttl)],
      ['a ttl of many', 'ttl', wrongDurations, (ttl) => ai.cacheEmbeddings([{ text: 'wrong 0', vector: [1] }], 'm', ttl)],
      ['parameters', 'parameters', [null, 5, 'a', []], (parameters) => ai.cacheEmbedding('wrong', 'm', [1], 60, parameters)],
    ])('as %s is E_INVALID at %s, and nothing is stored', async (_, path, values, call) => {
      await ai.clearCache()
      await areRefused(path, values, call)
      expect(await ai.getCachedEmbeddings(['wrong', 'wrong 0', 'wrong 1', 'wrong 2'], 'm')).toEqual([null, null, null, null])
    })
  })

  if (store === 'redis') {
    const nameOf = (text: string, model = 'm', parameters?: Record<string, unknown>) =>
      `${keyPrefix}ai:embedding:${createHash('sha256').update(requestText(text, model, parameters, undefined, 'test')).digest('hex')}`
    const bytesAt = async (key: string): Promise<Buffer> => {
      outside().encoding = 'latin1'
      const stored = await outside().call('GET', key)
      outside().encoding = 'utf8'
      return Buffer.from(String(stored), 'latin1')
    }

    it.each([1, 3, 128, 255])('stand in Redis as the envelope and 4 bytes for each of %i dimensions', async (dimensions) => {
      const text = `my secret text of ${dimensions}`
      const vector = vectorOf(dimensions)
      await ai.cacheEmbedding(text, 'm', vector, undefined, { dimensions })
      const stored = await bytesAt(nameOf(text, 'm', { dimensions }))
      expect(stored.length).toBe(HEADER_BYTES + 4 * dimensions)
      expect([stored[0], stored[FLAGS_AT]]).toEqual([0xf6, 0])
      expect(stored.subarray(HEADER_BYTES)).toEqual(bytesOf(vector))
      expect(String(await outside().call('KEYS', `${keyPrefix}*`))).not.toContain('secret')
    })

    it('take no more than that when they are large, and are no JSON', async () => {
      const formats = new Set<number | undefined>()
      for (const [text, vector] of [['small', [1]], ['large', vectorOf(1_536)], ['larger', vectorOf(4_096)]] as const) {
        await ai.cacheEmbedding(text, 'm', vector)
        const stored = await bytesAt(nameOf(text))
        // Compressed, where that saves something.
        expect(stored.length).toBeLessThanOrEqual(HEADER_BYTES + 4 * vector.length)
        expect(stored.toString('latin1', HEADER_BYTES)).not.toMatch(FORMAT_JSON_STARTS)
        formats.add(stored[FORMAT_AT])
      }
      await cacheManager.set('json', [1])
      formats.add((await bytesAt(`${keyPrefix}cache:json`))[FORMAT_AT])
      expect(formats.size).toBe(2)
    })

    it('stand there for a week, or as long as they were told', async () => {
      await ai.cacheEmbedding('a week', 'm', [1])
      await ai.cacheEmbeddings([{ text: 'a week too', vector: [1] }], 'm')
      await ai.cacheEmbeddings([{ text: 'a minute', vector: [1] }], 'm', '1m')
      const [week, weekToo, minute] = (await outside().pipeline(['a week', 'a week too', 'a minute'].map((text) => ['PTTL', nameOf(text)]))) as number[]
      for (const [left = 0, ms] of [[week, 604_800_000], [weekToo, 604_800_000], [minute, 60_000]] as const) {
        expect(left).toBeGreaterThan(ms - 30_000)
        expect(left).toBeLessThanOrEqual(ms)
      }
    })

    it('of which one may not be written: the others are kept, and the error names it by its text', async () => {
      const user = `some-${randomUUID()}`
      const mine = ['x', 'z'].map((text) => `~${nameOf(`of a user: ${text}`)}`)
      await outside().call('ACL', 'SETUSER', user, 'on', '>secret', ...mine, `~${keyPrefix}h:*`, '&*', '+@all')
      const restricted = open({ username: user, password: 'secret', nearCache: 'off' }).AICacheManager
      const texts = ['x', 'y', 'z'].map((text) => `of a user: ${text}`)
      const error = await reasonOf(restricted.cacheEmbeddings(texts.map((text, n) => ({ text, vector: [n] })), 'm'))
      expect(error).toMatchObject({ code: 'E_AUTH', operation: 'AICacheManager.cacheEmbeddings' })
      expect(await ai.getCachedEmbeddings(texts, 'm')).toEqual([new Float32Array([0]), null, new Float32Array([2])])
      expect((error as Failing).failures).toEqual(new Map([[texts[1], expect.objectContaining({ code: 'E_AUTH' })]]))
      const read = await reasonOf(restricted.getCachedEmbeddings(texts, 'm'))
      expect(read).toMatchObject({ code: 'E_AUTH', failures: new Map([[texts[1], expect.objectContaining({ code: 'E_AUTH' })]]) })
    })

    it('are seen by other processes, which see what replaces them, and what is removed', async () => {
      await ai.cacheEmbedding('shared', 'm', [1])
      expect(await other.AICacheManager.getCachedEmbedding('shared', 'm')).toEqual(new Float32Array([1]))
      await ai.cacheEmbedding('shared', 'm', [2, 3])
      await waitFor('what replaced it', async () => (await other.AICacheManager.getCachedEmbedding('shared', 'm'))?.length === 2)
      await ai.clearCache()
      await waitFor('it to be gone', async () => (await other.AICacheManager.getCachedEmbedding('shared', 'm')) === null)
    })

    it.each(['a text', '"a text"', '[1,2]', '{"0":1}', '5'])('are missing where %s stands in their place, until they are kept again', async (foreign) => {
      const near = open({ nearCache: 'off' }).AICacheManager
      const all = ['x', 'y', 'z']
      await near.cacheEmbeddings(all.map((text) => ({ text, vector: [1] })), 'm')
      await outside().call('SET', nameOf('y'), foreign)
      expect(await near.getCachedEmbeddings(all, 'm')).toEqual([new Float32Array([1]), null, new Float32Array([1])])
      expect(await near.getCachedEmbedding('y', 'm')).toBeNull()
      const failed: unknown[] = []
      await near.getCachedEmbeddings(all, 'm', undefined, { onError: (text, error) => failed.push(text, error) })
      expect(failed).toEqual(['y', expect.objectContaining({ code: 'E_DATA', operation: 'AICacheManager.getCachedEmbeddings' })])
      expect(await near.cacheEmbedding('y', 'm', [2])).toBe(true)
      expect(await near.getCachedEmbeddings(all, 'm')).toEqual([1, 2, 1].map((n) => new Float32Array([n])))
    })

    it('are missing where their bytes are damaged', async () => {
      const near = open({ nearCache: 'off' }).AICacheManager
      await near.cacheEmbeddings(['x', 'y'].map((text) => ({ text, vector: [1, 2] })), 'm')
      const whole = await bytesAt(nameOf('y'))
      await outside().call('APPEND', nameOf('y'), 'x')
      expect((await bytesAt(nameOf('y'))).length).toBe(whole.length + 1)
      expect(await near.getCachedEmbeddings(['x', 'y'], 'm')).toEqual([new Float32Array([1, 2]), null])
    })
  }
})

describe('embeddings in an outage', () => {
  it('are kept by memory, and stand in Redis afterwards as they would have', async () => {
    await using scene = await Scene.start()
    const ai = scene.holdfast.AICacheManager
    await ai.cacheEmbedding('before', 'm', [1])
    expect(await ai.getCachedEmbedding('before', 'm')).toEqual(new Float32Array([1]))
    await scene.proxy.set('refuse')
    await scene.degraded()
    expect(await ai.cacheEmbeddings(['during', 'before'].map((text, n) => ({ text, vector: vectorOf(128, n) })), 'm')).toEqual([true, true])
    const expected = [Float32Array.from(vectorOf(128, 0)), Float32Array.from(vectorOf(128, 1)), null]
    expect(await ai.getCachedEmbeddings(['during', 'before', 'none'], 'm')).toEqual(expected)
    await scene.proxy.set('pass')
    await scene.healed()
    expect(await ai.getCachedEmbeddings(['during', 'before', 'none'], 'm')).toEqual(expected)
    const sizes = await scene.outside(async (outside) => {
      const keys = (await outside.call('KEYS', `${scene.keyPrefix}ai:embedding:*`)) as string[]
      return (await outside.pipeline(keys.map((key) => ['STRLEN', key]))) as number[]
    })
    expect(sizes).toEqual([HEADER_BYTES + 4 * 128, HEADER_BYTES + 4 * 128])
  })
})
