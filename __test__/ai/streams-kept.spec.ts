// What is kept of streams: an answer that ended well, as a whole, as it was, and for how long. On both stores.
import { describe, expect, it, vi } from 'vitest'
import { range } from '../boundary/inside'
import { reasonOf } from '../cache/loads'
import { stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { again, hear, kept, ranAnew, readerOf, saying, streamsOn } from './models'

describe.each(stores)('a stream on %s', (store) => {
  const { keyPrefix, open, outside, AICacheManager, cacheManager, ask } = streamsOn(store)

  describe('is kept', () => {
    const text = { type: 'text-delta', text: 'a' }
    const finish = (finishReason: unknown) => [text, { type: 'finish', finishReason }]
    const openAI = (reason: string | null) => [{ choices: [{ delta: { content: 'a' }, finish_reason: null }] }, { choices: [{ delta: {}, finish_reason: reason }] }]
    const good = ['stop', 'tool-calls', 'tool_calls', 'tool_use', 'function_call', 'end_turn', 'stop_sequence']
    const bad = ['length', 'content-filter', 'content_filter', 'error', 'abort', 'other', 'unknown', undefined]
    const named = (reasons: readonly unknown[], make: (reason: never) => unknown[]): [string, unknown[]][] =>
      reasons.map((reason) => [`${make === finish ? 'a part' : 'a choice'} that ends with ${String(reason)}`, make(reason as never)])

    it.each<[string, unknown[]]>([
      ...named(good, finish),
      ...named(['stop', 'tool_calls', 'function_call'], openAI),
      ['the newest way to say a reason', finish({ unified: 'stop', raw: 'end' })],
      ['a last chunk of OpenAI that only counts', [...openAI('stop'), { choices: [], usage: { total_tokens: 5 } }]],
      ['texts that end', ['a', 'b']],
      ['objects without a type', [{ a: 1 }, { b: 2 }]],
      ['no chunk at all', []],
    ])('with %s', async (name, chunks) => {
      expect(await hear(await ask(name, 'm', () => chunks))).toEqual({ chunks })
      expect(await again(AICacheManager, name)).toEqual({ source: expect.stringMatching(kept), chunks })
    })

    it.each<[string, unknown[]]>([
      ...named(bad, finish),
      ...named(['length', 'content_filter', null], openAI),
      ['the newest way to say a bad reason', finish({ unified: 'length', raw: 'max_tokens' })],
      ['a part that is an error', [text, { type: 'error', error: 'overloaded' }, ...finish('stop')]],
      ['a part that is an abort', [text, { type: 'abort' }, ...finish('stop')]],
      ['parts that were cut off', [text, text]],
      ['choices that were cut off', openAI(null).slice(0, 1)],
    ])('never with %s, and whoever listens has it', async (name, chunks) => {
      const streams = await Promise.all(range(2).map(() => ask<unknown>(`bad: ${name}`, 'm', () => chunks)))
      expect(await Promise.all(streams.map((stream) => hear(stream)))).toEqual([{ chunks }, { chunks }])
      expect(await again(AICacheManager, `bad: ${name}`)).toEqual(ranAnew)
    })

    it('when isComplete says so, whatever the reason', async () => {
      const isComplete = vi.fn((chunks: readonly unknown[]) => chunks.length === 2)
      await hear(await ask<unknown>('complete', 'm', () => finish('length'), { isComplete }))
      expect(isComplete.mock.calls).toEqual([[finish('length')]])
      expect((await again(AICacheManager, 'complete')).chunks).toEqual(finish('length'))
      await hear(await ask<unknown>('incomplete', 'm', () => [...finish('stop'), 'and more'], { isComplete }))
      expect(await again(AICacheManager, 'incomplete')).toEqual(ranAnew)
    })
  })

  describe('that is kept', () => {
    it('comes back with dates, bytes and all else that structured clone takes', async () => {
      const chunks = [{ at: new Date(5), bytes: new Uint8Array([0, 255]) }, new Map([['n', 5n]]), undefined, null, NaN, '']
      expect(await hear(await ask<unknown>('kinds', 'm', () => chunks))).toEqual({ chunks })
      expect((await again(AICacheManager, 'kinds')).chunks).toEqual(chunks)
    })

    it('comes back however long it is', async () => {
      const chunks = range(5_000).map((n) => `word ${n} `)
      expect(await hear(await ask('long', 'm', () => chunks))).toEqual({ chunks })
      expect((await again(AICacheManager, 'long')).chunks).toEqual(chunks)
    })

    it('is a copy for each who asks', async () => {
      await hear(await ask<unknown>('copies', 'm', () => [{ n: 1 }]))
      for (const _ of range(3)) {
        const { chunks } = await again(AICacheManager, 'copies')
        expect(chunks).toEqual([{ n: 1 }])
        Object.assign(chunks[0] as object, { n: 2 })
      }
    })

    it('is found by prompt, model and parameters, and by nothing that only looks alike', async () => {
      const asks: [string, () => ReturnType<typeof ask>][] = [
        ['prompt', () => ask('found', 'm', saying('prompt').source)],
        ['other prompt', () => ask('found ', 'm', saying('other prompt').source)],
        ['other model', () => ask('found', 'n', saying('other model').source)],
        ['messages', () => ask([{ role: 'user', content: 'found' }], 'm', saying('messages').source)],
        ['parameters', () => ask('found', 'm', saying('parameters').source, { parameters: { temperature: 0 } })],
        ['headers', () => ask('found', 'm', saying('headers').source, { parameters: { headers: { 'X-Tenant': 't1' } }, headers: ['x-tenant'] })],
      ]
      for (const [name, call] of asks) expect([(await call()).source, await hear(await call())], name).toEqual(['model', { chunks: [name] }])
      for (const [name, call] of asks) expect([(await call()).source, await hear(await call())], name).toEqual([expect.stringMatching(kept), { chunks: [name] }])
      // What only carries the request: a signal, a header that was not named.
      const carried = { signal: new AbortController().signal, headers: { date: 'today' } }
      expect((await again(AICacheManager, 'found', { parameters: carried })).chunks).toEqual(['prompt'])
      expect(await AICacheManager.getCachedResponse('found', 'm')).toBeNull()
    })

    it('comes without any timer where no pace is given', async () => {
      await hear(await ask('no pace', 'm', saying('a', 'b', 'c').source))
      for (const pace of [undefined, 0, () => 0]) {
        const stream = await ask('no pace', 'm', saying('other').source, { pace })
        const timer = vi.spyOn(globalThis, 'setTimeout')
        expect(await hear(stream)).toEqual({ chunks: ['a', 'b', 'c'] })
        expect(timer).not.toHaveBeenCalled()
        timer.mockRestore()
      }
    })

    it.each<[string, 10 | ((chunk: string, index: number) => number), number[]]>([
      ['so many ms before each chunk', 10, [10, 20, 30]],
      ['as long as each chunk asks for', (chunk, index) => chunk.length * 10 + index, [10, 31, 63]],
    ])('comes with a pace %s', async (name, pace, times) => {
      const chunks = ['a', 'bb', 'ccc']
      await hear(await ask(name, 'm', saying(...chunks).source))
      const stream = await ask(name, 'm', saying('other').source, { pace })
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
      const began = Date.now()
      const seen: [string, number][] = []
      const reading = (async () => {
        for await (const chunk of stream) seen.push([chunk, Date.now() - began])
      })()
      await vi.runAllTimersAsync()
      await reading
      expect(seen).toEqual(chunks.map((chunk, index) => [chunk, times[index]]))
    })

    it('is left at its pace by the signal of who reads it, and no timer stays behind', async () => {
      await hear(await ask('left', 'm', saying('a', 'b').source))
      const abort = new AbortController()
      const stream = await ask('left', 'm', saying('other').source, { pace: 10, signal: abort.signal })
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      const reader = readerOf(stream)
      const [first, second] = [reader.next(), reader.next()]
      await vi.advanceTimersByTimeAsync(10)
      expect(await first).toEqual({ value: 'a', done: false })
      abort.abort('enough')
      expect([await reasonOf(second), vi.getTimerCount()]).toEqual(['enough', 0])
    })

    it('has no pace while it comes from the model', async () => {
      const pace = vi.fn(() => 60_000)
      expect(await hear(await ask('from the model', 'm', saying('a', 'b').source, { pace }))).toEqual({ chunks: ['a', 'b'] })
      expect(pace).not.toHaveBeenCalled()
    })

    it('is a web stream as well, from the model and from the cache', async () => {
      for (const from of ['model', expect.stringMatching(kept)]) {
        const stream = await ask('web stream', 'm', saying('a', 'ä', '🜁').source)
        expect(stream.source).toEqual(from)
        expect(await new Response(stream.toReadableStream().pipeThrough(new TextEncoderStream())).text()).toBe('aä🜁')
      }
    })

    it('ends with its ttl', async () => {
      const short = () => again(AICacheManager, 'short', { ttl: 0.2, isComplete: () => true })
      expect(await short()).toEqual(ranAnew)
      await waitFor('it to be kept', async () => kept.test((await short()).source))
      await waitFor('it to end', async () => (await short()).source === 'model')
    })

    it.each<[string, () => Promise<unknown>]>([
      ['clearCache', () => AICacheManager.clearCache()],
      ['deleteByTag', () => cacheManager.deleteByTag('user 2')],
    ])('goes with %s', async (name, remove) => {
      await hear(await ask(`goes ${name}`, 'm', saying('a').source, { tags: ['user 2'] }))
      expect((await again(AICacheManager, `goes ${name}`)).chunks).toEqual(['a'])
      await remove()
      expect(await again(AICacheManager, `goes ${name}`)).toEqual(ranAnew)
    })

    if (store === 'redis') it.each(['a text', '5', '{}', '{"chunks":"abc"}', 'null', '[]', 'another type'])(
      'is said by the model anew where %s stands in its place, and takes that place',
      async (foreign) => {
        const ai = open({ nearCache: 'off' }).AICacheManager
        await AICacheManager.clearCache()
        await hear(await ai.cacheStream('foreign', 'm', saying('a').source))
        const [key = ''] = (await outside().call('KEYS', `${keyPrefix}ai:stream:*`)) as string[]
        if (foreign === 'another type') await outside().pipeline([['DEL', key], ['RPUSH', key, 'a']])
        else await outside().call('SET', key, foreign)
        const model = saying('b', 'c')
        const streams = await Promise.all(range(3).map(() => ai.cacheStream('foreign', 'm', model.source)))
        expect(await Promise.all(streams.map((stream) => hear(stream)))).toEqual(range(3).map(() => ({ chunks: ['b', 'c'] })))
        expect(model.runs).toBe(1)
        expect(await again(ai, 'foreign')).toEqual({ source: 'redis', chunks: ['b', 'c'] })
      },
    )

    if (store === 'redis') it('stands in Redis for a day under its hash, and nothing else stays for long', async () => {
      await AICacheManager.clearCache()
      await hear(await ask('my secret question', 'm', saying('a', 'b').source))
      const keys = (await outside().call('KEYS', `${keyPrefix}ai:*`)) as string[]
      expect(keys).toEqual([expect.stringMatching(/ai:stream:[0-9a-f]{64}$/)])
      const [ttl, value] = await outside().pipeline([['PTTL', keys[0] ?? ''], ['GET', keys[0] ?? '']])
      expect(ttl).toBeGreaterThan(86_000_000)
      expect(ttl).toBeLessThanOrEqual(86_400_000)
      expect(value).toContain('"chunks":["a","b"]')
      const live = (await outside().call('KEYS', `${keyPrefix}ai-live:*`)) as string[]
      expect(live.join()).not.toContain('secret')
      for (const left of await outside().pipeline(live.map((key) => ['PTTL', key]))) {
        expect(left).toBeGreaterThan(0)
        expect(left).toBeLessThanOrEqual(60_000)
      }
    })
  })
})
