// One writer and many readers: whatever the order of what they do, each reader gets every chunk once and in
// order, then the end. The law compares random schedules with a model that knows only times: when each thing
// was asked, pushed and ended.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { replay, Tail, toReadableStream, type Reader } from '../../js/ai/tail'
import { generator } from '../support/random'

/** What a next() came to. */
type Outcome = { chunk: unknown } | { error: unknown } | 'end'

const outcomeOf = (step: Promise<IteratorResult<unknown>>): Promise<Outcome> =>
  step.then(
    ({ done, value }) => (done === true ? 'end' : { chunk: value }),
    (error: unknown) => ({ error }),
  )

const next = (reader: Reader<unknown>) => outcomeOf(reader.next())
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

async function all<Chunk>(reader: AsyncIterable<Chunk>): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for await (const chunk of reader) chunks.push(chunk)
  return chunks
}

/** A tail that was written already. */
function written(...chunks: string[]): Tail<string> {
  const tail = new Tail<string>()
  for (const chunk of chunks) tail.push(chunk)
  return tail
}

const unhandled: unknown[] = []
const note = (reason: unknown) => unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', note))
afterEach(async () => {
  vi.useRealTimers()
  await turn()
  process.off('unhandledRejection', note)
  expect(unhandled.splice(0)).toEqual([])
})

interface Seen {
  reader: Reader<number>
  abort: AbortController
  followed: number
  /** When each next() was called, and what came of it. */
  asks: number[]
  outcomes: Promise<Outcome>[]
  /** When it left, by abort or return(), and what its next next() comes to. */
  left: number
  reason: Outcome
  /** When return() was called: from then on it owes nobody a reason. */
  returned: number
}

interface Model {
  outcomes: Outcome[]
  /** Until when it counts as a reader. */
  gone: number
}

/** What happened, by times; `Infinity` is never. */
interface History {
  pushed: number[]
  ended: number
  failure: Outcome
  readers: Seen[]
}

/** What each next() of a reader must come to. */
function modelOf({ pushed, ended, failure }: History, { asks, left, reason, returned }: Seen): Model {
  const outcomes: Outcome[] = []
  let gone = left
  let told = false
  const end = (how: Outcome): Outcome => (told ? 'end' : ((told = true), how))
  asks.forEach((asked, index) => {
    const given = Math.max(asked, pushed[index] ?? Infinity)
    const over = Math.max(asked, ended)
    if (given < left) return outcomes.push({ chunk: index })
    if (left < over) return outcomes.push(Math.max(asked, left) < returned ? end(reason) : 'end')
    gone = Math.min(gone, over)
    outcomes.push(end(failure))
  })
  return { outcomes, gone }
}

describe('a tail, in any order of events', () => {
  it('gives every reader every chunk once and in order, then the end, and tells when it is deserted', async () => {
    for (let seed = 0; seed < 500; seed++) {
      const { unit, below } = generator(seed)
      const deserted: number[] = []
      const counts: number[] = []
      let now = 0
      const tail = new Tail<number>(() => deserted.push(now))
      const history: History = { pushed: [], ended: Infinity, failure: 'end', readers: [] }
      const { readers } = history

      const ask = ({ reader, asks, outcomes }: Seen) => {
        asks.push(now)
        outcomes.push(outcomeOf(reader.next()))
      }
      const leave = (seen: Seen, reason: Outcome) => {
        if (seen.left === Infinity) Object.assign(seen, { left: now, reason })
        if (reason === 'end') seen.returned = Math.min(seen.returned, now)
      }
      const events: [weight: number, happen: (seen: Seen | undefined) => unknown][] = [
        [4, () => (tail.push(tail.chunks.length), history.ended === Infinity && history.pushed.push(now))],
        [1, () => (tail.finish(), (history.ended = Math.min(history.ended, now)))],
        [1, () => {
          tail.fail(seed)
          if (history.ended === Infinity) Object.assign(history, { ended: now, failure: { error: seed } })
        }],
        [3, () => {
          const abort = new AbortController()
          const reader = tail.follow({ signal: abort.signal })
          const never = { left: Infinity, reason: 'end' as const, returned: Infinity }
          readers.push({ reader, abort, followed: now, asks: [], outcomes: [], ...never })
        }],
        [9, (seen) => seen && ask(seen)],
        [2, (seen) => seen && (void seen.reader.return(), leave(seen, 'end'))],
        [2, (seen) => seen && (seen.abort.abort(now), leave(seen, { error: now }))],
      ]
      const total = events.reduce((sum, [weight]) => sum + weight, 0)
      const happen = (): void => {
        let at = below(total)
        const [, event] = events.find(([weight]) => (at -= weight) < 0) ?? expect.unreachable()
        event(readers[below(readers.length)])
      }

      const length = below(60)
      for (now = 0; now < length; now++) {
        happen()
        counts.push(tail.readers)
        if (unit() < 0.1) await turn()
      }
      tail.finish()
      history.ended = Math.min(history.ended, now)

      const models = readers.map((seen) => ({ ...modelOf(history, seen), followed: seen.followed }))
      const presentAt = (time: number) => models.filter(({ followed, gone }) => followed <= time && time < gone).length
      expect(counts, `readers of seed ${seed}`).toEqual(counts.map((_, time) => presentAt(time)))
      const desertedAt = counts.findIndex((count, time) => count === 0 && (counts[time - 1] ?? 0) > 0)
      const expectDeserted = desertedAt !== -1 && desertedAt < history.ended
      expect(deserted, `seed ${seed} deserted`).toEqual(expectDeserted ? [desertedAt] : [])
      // None is left pending: this would not return.
      const outcomes = await Promise.all(readers.map((seen) => Promise.all(seen.outcomes)))
      expect(outcomes, `outcomes of seed ${seed}`).toEqual(models.map((model) => model.outcomes))
    }
  })
})

