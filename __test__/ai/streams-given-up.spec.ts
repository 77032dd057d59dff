// Streams that are given up: by who listens, by a time limit, by an invalidation. Whatever the model does then, it
// holds up nobody who asks afterwards. On both stores.
import { describe, expect, it, vi } from 'vitest'
import { range } from '../boundary/inside'
import { areRefused, reasonOf, wrongTimeouts } from '../cache/loads'
import { asAnother, gate, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Model, again, hear, kept, listening, ranAnew, readerOf, saying, streamsOn } from './models'

describe.each(stores)('a stream on %s', (store) => {
  const { open, AICacheManager, cacheManager, ask } = streamsOn(store)
  // As another process has it: connection, copies and leases of its own.
  const theirs = open(asAnother).AICacheManager
  const never = new Promise<never>(() => {})

  const hanging: [string, () => AsyncIterable<string> | Promise<never>][] = [
    ['never says anything', () => new Model(true).source({ signal: new AbortController().signal })],
    ['is never there', () => never],
    ['says something and hangs', () => new Model(true).say('a').source({ signal: new AbortController().signal })],
  ]

  it.each(hanging)('whose model %s and does not heed its signal holds up nobody after its caller left', async (name, source) => {
    const abort = new AbortController()
    const heard = hear(await ask(name, 'm', source, { signal: abort.signal }))
    abort.abort('gone')
    expect((await heard).error).toBe('gone')
    for (const [ai, word] of [[AICacheManager, 'here'], [theirs, 'there']] as const) {
      const stream = await ai.cacheStream(`${name} ${word}`, 'm', source)
      await readerOf(stream).return?.()
      const next = await theirs.cacheStream(`${name} ${word}`, 'm', saying(word).source)
      expect(await hear(next)).toEqual({ chunks: [word] })
    }
    expect(await hear(await ask(name, 'm', saying('new').source))).toEqual({ chunks: ['new'] })
    expect((await again(AICacheManager, name)).chunks).toEqual(['new'])
  })

  it('of a web stream that hangs is cancelled at once', async () => {
    const [asked, cancelled] = [gate<void>(), gate<unknown>()]
    const silent = () => new ReadableStream<string>({ pull: () => (asked.open(), never), cancel: cancelled.open })
    const reader = readerOf(await ask('silent web stream', 'm', silent))
    await asked.opened
    await reader.return?.()
    await cancelled.opened
  })

  describe('with a time limit', () => {
    /** No timer of a stream runs but when a test says so. */
    const freeze = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const timeout = (name: string) => expect.objectContaining({ code: 'E_TIMEOUT', retryable: true, operation: 'AICacheManager.cacheStream', message: expect.stringContaining(name) })

    it('between chunks ends when it is over, for all who listen, and not before', async () => {
      freeze()
      const model = new Model(true).say('a')
      const readers = (await Promise.all(range(2).map(() => ask('idle', 'm', model.source, { idleTimeoutMs: 1_000 })))).map(readerOf)
      for (const value of ['a', 'b', 'c']) {
        for (const reader of readers) expect(await reader.next()).toEqual({ value, done: false })
        await vi.advanceTimersByTimeAsync(999)
        if (value !== 'c') model.say(value === 'a' ? 'b' : 'c')
      }
      expect(model.signal?.aborted).toBe(false)
      await vi.advanceTimersByTimeAsync(1)
      for (const reader of readers) expect(await reasonOf(reader.next())).toEqual(timeout('idleTimeoutMs'))
      expect(model.signal?.reason).toEqual(timeout('idleTimeoutMs'))
      vi.useRealTimers()
      expect(await again(AICacheManager, 'idle')).toEqual(ranAnew)
    })

    it('in all ends when it is over, however much was said', async () => {
      freeze()
      const model = new Model(true).say('a')
      const reader = readerOf(await ask('hard', 'm', model.source, { hardTimeoutMs: 1_000, idleTimeoutMs: 600 }))
      expect(await reader.next()).toEqual({ value: 'a', done: false })
      await vi.advanceTimersByTimeAsync(500)
      model.say('b')
      expect(await reader.next()).toEqual({ value: 'b', done: false })
      await vi.advanceTimersByTimeAsync(499)
      expect(model.signal?.aborted).toBe(false)
      await vi.advanceTimersByTimeAsync(1)
      expect(await reasonOf(reader.next())).toEqual(timeout('hardTimeoutMs'))
      vi.useRealTimers()
      expect(await hear(await ask('hard', 'm', saying('new').source))).toEqual({ chunks: ['new'] })
    })

    it('that ends in time leaves no timer behind, and is kept', async () => {
      freeze()
      const limits = { hardTimeoutMs: 1_000, idleTimeoutMs: 1_000 }
      expect(await hear(await ask('in time', 'm', saying('a').source, limits))).toEqual({ chunks: ['a'] })
      expect((await ask('in time', 'm', saying('b').source, limits)).source).toMatch(kept)
      expect(vi.getTimerCount()).toBe(0)
    })

    it.each(['hardTimeoutMs', 'idleTimeoutMs'])('that is none, %s, is refused', async (name) => {
      await areRefused(`options.${name}`, [...wrongTimeouts, 0], (value) => ask('p', 'm', () => expect.unreachable('the model ran'), { [name]: value }))
    })
  })

  describe('that was invalidated', () => {
    it.each<[string, () => Promise<unknown>]>([
      ['clearCache', () => AICacheManager.clearCache()],
      ['clear', () => cacheManager.clear('ai')],
      ['deletePattern', () => cacheManager.deletePattern('*', { prefix: 'ai:stream' })],
      ['deleteByTag', () => cacheManager.deleteByTag('user 1')],
      ['expireByTag', () => cacheManager.expireByTag('user 1')],
    ])('by %s goes on for who listens, and who asks then gets a new one', async (name, invalidate) => {
      const model = new Model().say('old')
      const first = listening(await ask(name, 'm', model.source, { tags: ['user 1'] }))
      await waitFor('a chunk', () => first.heard.chunks.length === 1)
      await invalidate()
      const next = await ask(name, 'm', saying('new').source, { tags: ['user 1'] })
      expect(await hear(next)).toEqual({ chunks: ['new'] })
      expect(await again(AICacheManager, name)).toEqual({ source: expect.stringMatching(kept), chunks: ['new'] })
      model.say('and older').end()
      expect(await first.done).toEqual({ chunks: ['old', 'and older'] })
      expect((await again(AICacheManager, name)).chunks).toEqual(['new'])
    })
  })

  it('of a cache that was shut down is refused, as its other calls are', async () => {
    const closing = open({ commandTimeoutMs: 4_800 })
    await closing.cacheManager.shutdown()
    const refused = { code: 'E_CLOSED', operation: 'AICacheManager.cacheStream' }
    await expect(closing.AICacheManager.cacheStream('p', 'm', () => expect.unreachable('the model ran'))).rejects.toMatchObject(refused)
    await expect(closing.AICacheManager.getCachedResponse('p', 'm')).rejects.toMatchObject({ code: 'E_CLOSED' })
  })

  it('that is kept is given to each of many who ask at once: its source, at his own pace, a copy of his own', async () => {
    await hear(await ask<object>('at once', 'm', () => [{ n: 1 }, { n: 2 }]))
    const paces = range(5).map(() => vi.fn(() => 0))
    const streams = await Promise.all(paces.map((pace) => ask<object>('at once', 'm', () => [], { pace })))
    for (const { source } of streams) expect(source).toMatch(kept)
    const answers = await Promise.all(streams.map((stream) => hear(stream)))
    expect(answers).toEqual(range(5).map(() => ({ chunks: [{ n: 1 }, { n: 2 }] })))
    for (const pace of paces) expect(pace).toHaveBeenCalledTimes(2)
    expect(new Set(answers.map(({ chunks }) => chunks[0])).size).toBe(5)
  })
})
