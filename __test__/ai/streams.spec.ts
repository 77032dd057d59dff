// Streams of one process, on both stores: one model for all who ask, all of it for each of them, only a whole answer
// is kept, and it comes again as it was.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { range, turn } from '../boundary/inside'
import { areRefused, reasonOf, wrongDurations, wrongSwitches } from '../cache/loads'
import { asAnother, gate, onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { Model, again, hear, kept, listening, ranAnew, readerOf, saying, streamsOn } from './models'

describe.each(stores)('a stream on %s', (store) => {
  const { open, AICacheManager, cacheManager, ask } = streamsOn(store)

  describe('while it comes', () => {
    it('is run once for twenty who ask at once, and each gets all of it in order', async () => {
      const model = new Model()
      const streams = await Promise.all(range(20).map(() => ask('twenty', 'm', model.source)))
      expect(streams.map(({ source }) => source).sort()).toEqual(['model', ...range(19).map(() => 'tail')])
      const heard = streams.map((stream) => hear(stream))
      const chunks = range(100).map(String)
      for (const chunk of chunks) {
        model.say(chunk)
        await turn()
      }
      model.end()
      expect(await Promise.all(heard)).toEqual(range(20).map(() => ({ chunks })))
      expect(model.runs).toBe(1)
      expect(await again(AICacheManager, 'twenty')).toEqual({ source: expect.stringMatching(kept), chunks })
    })

    it('gives who joins late everything from the start', async () => {
      const model = new Model().say('a', 'b')
      const first = listening(await ask('late', 'm', model.source))
      await waitFor('two chunks', () => first.heard.chunks.length === 2)
      const late = await ask('late', 'm', model.source)
      expect(late.source).toBe('tail')
      const reader = readerOf(late)
      expect([await reader.next(), await reader.next()]).toEqual(['a', 'b'].map((value) => ({ value, done: false })))
      model.say('c').end()
      expect(await reader.next()).toEqual({ value: 'c', done: false })
      expect((await reader.next()).done).toBe(true)
      expect(await first.done).toEqual({ chunks: ['a', 'b', 'c'] })
      expect(model.runs).toBe(1)
    })

    it('gives each chunk before the next one is there', async () => {
      const model = new Model()
      const reader = readerOf(await ask('at once', 'm', model.source))
      for (const chunk of ['a', 'b', 'c']) {
        const next = reader.next()
        model.say(chunk)
        expect(await next).toEqual({ value: chunk, done: false })
      }
      await reader.return?.()
    })

    it('is harmed by nobody who leaves, in whatever way', async () => {
      const model = new Model().say('a')
      const abort = new AbortController()
      const listen = (signal?: AbortSignal) => ask('leaving', 'm', model.source, { signal })
      // The one for whom the model runs is among them.
      const [breaking, returning, aborting, cancelling, idle, staying] = await Promise.all([listen(), listen(), listen(abort.signal), listen(), listen(), listen()])
      for await (const chunk of breaking) {
        expect(chunk).toBe('a')
        break
      }
      await readerOf(returning).return?.()
      const aborted = hear(aborting)
      abort.abort('the page was closed')
      expect((await aborted).error).toBe('the page was closed')
      await cancelling.toReadableStream().cancel()
      expect(model.signal?.aborted).toBe(false)
      const heard = hear(staying)
      model.say('b').end()
      expect(await heard).toEqual({ chunks: ['a', 'b'] })
      // Who never read until now has it all.
      expect(await hear(idle)).toEqual({ chunks: ['a', 'b'] })
      expect((await again(AICacheManager, 'leaving')).chunks).toEqual(['a', 'b'])
    })

    it('is aborted when all have left: nothing is kept, and who asks later runs the model anew', async () => {
      const model = new Model().say('a')
      const readers = (await Promise.all(range(2).map(() => ask('deserted', 'm', model.source)))).map(readerOf)
      for (const reader of readers) expect(await reader.next()).toEqual({ value: 'a', done: false })
      await readers[0]?.return?.()
      expect(model.signal?.aborted).toBe(false)
      await readers[1]?.return?.()
      expect(model.signal?.aborted).toBe(true)
      expect(await again(AICacheManager, 'deserted')).toEqual(ranAnew)
      const whole = saying('new')
      expect(await hear(await ask('deserted', 'm', whole.source))).toEqual({ chunks: ['new'] })
      expect((await again(AICacheManager, 'deserted')).chunks).toEqual(['new'])
    })

    it('that all have left holds up nobody who asks later, though its model does not heed the signal', async () => {
      const deaf = new Model(true).say('a')
      const reader = readerOf(await ask('deaf', 'm', deaf.source))
      await reader.next()
      await reader.return?.()
      const stream = await ask('deaf', 'm', saying('new').source)
      expect([stream.source, await hear(stream)]).toEqual(['model', { chunks: ['new'] }])
      deaf.say('b').end()
      await turn()
      expect((await again(AICacheManager, 'deaf')).chunks).toEqual(['new'])
    })

    it('goes on unheard where it was told to, and is kept', async () => {
      const model = new Model().say('a')
      const reader = readerOf(await ask('unheard', 'm', model.source, { continueUnheard: true }))
      await reader.next()
      await reader.return?.()
      expect(model.signal?.aborted).toBe(false)
      const late = await ask('unheard', 'm', model.source)
      expect(late.source).toBe('tail')
      model.say('b').end()
      expect(await hear(late)).toEqual({ chunks: ['a', 'b'] })
      expect(model.runs).toBe(1)
      expect((await again(AICacheManager, 'unheard')).chunks).toEqual(['a', 'b'])
    })

    it('ends for a caller by his own signal with its reason, also before chunks that he has not read', async () => {
      const model = new Model().say('a', 'b')
      const abort = new AbortController()
      const reader = readerOf(await ask('signal', 'm', model.source, { signal: abort.signal }))
      const other = listening(await ask('signal', 'm', model.source))
      await waitFor('two chunks', () => other.heard.chunks.length === 2)
      expect(await reader.next()).toEqual({ value: 'a', done: false })
      const reason = new Error('the page was closed')
      abort.abort(reason)
      expect(await reasonOf(reader.next())).toBe(reason)
      expect((await reader.next()).done).toBe(true)
      model.end()
      expect(await other.done).toEqual({ chunks: ['a', 'b'] })
    })

    it('is not begun under a signal that was aborted before', async () => {
      const model = saying('a')
      const asking = ask('aborted before', 'm', model.source, { signal: AbortSignal.abort('gone') })
      await expect(asking).rejects.toMatchObject({ code: 'E_TIMEOUT', applied: 'no', cause: 'gone' })
      expect(model.runs).toBe(0)
      expect(await again(AICacheManager, 'aborted before')).toEqual(ranAnew)
    })

    it('that its only caller gives up before it began runs no model, and holds up nobody', async () => {
      const [model, other] = [new Model(), saying('new')]
      const abort = new AbortController()
      const asking = ask('given up', 'm', model.source, { signal: abort.signal })
      abort.abort('gone')
      const next = ask('given up', 'm', other.source)
      expect(await hear(await asking)).toEqual({ chunks: [], error: 'gone' })
      expect(await hear(await next)).toEqual({ chunks: ['new'] })
      expect([model.runs, other.runs]).toEqual([0, 1])
    })

    it('that its first caller gives up before it began goes on for who joined him', async () => {
      const model = saying('a', 'b')
      const abort = new AbortController()
      const asking = ask('joined', 'm', model.source, { signal: abort.signal })
      const joined = ask('joined', 'm', model.source)
      abort.abort('gone')
      expect(await hear(await asking)).toEqual({ chunks: [], error: 'gone' })
      expect(await hear(await joined)).toEqual({ chunks: ['a', 'b'] })
      expect(model.runs).toBe(1)
    })

    it('is run once for two instances of one configuration, as of two copies of the package', async () => {
      const copy = open()
      const [model, other] = [new Model().say('a'), saying('another run')]
      const first = hear(await ask('copies', 'm', model.source))
      const second = await copy.AICacheManager.cacheStream('copies', 'm', other.source)
      expect(second.source).toBe('tail')
      const heard = hear(second)
      model.say('b').end()
      expect(await Promise.all([first, heard])).toEqual(range(2).map(() => ({ chunks: ['a', 'b'] })))
      expect([model.runs, other.runs]).toEqual([1, 0])
    })

    it('goes on for who listens when its instance is closed', async () => {
      const closing = open(asAnother)
      const model = new Model().say('a')
      const first = listening(await closing.AICacheManager.cacheStream('closed', 'm', model.source))
      await waitFor('a chunk', () => first.heard.chunks.length === 1)
      await closing.close()
      model.say('b').end()
      expect(await first.done).toEqual({ chunks: ['a', 'b'] })
    })

    it('is counted: one load, and who shared it', async () => {
      cacheManager.resetStats()
      const model = new Model()
      const streams = await Promise.all(range(5).map(() => ask('counted', 'm', model.source)))
      model.say('a').end()
      await Promise.all(streams.map((stream) => hear(stream)))
      await again(AICacheManager, 'counted')
      expect(cacheManager.getStats()).toMatchObject({ loads: 1, coalesced: 4, loadErrors: 0, misses: 1, hits: 1, sets: 1 })
      const space = AICacheManager.namespace('counted')
      const own = new Model()
      const inSpace = await Promise.all(range(2).map(() => space.cacheStream('counted', 'm', own.source)))
      own.say('a').end()
      await Promise.all(inSpace.map((stream) => hear(stream)))
      expect(cacheManager.getStats().namespaces['ai:counted']).toMatchObject({ loads: 1, coalesced: 1, misses: 1 })
    })
  })

  describe('from', () => {
    const shapes: [string, () => Iterable<string> | AsyncIterable<string> | ReadableStream<string> | Promise<Iterable<string>>][] = [
      ['an array', () => ['a', 'b']],
      ['a generator', () => (function* () { yield* ['a', 'b'] })()],
      ['an async generator', () => (async function* () { yield* ['a', 'b'] })()],
      ['a ReadableStream', () => new Blob(['ab']).stream().pipeThrough(new TextDecoderStream()).pipeThrough(splitting())],
      ['a promise', async () => ['a', 'b']],
    ]
    it.each(shapes)('%s is the same', async (name, source) => {
      expect(await hear(await ask(name, 'm', source))).toEqual({ chunks: ['a', 'b'] })
      expect(await again(AICacheManager, name)).toEqual({ source: expect.stringMatching(kept), chunks: ['a', 'b'] })
    })

    it('a ReadableStream that all have left is cancelled', async () => {
      const cancelled = gate<unknown>()
      const endless = () => new ReadableStream({ pull: (controller) => turn().then(() => controller.enqueue('a')), cancel: cancelled.open })
      const reader = readerOf(await ask('endless', 'm', endless))
      await reader.next()
      await reader.return?.()
      await cancelled.opened
      expect(await again(AICacheManager, 'endless')).toEqual(ranAnew)
    })

    it.each<[string, unknown]>([['a text', 'abc'], ['nothing', undefined], ['null', null], ['a number', 5], ['an object', {}]])(
      '%s is no stream, which whoever listens is told',
      async (name, answer) => {
        const { chunks, error } = await hear(await ask(name, 'm', () => answer as never))
        expect(chunks).toEqual([])
        expect(error).toMatchObject({ code: 'E_INVALID', path: 'source', operation: 'AICacheManager.cacheStream' })
        expect(await again(AICacheManager, name)).toEqual(ranAnew)
      },
    )
  })

  describe('that breaks off', () => {
    const failure = new Error('the model broke off')
    const throwing = () => {
      throw failure
    }
    const sources: [string, string[], (model: Model) => Model['source']][] = [
      ['before its first chunk', [], (model) => model.fail(failure).source],
      ['midway', ['a', 'b'], (model) => model.say('a', 'b').fail(failure).source],
      ['because the source throws', [], () => throwing],
      ['because the source rejects', [], () => () => Promise.reject(failure) as never],
    ]
    it.each(sources)('%s tells all who listen its error, after what came before, and is not kept', async (name, before, make) => {
      cacheManager.resetStats()
      const source = make(new Model())
      const streams = await Promise.all(range(3).map(() => ask(name, 'm', source)))
      for (const heard of await Promise.all(streams.map((stream) => hear(stream)))) {
        expect(heard.chunks).toEqual(before)
        expect(heard.error).toBe(failure)
      }
      expect(cacheManager.getStats()).toMatchObject({ loads: 1, loadErrors: 1, sets: 0 })
      expect(await again(AICacheManager, name)).toEqual(ranAnew)
    })

    it('tells so who reads it as a web stream', async () => {
      const reader = (await ask('web', 'm', new Model().say('a').fail(failure).source)).toReadableStream().getReader()
      expect((await reader.read()).value).toBe('a')
      expect(await reasonOf(reader.read())).toBe(failure)
    })

    it('leaves what was kept before where it is', async () => {
      await hear(await ask('kept before', 'm', saying('a').source))
      expect(await hear(await ask('kept before', 'm', throwing))).toEqual({ chunks: ['a'] })
    })
  })

  it.each<[string, unknown[]]>([
    ['holds functions', [{ text: 'a', again: () => 'a' }, { text: 'b' }]],
    ['is larger than maxValueBytes', range(20).map((n) => `${n}`.repeat(100))],
  ])('that %s is heard by all, and not kept', async (name, chunks) => {
    const ai = open({ maxValueBytes: 1_000 }).AICacheManager
    const streams = await Promise.all(range(3).map(() => ai.cacheStream(name, 'm', () => chunks)))
    expect(await Promise.all(streams.map((stream) => hear(stream)))).toEqual(range(3).map(() => ({ chunks })))
    expect(await again(ai, name)).toEqual(ranAnew)
  })

  describe('whose answer is invalidated meanwhile', () => {
    it.each<[string, () => Promise<unknown>]>([
      ['clearCache', () => AICacheManager.clearCache()],
      ['clear', () => cacheManager.clear('ai')],
      ['deleteByTag', () => cacheManager.deleteByTag('user 1')],
      ['expireByTag', () => cacheManager.expireByTag('user 1')],
    ])('by %s goes on for all, and is not kept', async (name, invalidate) => {
      const model = new Model().say('a')
      const streams = await Promise.all(range(2).map(() => ask(name, 'm', model.source, { tags: ['user 1'] })))
      const readers = streams.map((stream) => listening(stream))
      await waitFor('a chunk', () => readers.every(({ heard }) => heard.chunks.length === 1))
      await invalidate()
      model.say('b').end()
      for (const { done } of readers) expect(await done).toEqual({ chunks: ['a', 'b'] })
      expect(await again(AICacheManager, name)).toEqual(ranAnew)
    })
  })
})

describe('memory', () => {
  const { holdfast } = onStore('memory')
  const { cacheStream } = holdfast.AICacheManager

  it('holds each chunk once, however many listen, and none when the stream is over', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const signal = new AbortController().signal
    const use = async (prompt: string, end: (model: Model<object>) => unknown): Promise<WeakRef<object>[]> => {
      const model = new Model<object>()
      const streams = await Promise.all(range(20).map(() => cacheStream(prompt, 'm', model.source, { signal })))
      const chunk = { text: 'a' }
      model.say(chunk)
      const readers = streams.map(readerOf)
      for (const reader of readers) expect((await reader.next()).value).toBe(chunk)
      end(model)
      for (const reader of readers) await reader.next().catch(() => {})
      return [new WeakRef(chunk), ...streams.map((stream) => new WeakRef(stream))]
    }
    const held = [await use('ended', (model) => model.end()), await use('failed', (model) => model.fail('broken'))].flat()
    await waitFor('all of it to be collected', () => (collect(), held.every((one) => one.deref() === undefined)))
    expect(signal.aborted).toBe(false)
  })
})