describe('a reader', () => {
  it('comes late and still gets all from the first chunk on', async () => {
    const tail = written('a', 'b')
    const early = all(tail.follow())
    tail.push('c')
    const late = all(tail.follow())
    tail.finish()
    expect(await early).toEqual(['a', 'b', 'c'])
    expect(await late).toEqual(['a', 'b', 'c'])
    expect(await all(tail.follow())).toEqual(['a', 'b', 'c'])
  })

  it('is told of a failure after all that came before it', async () => {
    const failure = new Error('the model broke off')
    const tail = written('a')
    const reader = tail.follow()
    tail.fail(failure)
    expect(await next(reader)).toEqual({ chunk: 'a' })
    expect(await next(reader)).toEqual({ error: failure })
    expect(await next(reader)).toBe('end')
  })

  it('gives consecutive chunks to calls that are outstanding, and one failure', async () => {
    const tail = new Tail<string>()
    const reader = tail.follow()
    const outcomes = [next(reader), next(reader), next(reader), next(reader)]
    tail.push('a')
    tail.push('b')
    tail.fail('broken')
    expect(await Promise.all(outcomes)).toEqual([{ chunk: 'a' }, { chunk: 'b' }, { error: 'broken' }, 'end'])
  })

  it('keeps nobody up by being slow', async () => {
    const tail = new Tail<number>()
    const slow = tail.follow()
    const fast = tail.follow()
    for (let chunk = 0; chunk < 1000; chunk++) {
      tail.push(chunk)
      expect(await next(fast)).toEqual({ chunk })
    }
    tail.finish()
    expect(await all(slow)).toHaveLength(1000)
  })

  it('passes on a chunk of any kind as it is, held once', async () => {
    const chunks = [undefined, null, Promise.resolve(1), new Error('a chunk'), { done: true }]
    const tail = new Tail<unknown>()
    const readers = [tail.follow(), tail.follow()]
    for (const chunk of chunks) tail.push(chunk)
    tail.finish()
    for (const reader of readers) {
      for (const chunk of chunks) expect((await reader.next()).value).toBe(chunk)
    }
    expect(tail.chunks).toEqual(chunks)
  })

  it('leaves when its loop is left', async () => {
    const deserted = vi.fn()
    const tail = new Tail<string>(deserted)
    tail.push('a')
    for await (const chunk of tail.follow()) {
      expect([chunk, tail.readers]).toEqual(['a', 1])
      break
    }
    expect(tail.readers).toBe(0)
    expect(deserted).toHaveBeenCalledTimes(1)
  })

  it('is alone in its abort, which comes before chunks that it has not read', async () => {
    const tail = written('a')
    const abort = new AbortController()
    const one = tail.follow({ signal: abort.signal })
    const other = tail.follow()
    const reason = new Error('the page was closed')
    abort.abort(reason)
    expect([await next(one), await next(one)]).toEqual([{ error: reason }, 'end'])
    expect(await next(other)).toEqual({ chunk: 'a' })
    expect(tail.readers).toBe(1)
  })

  it('does not start under a signal that was aborted before', async () => {
    const deserted = vi.fn()
    const tail = new Tail<string>(deserted)
    const reader = tail.follow({ signal: AbortSignal.abort('gone') })
    expect([tail.readers, deserted.mock.calls.length]).toEqual([0, 1])
    expect(await next(reader)).toEqual({ error: 'gone' })
  })

  it('owes no answer after return(), whatever came before', async () => {
    const abort = new AbortController()
    const tail = written('a')
    const reader = tail.follow({ signal: abort.signal })
    abort.abort('gone')
    expect(await reader.return()).toEqual({ done: true, value: undefined })
    expect(await next(reader)).toBe('end')
  })

  it('shares one listener of a signal with all others', async () => {
    const warned = vi.fn()
    process.on('warning', warned)
    const abort = new AbortController()
    const added = vi.spyOn(abort.signal, 'addEventListener')
    const tail = new Tail<string>()
    const outcomes = Array.from({ length: 50 }, () => next(tail.follow({ signal: abort.signal })))
    abort.abort('gone')
    expect(await Promise.all(outcomes)).toEqual(outcomes.map(() => ({ error: 'gone' })))
    await turn()
    process.off('warning', warned)
    expect(added).toHaveBeenCalledTimes(1)
    expect(warned).not.toHaveBeenCalled()
  })
})

