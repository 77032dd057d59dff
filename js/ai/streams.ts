// Answers that come as streams: the first one who asks runs the model, everybody who asks the same meanwhile tails
// that one stream, in this process and in others, and whoever asks later gets it again from the cache. Only an
// answer that ended well is kept.

import { checkSignal } from '../abort.js'
import type { Connection } from '../connection.js'
import { lifetimeMs, type Duration } from '../durations.js'
import { fillEntry, loadEntry, type Place, type Reader as EntryReader, type Terms } from '../entries.js'
import { HoldfastError, describe, invalid, messageOf } from '../errors.js'
import { FLAG_HASH_KEY, FLAG_UNCOUNTED } from '../generated/operations.js'
import { DECODE_FOUND, Found, Loading, type Source } from '../inbox.js'
import { LEASE_MS, type Lease } from '../leases.js'
import { encodeValue } from '../serializers.js'
import { checkTags, tagName } from '../tags.js'
import { isWhole } from './finish.js'
import { LiveLog } from './live-log.js'
import { requestText, type AIParameters, type AIPrompt } from './request.js'
import { Tail, replay, toReadableStream, type Pace, type Reader } from './tail.js'

/** What gives an answer in chunks. */
export type StreamSource<Chunk> = (context: { readonly signal: AbortSignal }) => Chunks<Chunk> | Promise<Chunks<Chunk>>
type Chunks<Chunk> = AsyncIterable<Chunk> | Iterable<Chunk> | ReadableStream<Chunk>

/** Options of `cacheStream`. */
export interface StreamOptions<Chunk = unknown> {
  /** Seconds, or a text such as `'7d'`. Default: 86400. */
  ttl?: Duration | undefined
  /** What else decides the answer. Default: none. */
  parameters?: AIParameters | undefined
  /** The headers among the parameters that decide the answer. Default: none. */
  headers?: readonly string[] | undefined
  /** Names by which answers can be invalidated together. */
  tags?: readonly string[] | undefined
  /** ms before each chunk of a cached answer, or what tells them. Default: no delay at all. */
  pace?: Pace<Chunk> | undefined
  /** Whether chunks that came without an error are a whole answer. Default: what their finish reason says. */
  isComplete?: ((chunks: readonly Chunk[]) => boolean) | undefined
  /** Whether the model goes on when nobody listens any more, so that its answer is cached. Default: false. */
  continueUnheard?: boolean | undefined
  /** Ends this caller's stream; the others go on. */
  signal?: AbortSignal | undefined
}

/** A stream of chunks, from the model or from the cache. */
export interface CachedStream<Chunk> extends AsyncIterable<Chunk> {
  /** Who gives it: the model, the stream of another caller, or a layer of the cache. */
  readonly source: 'model' | 'tail' | Source
  /** The same as a web stream. Either this or the iterator, once. */
  toReadableStream(): ReadableStream<Chunk>
}

/** A stream as it is stored. */
interface StoredStream {
  chunks: unknown[]
  model: string
  timestamp: number
}

const STREAMS = 'ai:stream'
const LIVE = 'ai-live'
const DAY_SECONDS = 86_400
const OPERATION = 'AICacheManager.cacheStream'
const READER: EntryReader = { decoder: DECODE_FOUND }
/** How often another process' stream is looked at, ms, and after how many looks without news its leader. */
const LOOK_MS = 20
const LOOKS = 10

interface Live {
  readonly tail: Tail<unknown>
  /** Whether this process runs the model. */
  readonly leads: boolean
}

export class Streams {
  private readonly live = new Map<string, Live>()

  constructor(private readonly connection: Connection) {}

