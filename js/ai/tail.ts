// An answer while it comes: one writer, any number of readers, each from the first chunk on and at its own
// pace. The chunks are held once, however many read. Also the same chunks again later (`replay`), and
// either of them as a web stream.
//
// Everything happens at once when it is called: a push has answered whoever waits before it returns. So
// there is no state between two calls, and nothing to lock. No user code runs inside but `onDeserted` and
// a `pace`.

import { callsOf } from '../abort.js'

/** Gives chunks. Of several next() that are outstanding, each gets the chunk after that of the one before. */
export interface Reader<Chunk> extends AsyncIterableIterator<Chunk, undefined> {
  /** Leaves. Whoever waits for a chunk is told that there is none. */
  return(): Promise<IteratorResult<Chunk, undefined>>
}

type Step<Chunk> = IteratorResult<Chunk, undefined>

interface Wait<Chunk> {
  give(step: Step<Chunk>): void
  refuse(error: unknown): void
}

/** In an object, since anything can be thrown, undefined too. */
interface Failure {
  readonly error: unknown
}

/** What all readers are: next() calls that wait in line, and one end, which comes once. */
abstract class Line<Chunk> implements Reader<Chunk> {
  private readonly waits: Wait<Chunk>[] = []
  private over = false
  /** What ended this reader while nobody waited. Thrown once, by the next next(). */
  private unseen: Failure | null = null
  private unwatch = (): void => {}

  next(): Promise<Step<Chunk>> {
    if (!this.over) {
      return new Promise((give, refuse) => {
        this.waits.push({ give, refuse })
        this.serve()
      })
    }
    const failure = this.unseen
    this.unseen = null
    return failure === null ? Promise.resolve(done()) : Promise.reject(failure.error)
  }

  async return(): Promise<Step<Chunk>> {
    this.end(null)
    this.unseen = null
    return done()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Gives those who wait what there is. */
  abstract serve(): void

  /** Called once, when this reader has ended and nobody waits on it any more. */
  protected abstract left(): void

  protected get waiting(): boolean {
    return this.waits.length > 0
  }

  protected give(chunk: Chunk): void {
    this.waits.shift()?.give({ done: false, value: chunk })
  }

  /** The first who waits gets the failure, the others the end: as after an error in a generator. */
  protected end(failure: Failure | null): void {
    if (this.over) return
    this.over = true
    this.unwatch()
    const [first, ...others] = this.waits.splice(0)
    if (failure === null) first?.give(done())
    else if (first === undefined) this.unseen = failure
    else first.refuse(failure.error)
    for (const wait of others) wait.give(done())
    this.left()
  }

  /** Ends with the signal's reason when it is aborted, also at once. Not from a constructor: it may call `left`. */
  heed(signal: AbortSignal | undefined): this {
    if (signal === undefined) return this
    const abort = (): void => this.end({ error: signal.reason as unknown })
    if (signal.aborted) {
      abort()
      return this
    }
    const calls = callsOf(signal)
    calls.add(abort)
    this.unwatch = () => calls.delete(abort)
    return this
  }
}

/** What the readers of a tail share. `end` is null while more may come. */
interface Feed<Chunk> {
  readonly chunks: Chunk[]
  end: { readonly failure: Failure | null } | null
}

/** A list of chunks that one side writes while others read it. */
export class Tail<Chunk> {
  private readonly feed: Feed<Chunk> = { chunks: [], end: null }
  private readonly followers = new Set<Follower<Chunk>>()
  private deserted = false

  /**
   * @param onDeserted Called once, when the last reader left before the end: nobody waits for the rest, and
   * its source can be aborted. The tail still takes chunks and readers after that. Must not throw.
   */
  constructor(private readonly onDeserted: () => void = () => {}) {}

  /** What was pushed so far; the list itself, so that whoever stores it needs no copy. */
  get chunks(): readonly Chunk[] {
    return this.feed.chunks
  }

  /** Who follows and has neither left nor seen the end. */
  get readers(): number {
    return this.followers.size
  }

  /** After the end it does nothing. */
  push(chunk: Chunk): void {
    if (this.feed.end !== null) return
    this.feed.chunks.push(chunk)
    this.wake()
  }