describe('memory', () => {
  it('of a reader that has left or ended is not held by a signal that lives on', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { signal } = new AbortController()
    const use = async (leave: (reader: Reader<string>) => Promise<unknown>) => {
      const tail = written('a')
      tail.finish()
      const reader = tail.follow({ signal })
      await leave(reader)
      return new WeakRef(reader)
    }
    const readers = [await use((reader) => reader.return()), await use(all)]
    await turn()
    collect()
    expect(readers.map((reader) => reader.deref())).toEqual([undefined, undefined])
    expect(signal.aborted).toBe(false)
  })
})

describe('a writer', () => {
  it('may go on after the end; nothing of it counts', async () => {
    const tail = written('a')
    tail.finish()
    tail.push('b')
    tail.fail(new Error('too late'))
    expect(await all(tail.follow())).toEqual(['a'])
    expect(tail.chunks).toEqual(['a'])
  })

  it('may fail while nobody reads, and it is no unhandled rejection', async () => {
    const tail = new Tail<string>()
    const idle = tail.follow()
    tail.fail(undefined)
    await turn()
    expect(await next(idle)).toEqual({ error: undefined })
    expect(await next(tail.follow())).toEqual({ error: undefined })
  })

  it('may fail from within onDeserted, as whoever aborts its source does', async () => {
    const tail: Tail<string> = new Tail(() => tail.fail('aborted'))
    const reader = tail.follow()
    const waiting = next(reader)
    await reader.return()
    expect(await waiting).toBe('end')
    expect(await next(tail.follow())).toEqual({ error: 'aborted' })
  })

  it('is not told that nobody reads after the end, nor twice', async () => {
    const deserted = vi.fn()
    const tail = new Tail<string>(deserted)
    const reader = tail.follow()
    tail.finish()
    await reader.return()
    expect(deserted).not.toHaveBeenCalled()

    const other = new Tail<string>(deserted)
    for (let round = 0; round < 2; round++) await other.follow().return()
    expect(deserted).toHaveBeenCalledTimes(1)
  })
})