  async open<Chunk>(
    prompt: AIPrompt,
    model: string,
    source: StreamSource<Chunk>,
    options: StreamOptions<Chunk> = {},
  ): Promise<CachedStream<Chunk>> {
    if (typeof source !== 'function') {
      throw invalid('source', `source is ${describe(source)}; allowed: a function`, OPERATION)
    }
    if (typeof options !== 'object' || options === null) {
      throw invalid('options', `options is ${describe(options)}; allowed: an object`, OPERATION)
    }
    const { parameters, headers, signal, pace, isComplete } = options
    checkSignal(signal, OPERATION)
    if (isComplete !== undefined && typeof isComplete !== 'function') {
      const shown = describe(isComplete)
      throw invalid('options.isComplete', `options.isComplete is ${shown}; allowed: a function`, OPERATION)
    }
    const ttlMs = lifetimeMs(options.ttl, DAY_SECONDS * 1000, 'options.ttl', OPERATION)
    const tags = checkTags(options.tags ?? [], 'options.tags', OPERATION).map(tagName)
    const question = requestText(prompt, model, parameters, headers === undefined ? undefined : { headers }, OPERATION)
    const present = this.live.get(question)
    if (present !== undefined) {
      this.connection.tally.of(0).coalesced++
      return this.follow<Chunk>(present, 'tail', signal)
    }
    const terms: Terms = { ttlMs, freshMs: -1, tags }
    const place: Place = { family: STREAMS, key: question, flags: FLAG_HASH_KEY }
    // Whoever asks while this looks joins what it finds.
    const tail = new Tail<Chunk>(() => ask.deserted())
    const live: Live = { tail: tail as Tail<unknown>, leads: false }
    const ask = new Ask<Chunk>(this.connection, place, terms, tail, model, source, options, () => {
      if (this.live.get(question) === live) this.live.delete(question)
    })
    this.live.set(question, live)
    const stream = tail.follow(signal === undefined ? {} : { signal })
    const found = await ask.begin()
    if (found !== null) {
      await stream.return()
      const chunks = (found.value as StoredStream).chunks as Chunk[]
      return streamOf(replay(chunks, pace, signal), found.source)
    }
    return streamOf(stream, ask.leads ? 'model' : 'tail')
  }

  private follow<Chunk>({ tail }: Live, source: 'tail', signal: AbortSignal | undefined): CachedStream<Chunk> {
    return streamOf((tail as Tail<Chunk>).follow(signal === undefined ? {} : { signal }), source)
  }
}

/** One question under way in this process. */
class Ask<Chunk> {
  leads = false
  private readonly controller = new AbortController()
  private log: LiveLog<Chunk> | null = null
  private over = false

  constructor(
    private readonly connection: Connection,
    private readonly place: Place,
    private readonly terms: Terms,
    private readonly tail: Tail<Chunk>,
    private readonly model: string,
    private readonly source: StreamSource<Chunk>,
    private readonly options: StreamOptions<Chunk>,
    private readonly leave: () => void,
  ) {}

  /** Finds out who answers: the cache, this process, or another one. Starts what has to be started. */
  async begin(): Promise<Found | null> {
    try {
      const answer = await this.look(0)
      if (answer instanceof Found) {
        this.replay(answer)
        return answer
      }
      this.go(answer)
      return null
    } catch (error) {
      this.end(error)
      throw error
    }
  }

  /** Nobody listens any more. */
  deserted(): void {
    if (this.over || (this.leads && this.options.continueUnheard === true)) return
    this.end(new Error('nobody listens any more'))
  }

  private go(loading: Loading | null): void {
    const { connection, place } = this
    if (loading !== null && loading.token === null && loading.waitMs > 0) {
      void this.tailOther(loading.holder)
      return
    }
    this.leads = true
    const token = loading?.token ?? null
    if (token === null) return void this.lead(null)
    this.log = new LiveLog(connection, liveKey(place.key, token.slice(0, token.indexOf('-'))))
    void this.lead(connection.leases.hold(place, token))
  }

  private async look(flags: number): Promise<Found | Loading | null> {
    const place = { ...this.place, flags: this.place.flags | flags }
    const batch = this.connection.batch(OPERATION)
    return (await loadEntry(batch, READER, place, LEASE_MS, this.terms, OPERATION)) as Found | Loading | null
  }

  /** Runs the model. */
  private async lead(lease: Lease | null): Promise<void> {
    const { connection, tail, log } = this
    const { signal } = this.controller
    connection.tally.of(0).loads++
    const began = performance.now()
    try {
      for await (const chunk of chunksOf(await this.source({ signal }))) {
        if (this.over) break
        tail.push(chunk)
        log?.append(chunk)
      }
      signal.throwIfAborted()
      const { isComplete } = this.options
      const whole = isComplete === undefined ? isWhole(tail.chunks) : isComplete(tail.chunks)
      await this.keep(whole ? lease : null, lease, performance.now() - began)
      this.end(null)
      log?.end()
    } catch (error) {
      connection.tally.of(0).loadErrors++
      if (lease !== null) connection.leases.giveBack(lease)
      log?.fail(messageOf(error))
      this.end(error)
    }
  }