describe('what is wrong', () => {
  const { holdfast } = onStore('memory')
  const { cacheStream } = holdfast.AICacheManager
  const never = () => expect.unreachable('the model ran')
  const withOption = (name: string) => (value: unknown) => cacheStream('p', 'm', never, { [name]: value } as never)

  it.each<[string, readonly unknown[], (value: never) => unknown]>([
    ['prompt', [undefined, null, 5, () => 'p', true], (prompt) => cacheStream(prompt, 'm', never)],
    ['prompt[1].content', [5n, new Map(), Promise.resolve('p')], (content) => cacheStream(['a', { content }], 'm', never)],
    ['model', [undefined, null, '', 5, {}], (model) => cacheStream('p', model, never)],
    ['source', [undefined, null, 'a', ['a'], {}], (source) => cacheStream('p', 'm', source)],
    ['options', [null, 5, 'a', true], (options) => cacheStream('p', 'm', never, options)],
    ['options.ttl', wrongDurations, withOption('ttl')],
    ['options.parameters', [null, 5, 'a', []], withOption('parameters')],
    ['options.parameters.seed', [5n, new Set()], (seed) => cacheStream('p', 'm', never, { parameters: { seed } })],
    ['options.headers', ['x-tenant', 5, {}], withOption('headers')],
    ['options.headers[1]', ['', 5, null], (name) => cacheStream('p', 'm', never, { headers: ['a', name] })],
    ['options.tags', ['tag', 5, {}], withOption('tags')],
    ['options.tags[1]', ['', 5, null], (tag) => cacheStream('p', 'm', never, { tags: ['a', tag] })],
    ['options.signal', [null, 5, {}, 'now'], withOption('signal')],
    ['options.isComplete', [null, true, 'yes', {}], withOption('isComplete')],
    ['options.pace', [null, 'fast', true, {}], withOption('pace')],
    ['options.continueUnheard', wrongSwitches, withOption('continueUnheard')],
  ])('in %s is E_INVALID with that path, and no model runs', areRefused)
})

function splitting(): TransformStream<string, string> {
  return new TransformStream({ transform: (text, controller) => [...text].forEach((letter) => controller.enqueue(letter)) })
}
