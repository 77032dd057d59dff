// Streams of several processes: one runs the model for all, each hears all of it in order or is told that it broke
// off, and nothing that is not whole is ever taken for it.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clean, start, type Child } from '../boundary/child'
import { range } from '../boundary/inside'
import { asAnother, onOwnServer } from '../cache/stores'
import { apart } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { Model, again, following, hear, kept, listening, ranAnew, readerOf, saying, wholeOrBrokenOff } from './models'

const { server, outside, open } = onOwnServer()

/** Names of a test's own, instances as of several processes, and processes. */
function scene() {
  const keyPrefix = `streams:${randomUUID()}:`
  // Each with a connection, copies and leases of its own, as another process has.
  const [one, two, three] = [open({ keyPrefix }), open({ keyPrefix, ...asAnother }), open({ keyPrefix, commandTimeoutMs: 58_000 })]
  const push = (list: string, ...words: string[]) => outside().call('RPUSH', `${keyPrefix}${list}`, ...words)
  /** A process whose model says what stands in the list. It waits for a word in `go`. */
  const asks = (words: string, callers: number) =>
    start(new URL('children/streams.mjs', import.meta.url), { args: [server().url, keyPrefix, words, String(callers)] })
  /** The same, with that word. */
  const asksAtOnce = async (words: string, callers: number): Promise<Child> => {
    const process = asks(words, callers)
    await process.printed('ready')
    await push('go', 'now')
    return process
  }
  return {
    ours: one.AICacheManager,
    theirs: two.AICacheManager,
    third: three.AICacheManager,
    push,
    asks,
    asksAtOnce,
    /** A process that runs the model, and one that follows it: both have heard "a b". */
    leaderAndFollower: async (callers: number) => {
      const leader = await asksAtOnce('words', callers)
      await push('words', 'a', 'b')
      await leader.printed('heard a b')
      const follower = await asksAtOnce('never', callers)
      await follower.printed('heard a b')
      return { leader, follower }
    },
    runs: async () => Number(await outside().call('GET', `${keyPrefix}runs`)),
    liveLogs: async () => (await outside().call('KEYS', `${keyPrefix}ai-live:*`)) as string[],
  }
}

/** What a process said of its answers. */
async function answersOf({ ended }: Child): Promise<unknown> {
  const { stdout, ...ending } = await ended
  expect(ending).toEqual(clean)
  const [, answers = ''] = /answers (.*)/.exec(stdout) ?? []
  return JSON.parse(answers)
}

const brokenOff = { code: 'E_UNAVAILABLE', retryable: true, operation: 'AICacheManager.cacheStream' }

describe('twenty callers in two processes', () => {
  it('who ask at once have one model, and each gets all of it in order', async () => {
    const { asks, push, runs, ours } = scene()
    const processes = [asks('words', 10), asks('words', 10)]
    await Promise.all(processes.map((process) => process.printed('ready')))
    await push('go', 'now', 'now')
    await waitFor('the model to run', async () => (await runs()) > 0)
    const chunks = range(50).map((n) => `chunk${n}`)
    await push('words', ...chunks.slice(0, 20))
    await Promise.all(processes.map((process) => process.printed(`heard ${chunks.slice(0, 20).join(' ')}`)))
    await push('words', ...chunks.slice(20), 'end')
    expect(await Promise.all(processes.map(answersOf))).toEqual([{ chunks }, { chunks }])
    const sources = await Promise.all(processes.map(async ({ ended }) => /asked (.*)/.exec((await ended).stdout)?.[1]))
    expect(sources.sort()).toEqual(['0 of 10', '1 of 10'])
    expect(await runs()).toBe(1)
    expect(await again(ours, 'prompt')).toEqual({ source: expect.stringMatching(kept), chunks })
  })

  it('whose model breaks off are all told, after what came before, and nothing is kept', async () => {
    const { leaderAndFollower, push, runs, ours } = scene()
    const { leader, follower } = await leaderAndFollower(10)
    await push('words', 'fail')
    expect(await answersOf(leader)).toEqual({ chunks: ['a', 'b'], error: 'the model broke off' })
    expect(await answersOf(follower)).toEqual({ chunks: ['a', 'b'], error: 'E_UNAVAILABLE' })
    expect(await runs()).toBe(1)
    expect(await again(ours, 'prompt')).toEqual(ranAnew)
  })
})

