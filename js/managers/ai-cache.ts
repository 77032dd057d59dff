// Answers of models and conversations, cached. An answer's key is the hash of what was asked: prompt,
// model and parameters as canonical JSON, so "a:b" asked of "c" never meets "a" asked of "b:c".

import type { Duration } from '../durations.js'
import { describe, invalid } from '../errors.js'
import { FORMAT_JSON } from '../generated/operations.js'
import { DECODE_FOUND, DECODE_VALUE, type Found, type Source } from '../inbox.js'
import { checkKey } from '../keys.js'
import {
  cacheEmbedding,
  cacheEmbeddings,
  getCachedEmbedding,
  getCachedEmbeddings,
  type EmbeddingEntry,
  type EmbeddingOptions,
  type Vector,
} from '../ai/embeddings.js'
import { isFailed } from '../ai/finish.js'
import { checkFields, scopeText, type AIKeyOptions, type AIScope } from '../ai/key-options.js'
import { requestText, type AIParameters, type AIPrompt } from '../ai/request.js'
import { put, take, termsFor, unreadable, type AIFamily, type Spot } from '../ai/shelf.js'
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

/** Options of `cacheResponse`. */
export interface AIResponseOptions extends AIKeyOptions {
  /** Whether the response is a whole answer. Default: unless it says of itself that it is not. */
  isComplete?: ((response: unknown) => boolean) | undefined
}

/** Options of calls about a conversation. */
export interface AIConversationOptions {
  /** Whose conversation it is: nobody else finds it under its id. Default: everybody's. */
  scope?: AIScope
}

/** The AI cache. Like the cache, it never rejects because Redis is down. */
export interface AICache {
  /**
   * Stores a model's answer. True when Redis or memory has it. One that says of itself that it failed, was aborted or
   * cut off (an Error, an `error` field, a finish reason such as `length`) is not stored: false.
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
    options?: AIResponseOptions,
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
    options?: AIKeyOptions,
  ): Promise<boolean>
  /** The same for many texts, in one trip. Their vectors have the same length. Answers for each whether it was kept. */
  cacheEmbeddings(
    entries: readonly EmbeddingEntry[],
    model: string,
    ttl?: Duration,
    parameters?: AIParameters,
    options?: AIKeyOptions,
  ): Promise<boolean[]>
  /** The stored vector of a text, or null, also for one that can't be read. */
  getCachedEmbedding(
    text: string,
    model: string,
    parameters?: AIParameters,
    options?: AIKeyOptions,
  ): Promise<Float32Array | null>
  /** The stored vectors of texts in their order, null where there is none that can be read; one trip for all. */
  getCachedEmbeddings(
    texts: readonly string[],
    model: string,
    parameters?: AIParameters,
    options?: EmbeddingOptions,
  ): Promise<(Float32Array | null)[]>
  /**
   * Stores a conversation under its id. True when Redis or memory has it.
   * @param context Anything that JSON can hold.
   * @param ttl Seconds, or a text such as `'7d'`. Default: 86400.
   */
  cacheConversation(
    conversationId: string,
    context: unknown,
    ttl?: Duration,
    options?: AIConversationOptions,
  ): Promise<boolean>
  /** The stored conversation, or null. */
  getCachedConversation<T = unknown>(conversationId: string, options?: AIConversationOptions): Promise<T | null>
  /** Removes all answers, vectors and conversations: every key under `ai:`. In a namespace: all of it, at once. */
  clearCache(): Promise<void>
  /**
   * An AI cache with keys of its own, such as a tenant's, which can be cleared at once however much is in it.
   * Namespaces can hold namespaces.
   */
  namespace(name: string): AICache
}

interface StoredResponse {
  response: unknown
  model: string
  timestamp: number
}

const RESPONSES = 'ai:response'
const ALL: readonly AIFamily[] = [RESPONSES, 'ai:stream', 'ai:embedding', 'ai:conversation', 'ai:conversation-of']
const DAY_SECONDS = 86_400
const RESPONSE_FIELDS: Readonly<Record<keyof AIResponseOptions, true>> = { headers: true, scope: true, isComplete: true }
const CONVERSATION_FIELDS: Readonly<Record<keyof AIConversationOptions, true>> = { scope: true }

