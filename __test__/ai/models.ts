// What the specs of streams share: where they run, a model that says what a test tells it to say, and what came of a
// stream.
import { isDeepStrictEqual } from 'node:util'
import type { CachedStream } from 'holdfast'
import { afterEach, vi } from 'vitest'
import { gate, onStore, type Instance, type Store } from '../cache/stores'
import { waitFor } from '../support/wait-for'

export type AI = Instance['AICacheManager']

/** A suite on one store, whose tests may take over timers and spy. */
export function streamsOn(store: Store) {
  const { holdfast, ...surroundings } = onStore(store)
  const { AICacheManager, cacheManager } = holdfast
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
  return { ...surroundings, AICacheManager, cacheManager, ask: AICacheManager.cacheStream }
}

type Word<Chunk> = { readonly chunk: Chunk } | { readonly end: true } | { readonly error: unknown }

/** Every run of it says the same from the start. */
export class Model<Chunk = string> {
  runs = 0
  /** Of the last run. */
  signal: AbortSignal | undefined
  private readonly words: Word<Chunk>[] = []
  private news = gate()

  /** @param deaf Whether it goes on, or stays silent, whatever its signal says. */
  constructor(private readonly deaf = false) {}

  readonly source = ({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Chunk> => {
    this.runs++
    this.signal = signal
    return this.speak(signal)
  }

  say(...chunks: Chunk[]): this {
    return this.tell(...chunks.map((chunk) => ({ chunk })))
  }

  end(): this {
    return this.tell({ end: true })
  }

  fail(error: unknown): this {
    return this.tell({ error })
  }

  private tell(...words: Word<Chunk>[]): this {
    this.words.push(...words)
    const { open } = this.news
    this.news = gate()
    open()
    return this
  }

  private async *speak(signal: AbortSignal): AsyncGenerator<Chunk> {
    const aborted = gate<void>()
    aborted.opened.catch(() => {})
    const give = (): void => aborted.fail(signal.reason)
    if (!this.deaf && signal.aborted) give()
    if (!this.deaf) signal.addEventListener('abort', give)
    for (let at = 0; ; at++) {
      while (at >= this.words.length) await Promise.race([this.news.opened, aborted.opened])
      const word = this.words[at] as Word<Chunk>
      if ('end' in word) return
      if ('error' in word) throw word.error
      yield word.chunk
    }
  }
}

/** A model that says this at once. */
export function saying<Chunk = string>(...chunks: Chunk[]): Model<Chunk> {
  return new Model<Chunk>().say(...chunks).end()
}

/** What a listener has in the end. */
export interface Heard {
  chunks: unknown[]
  error?: unknown
}

/** Reads on, from where the stream or its reader is. `heard` fills as it comes. */
export async function hear(stream: AsyncIterable<unknown>, heard: Heard = { chunks: [] }): Promise<Heard> {
  try {
    for await (const chunk of stream) heard.chunks.push(chunk)
  } catch (error) {
    heard.error = error
  }
  return heard
}

/** A listener whose chunks can be looked at while they come. */
export function listening(stream: AsyncIterable<unknown>): { heard: Heard; done: Promise<Heard> } {
  const heard: Heard = { chunks: [] }
  return { heard, done: hear(stream, heard) }
}

/** Who follows what another process leads, once he has heard so many chunks. His own model never says a word. */
export async function following(ai: AI, prompt: string, chunks = 1) {
  const never = new Model<unknown>()
  const { heard, done } = listening(await ai.cacheStream(prompt, 'm', never.source))
  await waitFor('what came', () => heard.chunks.length === chunks)
  return { heard, done, never }
}

/** A reader of whom the next chunk can be asked. */
export const readerOf = <Chunk>(stream: CachedStream<Chunk>): AsyncIterator<Chunk> => stream[Symbol.asyncIterator]()

/** What the cache answers to who asks once more; a model that is asked says that it was. */
export async function again(ai: AI, prompt: string, options: object = {}): Promise<{ source: string; chunks: unknown[] }> {
  const stream = await ai.cacheStream<unknown>(prompt, 'm', () => ['the model ran'], { isComplete: () => false, ...options })
  return { source: stream.source, ...(await hear(stream)) }
}

/** What `again` answers where nothing is kept. */
export const ranAnew = { source: 'model', chunks: ['the model ran'] }

/** The sources of what is kept. */
export const kept = /^(redis|near|memory)$/

/** Whether it is one of these answers from its first to its last chunk, or the beginning of the first and an error. */
export const wholeOrBrokenOff =
  (answer: readonly unknown[], ...others: (readonly unknown[])[]) =>
  ({ chunks, error }: Heard): boolean =>
    error === undefined
      ? [answer, ...others].some((one) => isDeepStrictEqual(one, chunks))
      : isDeepStrictEqual(answer.slice(0, chunks.length), chunks)