// Side by side: most of it is waiting, for the end of a lease of 10 s.
describe.concurrent('a leader that is killed', () => {
  it('midway: whoever heard something is told, nothing is kept, and who asks later runs the model', async () => {
    const { leaderAndFollower, runs, ours, theirs } = scene()
    const { leader, follower } = await leaderAndFollower(5)
    const model = saying('our own')
    const here = listening(await ours.cacheStream('prompt', 'm', model.source))
    await waitFor('what came', () => here.heard.chunks.length === 2)
    leader.process.kill('SIGKILL')
    expect((await leader.ended).signal).toBe('SIGKILL')
    expect(await answersOf(follower)).toEqual({ chunks: ['a', 'b'], error: 'E_UNAVAILABLE' })
    expect(await here.done).toEqual({ chunks: ['a', 'b'], error: expect.objectContaining(brokenOff) })
    expect([await runs(), model.runs]).toEqual([1, 0])
    expect(await again(theirs, 'prompt')).toEqual(ranAnew)
    expect(await hear(await ours.cacheStream('prompt', 'm', model.source))).toEqual({ chunks: ['our own'] })
    expect((await again(theirs, 'prompt')).chunks).toEqual(['our own'])
  }, 60_000)

  it('before its first chunk: the others run one model in its place, and all of them get its answer', async () => {
    const { asksAtOnce, runs, ours, theirs } = scene()
    const leader = await asksAtOnce('never', 5)
    await leader.printed('running')
    const [one, other] = [saying('in its place'), saying('in its place')]
    const streams = [...range(3).map(() => ours.cacheStream('prompt', 'm', one.source)), ...range(3).map(() => theirs.cacheStream('prompt', 'm', other.source))]
    const heard = (await Promise.all(streams)).map((stream) => hear(stream))
    leader.process.kill('SIGKILL')
    expect(await Promise.all(heard)).toEqual(range(6).map(() => ({ chunks: ['in its place'] })))
    expect([await runs(), one.runs + other.runs]).toEqual([1, 1])
    expect((await again(theirs, 'prompt')).chunks).toEqual(['in its place'])
  }, 60_000)
})