/** @internal The AI cache of an instance, or of a namespace of it. */
export function aiCacheOf(cache: CacheManager, isNamespace = false): AICache {
  const streams = new Streams(cache)

  /** Where the answer to a request stands, for a call that reads. */
  const answerTo = (
    prompt: AIPrompt,
    model: string,
    parameters: AIParameters | undefined,
    options: AIKeyOptions | undefined,
    operation: string,
  ): Spot => {
    checkFields(options, 'options', operation)
    return { family: RESPONSES, key: requestText(prompt, model, parameters, options, operation) }
  }

  return {
    cacheStream: (prompt, model, source, options) => streams.open(prompt, model, source, options),

    cacheEmbedding: (text, model, vector, ttl, parameters, options) =>
      cacheEmbedding(cache, text, vector, { model, parameters, options }, ttl),

    cacheEmbeddings: (entries, model, ttl, parameters, options) =>
      cacheEmbeddings(cache, entries, { model, parameters, options }, ttl),

    getCachedEmbedding: (text, model, parameters, options) =>
      getCachedEmbedding(cache, text, { model, parameters, options }),

    getCachedEmbeddings: (texts, model, parameters, options) =>
      getCachedEmbeddings(cache, texts, { model, parameters, options }),

    async cacheResponse(prompt, response, model, ttl, parameters, options) {
      const operation = 'AICacheManager.cacheResponse'
      checkFields(options, 'options', operation, RESPONSE_FIELDS)
      const isComplete = options?.isComplete
      if (isComplete !== undefined && typeof isComplete !== 'function') {
        const path = 'options.isComplete'
        throw invalid(path, `${path} is ${describe(isComplete)}; allowed: a function`, operation)
      }
      const key = requestText(prompt, model, parameters, options, operation)
      const terms = termsFor(cache, RESPONSES, ttl, DAY_SECONDS, 'ttl', operation)
      cache.reach(operation)
      const whole = isComplete === undefined ? !isFailed(response) : !(response instanceof Error) && isComplete(response) === true
      if (!whole) return false
      // Encoded for itself first, so that an error names the caller's own argument.
      const answer = toJson(response, 'response', operation)
      const data = `{"response":${answer},"model":${JSON.stringify(model)},"timestamp":${Date.now()}}`
      return await put(cache, { family: RESPONSES, key }, { data, format: FORMAT_JSON }, terms, operation)
    },

    async getCachedResponse<T>(prompt: AIPrompt, model: string, parameters?: AIParameters, options?: AIKeyOptions) {
      const operation = 'AICacheManager.getCachedResponse'
      const spot = answerTo(prompt, model, parameters, options, operation)
      const stored = await take(cache, spot, DECODE_VALUE, operation)
      return stored === null ? null : (responseIn(stored, operation).response as T)
    },

    async getCachedEntry<T>(prompt: AIPrompt, model: string, parameters?: AIParameters, options?: AIKeyOptions) {
      const operation = 'AICacheManager.getCachedEntry'
      const spot = answerTo(prompt, model, parameters, options, operation)
      const entry = (await take(cache, spot, DECODE_FOUND, operation)) as Found | null
      if (entry === null) return null
      const { source, ttlMs } = entry
      const stored = responseIn(entry.value, operation)
      return { response: stored.response as T, model: stored.model, timestamp: stored.timestamp, source, ttlMs }
    },

    async cacheConversation(conversationId, context, ttl, options) {
      const operation = 'AICacheManager.cacheConversation'
      const spot = conversationAt(conversationId, options, operation)
      const terms = termsFor(cache, spot.family, ttl, DAY_SECONDS, 'ttl', operation)
      const written = { data: toJson(context, 'context', operation), format: FORMAT_JSON }
      return await put(cache, spot, written, terms, operation)
    },

    async getCachedConversation<T>(conversationId: string, options?: AIConversationOptions) {
      const operation = 'AICacheManager.getCachedConversation'
      const spot = conversationAt(conversationId, options, operation)
      return (await take(cache, spot, DECODE_VALUE, operation)) as T | null
    },

    async clearCache() {
      if (isNamespace) await Promise.all(ALL.map((family) => cache.clear(family)))
      else await cache.clear('ai')
    },

    namespace: (name) => aiCacheOf(cache.namespace(name, { prefix: 'ai' }), true),
  }
}

/** One with an owner has no readable key: an id must not be able to spell that of another's conversation. */
function conversationAt(id: string, options: AIConversationOptions | undefined, operation: string): Spot {
  checkKey(id, 'conversationId', operation)
  checkFields(options, 'options', operation, CONVERSATION_FIELDS)
  const scope = scopeText(options, operation)
  if (scope === null) return { family: 'ai:conversation', key: id, plain: true }
  return { family: 'ai:conversation-of', key: `{"conversation":${JSON.stringify(id)},"scope":${scope}}` }
}

function responseIn(stored: unknown, operation: string): StoredResponse {
  if (typeof stored === 'object' && stored !== null && 'response' in stored) return stored as StoredResponse
  throw unreadable('answer', operation)
}