describe('replay', () => {
  beforeEach(() => void vi.useFakeTimers())

  it.each([undefined, 0, -1, NaN, () => 0])('with a pace of %s runs no timer', async (pace) => {
    const timer = vi.spyOn(globalThis, 'setTimeout')
    expect(await all(replay(['a', 'b', 'c'], pace))).toEqual(['a', 'b', 'c'])
    expect(timer).not.toHaveBeenCalled()
    timer.mockRestore()
  })

  it('waits before each chunk, by a number or by what the pace says of it', async () => {
    for (const pace of [10, (chunk: string, index: number) => (chunk === 'abc'[index] ? 10 : 0)]) {
      const times: number[] = []
      const start = Date.now()
      const reading = (async () => {
        for await (const _ of replay(['a', 'b', 'c'], pace)) times.push(Date.now() - start)
      })()
      await vi.runAllTimersAsync()
      await reading
      expect(times).toEqual([10, 20, 30])
    }
  })

  it('mixes chunks that wait with chunks that do not', async () => {
    const reader = replay([0, 5, 0], (chunk) => chunk)
    expect(await next(reader)).toEqual({ chunk: 0 })
    const outcomes = [next(reader), next(reader), next(reader)]
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(5)
    expect(await Promise.all(outcomes)).toEqual([{ chunk: 5 }, { chunk: 0 }, 'end'])
  })

  it('gives calls that are outstanding their chunks in order and at the pace', async () => {
    const reader = replay(['a', 'b'], 10)
    const given: Outcome[] = []
    for (let call = 0; call < 3; call++) void next(reader).then((outcome) => given.push(outcome))
    await vi.advanceTimersByTimeAsync(10)
    expect(given).toEqual([{ chunk: 'a' }])
    await vi.advanceTimersByTimeAsync(10)
    expect(given).toEqual([{ chunk: 'a' }, { chunk: 'b' }, 'end'])
  })

  it('leaves no timer behind when it is left, and nobody waiting', async () => {
    const reader = replay(['a'], 10)
    const waiting = next(reader)
    await reader.return()
    expect(await waiting).toBe('end')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends by its signal with the reason, also when that came before', async () => {
    const abort = new AbortController()
    const reader = replay(['a'], 10, abort.signal)
    const waiting = next(reader)
    abort.abort('gone')
    expect([await waiting, await next(reader), vi.getTimerCount()]).toEqual([{ error: 'gone' }, 'end', 0])
    expect(await next(replay(['a'], 0, abort.signal))).toEqual({ error: 'gone' })
  })

  it('does not take a long pace for none', async () => {
    const waiting = vi.fn()
    const reader = replay(['a'], Infinity)
    void next(reader).then(waiting)
    await vi.advanceTimersByTimeAsync(2 ** 31 - 2)
    expect(waiting).not.toHaveBeenCalled()
    await reader.return()
  })

  it('ends with the error of a pace that throws', async () => {
    const failure = new Error('no pace')
    const reader = replay(['a'], () => {
      throw failure
    })
    expect([await next(reader), await next(reader)]).toEqual([{ error: failure }, 'end'])
  })

  it('holds the process up while somebody waits', async () => {
    vi.useRealTimers()
    const timer = vi.spyOn(globalThis, 'setTimeout')
    const reader = replay(['a'], 60_000)
    const waiting = next(reader)
    expect((timer.mock.results[0]?.value as NodeJS.Timeout).hasRef()).toBe(true)
    timer.mockRestore()
    await reader.return()
    expect(await waiting).toBe('end')
  })
})

describe('a readable stream', () => {
  it('gives all chunks and closes', async () => {
    expect(await all(toReadableStream(replay(['a', 'b'])))).toEqual(['a', 'b'])
  })

  it('asks for a chunk only when one is read', async () => {
    const asked = vi.fn()
    async function* chunks() {
      for (let chunk = 0; ; chunk++) {
        asked()
        yield chunk
      }
    }
    const reader = toReadableStream(chunks()).getReader()
    await turn()
    expect(asked).not.toHaveBeenCalled()
    expect((await reader.read()).value).toBe(0)
    await turn()
    expect(asked).toHaveBeenCalledTimes(1)
    await reader.cancel()
  })

  it('breaks with the error of its source, after what came before', async () => {
    const tail = written('a')
    const failure = new Error('the model broke off')
    tail.fail(failure)
    const reader = toReadableStream(tail.follow()).getReader()
    expect((await reader.read()).value).toBe('a')
    await expect(reader.read()).rejects.toBe(failure)
  })

  it('leaves its source when it is cancelled, also while it waits for a chunk', async () => {
    const tail = new Tail<string>()
    const reader = toReadableStream(tail.follow()).getReader()
    const waiting = reader.read()
    await turn()
    expect(tail.readers).toBe(1)
    await reader.cancel('enough')
    expect((await waiting).done).toBe(true)
    expect(tail.readers).toBe(0)
  })

  it('takes a source that has no return()', async () => {
    const endless = { next: async () => ({ done: false as const, value: 1 }) }
    const reader = toReadableStream({ [Symbol.asyncIterator]: () => endless }).getReader()
    expect((await reader.read()).value).toBe(1)
    await reader.cancel()
  })
})