describe('in another process', () => {
  it('who joins late gets everything from the start, and each chunk before the next one is there', async () => {
    const { ours, theirs } = scene()
    const model = new Model<unknown>().say({ at: new Date(5) }, new Uint8Array([0, 255]), undefined, null, 'ä🜁', 5n)
    const first = listening(await ours.cacheStream('late', 'm', model.source))
    await waitFor('what came', () => first.heard.chunks.length === 6)
    const never = new Model<unknown>()
    const late = await theirs.cacheStream('late', 'm', never.source)
    const later = await theirs.cacheStream('late', 'm', never.source)
    expect([late.source, later.source]).toEqual(['tail', 'tail'])
    const reader = readerOf(late)
    for (const value of first.heard.chunks) expect(await reader.next()).toEqual({ value, done: false })
    for (const value of ['b', 'c']) {
      const next = reader.next()
      model.say(value)
      expect(await next).toEqual({ value, done: false })
    }
    model.end()
    expect((await reader.next()).done).toBe(true)
    expect(await hear(later)).toEqual(await first.done)
    expect([model.runs, never.runs]).toEqual([1, 0])
  })

  it('however many chunks there are and however large, they come in order', async () => {
    const { ours, theirs } = scene()
    const chunks = [...range(3_000).map((n) => `${n}`), 'x'.repeat(1_000_000), ...range(3_000).map((n) => `more ${n}`)]
    const model = new Model()
    const first = hear(await ours.cacheStream('long', 'm', model.source))
    const follower = await theirs.cacheStream('long', 'm', new Model().source)
    expect(follower.source).toBe('tail')
    model.say(...chunks).end()
    expect(await hear(follower)).toEqual({ chunks })
    expect(await first).toEqual({ chunks })
  })

  it('who leaves early harms nobody, neither there nor at the leader', async () => {
    const { ours, theirs } = scene()
    const model = new Model().say('a')
    const first = hear(await ours.cacheStream('leaves', 'm', model.source))
    const follow = (signal?: AbortSignal) => theirs.cacheStream('leaves', 'm', new Model().source, { signal })
    const abort = new AbortController()
    const [leaving, aborting, staying] = await Promise.all([follow(), follow(abort.signal), follow()])
    const [reader, aborted, stayed] = [readerOf(leaving), readerOf(aborting), listening(staying)]
    for (const one of [reader, aborted]) expect(await one.next()).toEqual({ value: 'a', done: false })
    await reader.return?.()
    const reason = new Error('the page was closed')
    abort.abort(reason)
    await expect(aborted.next()).rejects.toBe(reason)
    model.say('b')
    await waitFor('b', () => stayed.heard.chunks.length === 2)
    model.say('c').end()
    expect(await Promise.all([first, stayed.done])).toEqual(range(2).map(() => ({ chunks: ['a', 'b', 'c'] })))
    expect(model.signal?.aborted).toBe(false)
    expect((await again(theirs, 'leaves')).chunks).toEqual(['a', 'b', 'c'])
  })

  it('all may leave: the leader goes on, and they may come again', async () => {
    const { ours, theirs } = scene()
    const model = new Model().say('a')
    const first = hear(await ours.cacheStream('all leave', 'm', model.source))
    const never = new Model()
    for (const _ of range(3)) {
      const reader = readerOf(await theirs.cacheStream('all leave', 'm', never.source))
      expect(await reader.next()).toEqual({ value: 'a', done: false })
      await reader.return?.()
    }
    model.say('b').end()
    expect(await first).toEqual({ chunks: ['a', 'b'] })
    expect([model.runs, never.runs]).toEqual([1, 0])
  })

  it('a bad finish reason ends the stream as it should, and nothing is kept', async () => {
    const { ours, theirs } = scene()
    const [text, finish] = [{ type: 'text-delta', text: 'a' }, { type: 'finish', finishReason: 'length' }]
    const model = new Model<unknown>().say(text)
    const first = hear(await ours.cacheStream('length', 'm', model.source))
    const follower = await following(theirs, 'length')
    model.say(finish).end()
    expect(await Promise.all([first, follower.done])).toEqual(range(2).map(() => ({ chunks: [text, finish] })))
    for (const ai of [ours, theirs]) expect(await again(ai, 'length')).toEqual(ranAnew)
  })

  it('a model that breaks off before its first chunk is told of as one that does so later, and is not run again', async () => {
    const { ours, theirs } = scene()
    const model = new Model()
    const first = hear(await ours.cacheStream('at first', 'm', model.source))
    const other = saying('another run')
    const follower = hear(await theirs.cacheStream('at first', 'm', other.source))
    const failure = new Error('the model broke off')
    model.fail(failure)
    expect((await first).error).toBe(failure)
    expect(await follower).toEqual({ chunks: [], error: expect.objectContaining(brokenOff) })
    expect(other.runs).toBe(0)
  })
})

describe('when all leave the process of the leader', () => {
  it('whoever heard something elsewhere is told, and who asks later runs the model', async () => {
    const { ours, theirs } = scene()
    const model = new Model().say('a')
    const leader = readerOf(await ours.cacheStream('left', 'm', model.source))
    const follower = await following(theirs, 'left')
    await leader.return?.()
    expect(await follower.done).toEqual({ chunks: ['a'], error: expect.objectContaining(brokenOff) })
    expect([model.signal?.aborted, follower.never.runs]).toEqual([true, 0])
    expect(await again(theirs, 'left')).toEqual(ranAnew)
  })

  it('whoever heard nothing yet runs the model', async () => {
    const { ours, theirs } = scene()
    const model = new Model()
    const leader = readerOf(await ours.cacheStream('silent', 'm', model.source))
    const other = saying('another run')
    const follower = await theirs.cacheStream('silent', 'm', other.source)
    expect(follower.source).toBe('tail')
    await leader.return?.()
    expect(await hear(follower)).toEqual({ chunks: ['another run'] })
    expect(other.runs).toBe(1)
  })

  it('nobody notices where the model was told to go on', async () => {
    const { ours, theirs } = scene()
    const model = new Model().say('a')
    const leader = readerOf(await ours.cacheStream('unheard', 'm', model.source, { continueUnheard: true }))
    const follower = await following(theirs, 'unheard')
    await leader.return?.()
    model.say('b').end()
    expect(await follower.done).toEqual({ chunks: ['a', 'b'] })
    expect((await again(theirs, 'unheard')).chunks).toEqual(['a', 'b'])
  })
})

