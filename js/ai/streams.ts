// Answers that come as streams: the first one who asks runs the model, everybody who asks the same meanwhile tails
// that one stream, in this process and in others, and whoever asks later gets it again from the cache. Only an
// answer that ended well is kept.

import { flightKey, getEntry, ownerOf } from '../entries.js'
import { describe, invalid } from '../errors.js'
import type { Flight } from '../flights.js'
import { DECODE_FOUND, Found, type Source } from '../inbox.js'
import type { CacheManager } from '../managers/cache.js'
import { Ask, isStored, type StoredStream } from './ask.js'
import { requestText, type AIPrompt } from './request.js'
import { placeOf, termsFor } from './shelf.js'
import type { StreamSource } from './source.js'
import { howToStream, type StreamOptions } from './stream-options.js'
import { Tail, replay, toReadableStream, type Reader } from './tail.js'

export type { StreamSource } from './source.js'
export type { StreamOptions } from './stream-options.js'

/** A stream of chunks, from the model or from the cache. */
export interface CachedStream<Chunk> extends AsyncIterable<Chunk> {
  /** Who gives it: the model, the stream of another caller, or a layer of the cache. */
  readonly source: 'model' | 'tail' | Source
  /** The same as a web stream. Either this or the iterator, once. */
  toReadableStream(): ReadableStream<Chunk>
}

/** A question under way that others may join. */
interface Live {
  readonly ask: Ask<unknown>
  readonly tail: Tail<unknown>
  /** Whether the answer turned out to be kept. */
  readonly kept: Promise<boolean>
}

const STREAMS = 'ai:stream'
const DAY_SECONDS = 86_400
const OPERATION = 'AICacheManager.cacheStream'

/** Of all caches in this global: one namespace can have several of them. */
const live = new WeakMap<Flight, Live>()

export class Streams {
  constructor(private readonly cache: CacheManager) {}

  async open<Chunk>(
    prompt: AIPrompt,
    model: string,
    source: StreamSource<Chunk>,
    options: StreamOptions<Chunk> = {},
  ): Promise<CachedStream<Chunk>> {
    if (typeof source !== 'function') {
      throw invalid('source', `source is ${describe(source)}; allowed: a function`, OPERATION)
    }
    const how = howToStream(options, OPERATION)
    const { parameters, ttl, signal } = options
    const key = requestText(prompt, model, parameters, options, OPERATION, 'options.parameters')
    const { connection } = this.cache
    const place = placeOf(this.cache, { family: STREAMS, key }, OPERATION)
    const terms = termsFor(this.cache, STREAMS, ttl, DAY_SECONDS, 'options.ttl', OPERATION, how.tags)
    const name = flightKey(place.family, key)
    for (;;) {
      // A flight is detached by whatever invalidates its key: who asks then gets nothing that began before.
      const flight = connection.flights.find(name, place.flags)
      const present = flight === null ? undefined : live.get(flight)
      if (present === undefined || present.ask.over) break
      // Joined at once, so that the model goes on when the first one leaves.
      const reader = (present.tail as Tail<Chunk>).follow({ signal })
      if (!(await present.kept)) {
        connection.tally.of(ownerOf(place)).coalesced++
        return streamOf(reader, 'tail')
      }
      await reader.return()
      // Each gets a copy of what is kept, at its own pace.
      const found = await getEntry(connection.batch(OPERATION), { decoder: DECODE_FOUND }, place, OPERATION)
      if (found instanceof Found && isStored(found.value)) return replayed(found, options)
    }
    const tail = new Tail<Chunk>(() => ask.deserted())
    const ask: Ask<Chunk> = new Ask(connection, { ...how, terms, place, model, source }, tail)
    const reader = tail.follow({ signal })
    const beginning = ask.begin()
    this.share(name, place.flags, { ask, tail, kept: beginning.then((found) => found !== null) } as Live)
    const found = await beginning
    if (found === null) return streamOf(reader, ask.leads || ask.over ? 'model' : 'tail')
    await reader.return()
    return replayed(found, options)
  }

  private share(name: string, flags: number, present: Live): void {
    const { ask } = present
    const flight: Flight = {
      promise: ask.ended,
      stale: null,
      looked: Promise.resolve(),
      until: Infinity,
      get aliveAt() {
        return ask.aliveAt
      },
    }
    live.set(flight, present)
    this.cache.connection.flights.share(name, flags, flight)
    // Whoever joined hears of it, if anybody did.
    present.kept.catch(() => {})
  }
}

function replayed<Chunk>(found: Found, { pace, signal }: StreamOptions<Chunk>): CachedStream<Chunk> {
  const { chunks } = found.value as StoredStream
  return streamOf(replay(chunks as Chunk[], pace, signal), found.source)
}

function streamOf<Chunk>(chunks: Reader<Chunk>, source: CachedStream<Chunk>['source']): CachedStream<Chunk> {
  return {
    source,
    [Symbol.asyncIterator]: () => chunks,
    toReadableStream: () => toReadableStream(chunks),
  }
}