  private async keep(kept: Lease | null, lease: Lease | null, loadMs: number): Promise<void> {
    const { connection, place, terms, tail, model } = this
    if (lease === null) return
    if (kept === null) return connection.leases.giveBack(lease)
    connection.leases.end(lease)
    try {
      const stored: StoredStream = { chunks: [...tail.chunks], model, timestamp: Date.now() }
      // Chunks of SDKs hold dates and bytes, which JSON would change.
      const texts = tail.chunks.every((chunk) => typeof chunk === 'string')
      const written = encodeValue(stored, texts ? 'json' : 'structured', 'source', OPERATION)
      await fillEntry(connection.batch(OPERATION), place, lease.token, written, terms, loadMs, OPERATION)
    } catch {
      // Its callers have the answer. That it was not kept shows in the statistics.
      connection.leases.giveBack(lease)
    }
  }

  /** Tails the stream of another process. */
  private async tailOther(leader: string): Promise<void> {
    const { tail, connection, place } = this
    let holder = leader
    let log = new LiveLog<Chunk>(connection, liveKey(place.key, holder))
    let quiet = 0
    try {
      while (!this.over) {
        const page = await log.look()
        for (const chunk of page.chunks) tail.push(chunk)
        if (page.failure !== null) throw brokenOff(page.failure)
        if (page.ended) return this.end(null)
        if (page.chunks.length > 0) quiet = 0
        else if (++quiet % LOOKS === 0) {
          const now = await this.lookAfterLeader()
          if (now === null) return
          if (now !== holder) {
            if (tail.chunks.length > 0) throw brokenOff('its process is gone')
            holder = now
            log = new LiveLog(connection, liveKey(place.key, holder))
          }
        }
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
    } catch (error) {
      // Redis is gone, or the leader failed: who has heard nothing yet can still be answered.
      if (tail.chunks.length === 0 && !this.over) this.go(null)
      else this.end(error)
    }
  }

  /** Who leads now; null when this needs no other process any more. */
  private async lookAfterLeader(): Promise<string | null> {
    const answer = await this.look(FLAG_UNCOUNTED)
    if (answer instanceof Found) {
      this.replay(answer)
      return null
    }
    if (answer !== null && answer.token === null && answer.waitMs > 0) return answer.holder
    if (this.tail.chunks.length > 0) {
      if (answer?.token != null) this.connection.leases.giveBack(this.connection.leases.hold(this.place, answer.token))
      throw brokenOff('its process is gone')
    }
    this.go(answer)
    return null
  }

  /** Gives what is cached, from where readers are. */
  private replay(found: Found): void {
    const { chunks } = found.value as StoredStream
    for (const chunk of chunks.slice(this.tail.chunks.length)) this.tail.push(chunk as Chunk)
    this.end(null)
  }

  private end(error: unknown): void {
    if (this.over) return
    this.over = true
    this.leave()
    if (error === null) return this.tail.finish()
    this.controller.abort(error)
    this.tail.fail(error)
  }
}

function brokenOff(why: string): HoldfastError {
  return new HoldfastError({
    code: 'E_UNAVAILABLE',
    message: `the stream that was followed broke off: ${why}`,
    retryable: true,
    operation: OPERATION,
  })
}

/** Next to the stored stream, and out of sight of what watches the cache's families. */
function liveKey(question: string, holder: string): string {
  // Loaded here: nobody pays for it who caches no stream.
  const { createHash } = require('node:crypto') as typeof import('node:crypto')
  return `${LIVE}:${createHash('sha256').update(question).digest('hex')}:${holder}`
}

function chunksOf<Chunk>(source: Chunks<Chunk>): AsyncIterable<Chunk> | Iterable<Chunk> {
  const shape = source as Partial<AsyncIterable<Chunk> & Iterable<Chunk>> | null | undefined
  const iterable = typeof shape === 'object' && shape !== null
  if (iterable && (shape[Symbol.asyncIterator] !== undefined || shape[Symbol.iterator] !== undefined)) {
    return source as AsyncIterable<Chunk>
  }
  const allowed = 'an async iterable, an iterable or a ReadableStream'
  throw invalid('source', `source answered ${describe(source)}; allowed: ${allowed}`, OPERATION)
}

function streamOf<Chunk>(chunks: Reader<Chunk>, source: CachedStream<Chunk>['source']): CachedStream<Chunk> {
  return {
    source,
    [Symbol.asyncIterator]: () => chunks,
    toReadableStream: () => toReadableStream(chunks),
  }
}