describe('an answer that is invalidated while it comes', () => {
  it('goes on in all processes, and is not kept', async () => {
    const { ours, theirs } = scene()
    const model = new Model().say('a')
    const first = hear(await ours.cacheStream('cleared', 'm', model.source))
    const follower = await following(theirs, 'cleared')
    await theirs.clearCache()
    // Time for a look at who leads now, which comes after a while without news.
    await apart(1_000)
    model.say('b').end()
    expect(await first).toEqual({ chunks: ['a', 'b'] })
    expect(await follower.done).toEqual({ chunks: ['a', 'b'] })
    for (const ai of [ours, theirs]) expect(await again(ai, 'cleared')).toEqual(ranAnew)
  })

  it('and is asked for anew meanwhile, is another answer: nobody hears a mixture of the two', async () => {
    const { ours, theirs, third } = scene()
    const model = new Model().say('a', 'b')
    const first = hear(await ours.cacheStream('anew', 'm', model.source))
    const follower = await following(theirs, 'anew', 2)
    await third.clearCache()
    const anew = await third.cacheStream('anew', 'm', saying('x', 'y', 'z').source)
    expect([anew.source, await hear(anew)]).toEqual(['model', { chunks: ['x', 'y', 'z'] }])
    // As above.
    await apart(1_000)
    model.say('c').end()
    expect(await first).toEqual({ chunks: ['a', 'b', 'c'] })
    expect(await follower.done).toSatisfy(wholeOrBrokenOff(['a', 'b', 'c']))
    // What was asked for later is what stays.
    expect((await again(ours, 'anew')).chunks).toEqual(['x', 'y', 'z'])
  })
})

describe('the chunks between the processes', () => {
  it('are gone from Redis a minute after the last one, whatever becomes of the stream', async () => {
    const { ours, theirs, liveLogs } = scene()
    const model = new Model().say('a')
    const first = hear(await ours.cacheStream('my secret question', 'm', model.source))
    const follower = hear(await theirs.cacheStream('my secret question', 'm', new Model().source))
    const left = async () => {
      const keys = await liveLogs()
      expect(keys.join()).not.toContain('secret')
      return (await outside().pipeline(keys.map((key) => ['PTTL', key]))) as number[]
    }
    await waitFor('the first of them', async () => (await liveLogs()).length > 0)
    const during = await left()
    model.say('b').end()
    await Promise.all([first, follower])
    for (const ms of [...during, ...(await left())]) {
      expect(ms).toBeGreaterThan(0)
      expect(ms).toBeLessThanOrEqual(60_000)
    }
  })

  it('never make another answer when they are lost: it is whole, or it is broken off', async () => {
    const { ours, theirs, third, liveLogs } = scene()
    const model = new Model().say('a', 'b')
    const first = listening(await ours.cacheStream('lost', 'm', model.source))
    const early = await following(theirs, 'lost', 2)
    // As eviction does, and a minute without a chunk.
    for (const key of await liveLogs()) await outside().call('DEL', key)
    model.say('c')
    await waitFor('c', () => first.heard.chunks.length === 3)
    const late = hear(await third.cacheStream('lost', 'm', saying('of its own').source))
    await waitFor('the chunks after that', async () => (await liveLogs()).length > 0)
    model.say('d').end()
    const whole = ['a', 'b', 'c', 'd']
    expect(await first.done).toEqual({ chunks: whole })
    for (const heard of [await early.done, await late]) expect(heard).toSatisfy(wholeOrBrokenOff(whole, ['of its own']))
  })
})