  /** No more comes. After the end it does nothing. */
  finish(): void {
    this.close(null)
  }

  /** No more comes: every reader gets what came before, then this error. After the end it does nothing. */
  fail(error: unknown): void {
    this.close({ error })
  }

  /**
   * A reader, from the first chunk on. It counts from this call until it has left or seen the end; who
   * stops reading before that owes a return(), or the abort of the signal.
   * @param options.signal Its abort ends this reader with the signal's reason, also before chunks that it
   * hasn't read. Was it aborted before, the reader has left at once, which can desert the tail.
   */
  follow(options: { readonly signal?: AbortSignal | undefined } = {}): Reader<Chunk> {
    const follower: Follower<Chunk> = new Follower(this.feed, () => this.leave(follower))
    this.followers.add(follower)
    return follower.heed(options.signal)
  }

  private close(failure: Failure | null): void {
    if (this.feed.end !== null) return
    this.feed.end = { failure }
    this.wake()
  }

  private wake(): void {
    for (const follower of this.followers) follower.serve()
  }

  private leave(follower: Follower<Chunk>): void {
    this.followers.delete(follower)
    if (this.followers.size > 0 || this.feed.end !== null || this.deserted) return
    this.deserted = true
    this.onDeserted()
  }
}

class Follower<Chunk> extends Line<Chunk> {
  private position = 0

  constructor(
    private readonly feed: Feed<Chunk>,
    protected readonly left: () => void,
  ) {
    super()
  }

  serve(): void {
    const { chunks, end } = this.feed
    while (this.waiting && this.position < chunks.length) this.give(chunks[this.position++] as Chunk)
    if (this.waiting && end !== null) this.end(end.failure)
  }
}

/** Milliseconds before each chunk, the same for all or by chunk. */
export type Pace<Chunk> = number | ((chunk: Chunk, index: number) => number)

/**
 * Chunks that are all there, once more.
 * @param pace Counted from when the chunk is asked for. Default: none, and then no timer runs at all, nor
 * for 0. A pace that throws ends the reader with its error.
 * @param signal Its abort ends the reader with the signal's reason.
 */
export function replay<Chunk>(chunks: readonly Chunk[], pace: Pace<Chunk> = 0, signal?: AbortSignal): Reader<Chunk> {
  return new Replay(chunks, pace).heed(signal)
}

/** Past it a timer fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

class Replay<Chunk> extends Line<Chunk> {
  private index = 0
  /** Holds the process up: somebody waits for the chunk. */
  private timer: NodeJS.Timeout | null = null

  constructor(
    private readonly chunks: readonly Chunk[],
    private readonly pace: Pace<Chunk>,
  ) {
    super()
  }

  serve(): void {
    while (this.waiting && this.timer === null) {
      if (this.index >= this.chunks.length) return this.end(null)
      const chunk = this.chunks[this.index] as Chunk
      let ms: number
      try {
        ms = typeof this.pace === 'number' ? this.pace : this.pace(chunk, this.index)
      } catch (error) {
        return this.end({ error })
      }
      this.index++
      if (ms > 0) this.timer = setTimeout(() => this.giveLate(chunk), Math.min(ms, LONGEST_TIMER_MS))
      else this.give(chunk)
    }
  }

  protected left(): void {
    if (this.timer !== null) clearTimeout(this.timer)
  }

  private giveLate(chunk: Chunk): void {
    this.timer = null
    this.give(chunk)
    this.serve()
  }
}

/** As a web stream. It asks for a chunk only when one is read; a cancel leaves by return(). */
export function toReadableStream<Chunk>(chunks: AsyncIterable<Chunk>): ReadableStream<Chunk> {
  const iterator = chunks[Symbol.asyncIterator]()
  return new ReadableStream<Chunk>(
    {
      async pull(controller) {
        // When it was cancelled meanwhile, what follows throws, and a stream that is closed ignores that.
        const step = await iterator.next()
        if (step.done === true) controller.close()
        else controller.enqueue(step.value)
      },
      async cancel() {
        await iterator.return?.()
      },
    },
    // Nothing ahead: what waits in a stream's queue would be held twice.
    { highWaterMark: 0 },
  )
}

function done(): { done: true; value: undefined } {
  return { done: true, value: undefined }
}
