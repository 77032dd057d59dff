// Answers of models and conversations, cached. An answer's key is the hash of what was asked: prompt,
// model and parameters as canonical JSON, so "a:b" asked of "c" never meets "a" asked of "b:c".

import { lifetimeMs, type Duration } from '../durations.js'
import { FORMAT_JSON } from '../generated/operations.js'
import { DECODE_FOUND, DECODE_VALUE, type Found, type Source } from '../inbox.js'
import { checkKey } from '../keys.js'
import {
  cacheEmbedding,
  cacheEmbeddings,
  getCachedEmbeddings,
  type EmbeddingEntry,
  type Vector,
} from '../ai/embeddings.js'
import { isFailed } from '../ai/finish.js'
import { requestText, type AIKeyOptions, type AIParameters, type AIPrompt } from '../ai/request.js'
import { Streams, type CachedStream, type StreamOptions, type StreamSource } from '../ai/streams.js'
import { toJson } from '../values.js'
import type { CacheManager } from './cache.js'

/** A cached answer with where it came from. */
export interface CachedAIResponse<T> {
  response: T
  model: string
  /** When it was stored, ms since 1970. */
  timestamp: number
  /** Who answered. */
  source: Source
  /** What is left of its lifetime; null when it never expires. */
  ttlMs: number | null
}

/** The AI cache. Like the cache, it never rejects because Redis is down. */
export interface AICache {
  /**
   * Stores a model's answer. True when Redis or memory has it. One that says of itself that it failed or was aborted
   * (an Error, an `error` field, a finish reason `error` or `abort`) is not stored: false.
   * @param prompt A text, a list of messages, or an object with them.
   * @param response Anything that JSON can hold.
   * @param ttl Seconds, or a text such as `'7d'`. Default: 86400.
   * @param parameters What else decides the answer; it is found again only with the same ones. Default: none.
   */
  cacheResponse(
    prompt: AIPrompt,
    response: unknown,
    model: string,
    ttl?: Duration,
    parameters?: AIParameters,
    options?: AIKeyOptions,
  ): Promise<boolean>
  /** The stored answer, or null. */
  getCachedResponse<T = unknown>(
    prompt: AIPrompt,
    model: string,
    parameters?: AIParameters,
    options?: AIKeyOptions,
  ): Promise<T | null>
  /** The stored answer with its time and who answered, or null. */
  getCachedEntry<T = unknown>(
    prompt: AIPrompt,
    model: string,
    parameters?: AIParameters,
    options?: AIKeyOptions,
  ): Promise<CachedAIResponse<T> | null>
  /**
   * An answer as a stream of chunks. The first who asks runs `source`; whoever asks the same meanwhile, in any
   * process, gets the same chunks as they come; whoever asks later gets them from the cache. Kept only when it ended
   * well. What the source throws reaches everybody who listens, after the chunks before it.
   */
  cacheStream<Chunk>(
    prompt: AIPrompt,
    model: string,
    source: StreamSource<Chunk>,
    options?: StreamOptions<Chunk>,
  ): Promise<CachedStream<Chunk>>
  /** Stores the vector of a text, as 32-bit floats. Default lifetime: 604800 s, a week. */
  cacheEmbedding(
    text: string,
    model: string,
    vector: Vector,
    ttl?: Duration,
    parameters?: AIParameters,
  ): Promise<boolean>
  /** The same for many texts, in one trip. Answers for each whether it was kept. */
  cacheEmbeddings(
    entries: readonly EmbeddingEntry[],
    model: string,
    ttl?: Duration,
    parameters?: AIParameters,
  ): Promise<boolean[]>
  /** The stored vector of a text, or null. */
  getCachedEmbedding(text: string, model: string, parameters?: AIParameters): Promise<Float32Array | null>
  /** The stored vectors of texts in their order, null where there is none; one trip for all. */
  getCachedEmbeddings(
    texts: readonly string[],
    model: string,
    parameters?: AIParameters,
  ): Promise<(Float32Array | null)[]>
  /**
   * Stores a conversation under its id. True when Redis or memory has it.
   * @param context Anything that JSON can hold.
   * @param ttl Seconds, or a text such as `'7d'`. Default: 86400.
   */
  cacheConversation(conversationId: string, context: unknown, ttl?: Duration): Promise<boolean>
  /** The stored conversation, or null. */
  getCachedConversation<T = unknown>(conversationId: string): Promise<T | null>
  /** Removes all answers and conversations: every key under `ai:`. */
  clearCache(): Promise<void>
}

interface StoredResponse {
  response: unknown
  model: string
  timestamp: number
}

const RESPONSES = 'ai:response'
const CONVERSATIONS = 'ai:conversation'
const DAY_SECONDS = 86_400

/** @internal The AI cache of an instance. */
export function aiCacheOf(cache: CacheManager): AICache {
  const streams = new Streams(cache.connection)
  return {
    cacheStream: (prompt, model, source, options) => streams.open(prompt, model, source, options),

    cacheEmbedding: (text, model, vector, ttl, parameters) =>
      cacheEmbedding(cache, text, model, vector, ttl, parameters),

    cacheEmbeddings: (entries, model, ttl, parameters) => cacheEmbeddings(cache, entries, model, ttl, parameters),

    async getCachedEmbedding(text, model, parameters) {
      const operation = 'AICacheManager.getCachedEmbedding'
      const [vector] = await getCachedEmbeddings(cache, [text], model, parameters, operation)
      return vector ?? null
    },

    getCachedEmbeddings: (texts, model, parameters) =>
      getCachedEmbeddings(cache, texts, model, parameters, 'AICacheManager.getCachedEmbeddings'),

    async cacheResponse(prompt, response, model, ttl = DAY_SECONDS, parameters, options) {
      const operation = 'AICacheManager.cacheResponse'
      const question = requestText(prompt, model, parameters, options, operation)
      const ttlMs = lifetimeMs(ttl, DAY_SECONDS * 1000, 'ttl', operation)
      if (isFailed(response)) return false
      // Encoded for itself first, so that an error names the caller's own argument.
      const answer = toJson(response, 'response', operation)
      const json = `{"response":${answer},"model":${JSON.stringify(model)},"timestamp":${Date.now()}}`
      const written = { data: json, format: FORMAT_JSON }
      return await cache.setHashed(RESPONSES, question, written, ttlMs, [], operation)
    },

    async getCachedResponse<T>(prompt: AIPrompt, model: string, parameters?: AIParameters, options?: AIKeyOptions) {
      const operation = 'AICacheManager.getCachedResponse'
      const question = requestText(prompt, model, parameters, options, operation)
      const stored = (await cache.getHashed({ decoder: DECODE_VALUE }, RESPONSES, question, operation)) as StoredResponse | null
      return stored === null ? null : (stored.response as T)
    },

    async getCachedEntry<T>(prompt: AIPrompt, model: string, parameters?: AIParameters, options?: AIKeyOptions) {
      const operation = 'AICacheManager.getCachedEntry'
      const question = requestText(prompt, model, parameters, options, operation)
      const entry = (await cache.getHashed({ decoder: DECODE_FOUND }, RESPONSES, question, operation)) as Found | null
      if (entry === null) return null
      const stored = entry.value as StoredResponse
      return {
        response: stored.response as T,
        model: stored.model,
        timestamp: stored.timestamp,
        source: entry.source,
        ttlMs: entry.ttlMs,
      }
    },

    async cacheConversation(conversationId, context, ttl = DAY_SECONDS) {
      const operation = 'AICacheManager.cacheConversation'
      checkKey(conversationId, 'conversationId', operation)
      const ttlMs = lifetimeMs(ttl, DAY_SECONDS * 1000, 'ttl', operation)
      return await cache.setNamed(
        CONVERSATIONS,
        conversationId,
        toJson(context, 'context', operation),
        ttlMs,
        operation,
      )
    },

    async getCachedConversation<T>(conversationId: string) {
      const operation = 'AICacheManager.getCachedConversation'
      checkKey(conversationId, 'conversationId', operation)
      return (await cache.getNamed(CONVERSATIONS, conversationId, operation)) as T | null
    },

    async clearCache() {
      await cache.clear('ai')
    },
  }
}
