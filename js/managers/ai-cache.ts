// Answers of models and conversations, cached. An answer's key is the hash of what was asked: prompt,
// model and parameters as canonical JSON, so "a:b" asked of "c" never meets "a" asked of "b:c".

import { lifetimeMs, type Duration } from '../durations.js'
import { invalid, describe } from '../errors.js'
import { DECODE_ENTRY, DECODE_VALUE, type DecodedEntry } from '../inbox.js'
import { checkKey } from '../keys.js'
import { canonicalJson, toJson } from '../values.js'
import type { CacheManager } from './cache.js'

/** What decides an answer besides prompt and model: temperature, system prompt, tools. */
export type AIParameters = Readonly<Record<string, unknown>>

/** A cached answer with where it came from. */
export interface CachedAIResponse<T> {
  response: T
  model: string
  /** When it was stored, ms since 1970. */
  timestamp: number
  /** Who answered. */
  source: 'redis' | 'memory'
  /** What is left of its lifetime; null when it never expires. */
  ttlMs: number | null
}

/** The AI cache. Like the cache, it never rejects because Redis is down. */
export interface AICache {
  /**
   * Stores a model's answer. True when Redis or memory has it.
   * @param response Anything that JSON can hold.
   * @param ttl Seconds, or a text such as `'7d'`. Default: 86400.
   * @param parameters What else decides the answer; it is found again only with the same ones. Default: none.
   */
  cacheResponse(
    prompt: string,
    response: unknown,
    model: string,
    ttl?: Duration,
    parameters?: AIParameters,
  ): Promise<boolean>
  /** The stored answer, or null. */
  getCachedResponse<T = unknown>(prompt: string, model: string, parameters?: AIParameters): Promise<T | null>
  /** The stored answer with its time and who answered, or null. */
  getCachedEntry<T = unknown>(
    prompt: string,
    model: string,
    parameters?: AIParameters,
  ): Promise<CachedAIResponse<T> | null>
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
  return {
    async cacheResponse(prompt, response, model, ttl = DAY_SECONDS, parameters) {
      const operation = 'AICacheManager.cacheResponse'
      const question = questionOf(prompt, model, parameters, operation)
      const ttlMs = lifetimeMs(ttl, DAY_SECONDS * 1000, 'ttl', operation)
      // Encoded for itself first, so that an error names the caller's own argument.
      const answer = toJson(response, 'response', operation)
      const json = `{"response":${answer},"model":${JSON.stringify(model)},"timestamp":${Date.now()}}`
      return await cache.setHashed(RESPONSES, question, json, ttlMs, operation)
    },

    async getCachedResponse<T>(prompt: string, model: string, parameters?: AIParameters) {
      const operation = 'AICacheManager.getCachedResponse'
      const question = questionOf(prompt, model, parameters, operation)
      const stored = (await cache.getHashed(DECODE_VALUE, RESPONSES, question, operation)) as StoredResponse | null
      return stored === null ? null : (stored.response as T)
    },

    async getCachedEntry<T>(prompt: string, model: string, parameters?: AIParameters) {
      const operation = 'AICacheManager.getCachedEntry'
      const question = questionOf(prompt, model, parameters, operation)
      const entry = (await cache.getHashed(DECODE_ENTRY, RESPONSES, question, operation)) as DecodedEntry | null
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

function questionOf(prompt: unknown, model: unknown, parameters: unknown, operation: string): string {
  if (typeof prompt !== 'string') throw invalid('prompt', `prompt is ${describe(prompt)}; allowed: a text`, operation)
  if (typeof model !== 'string' || model === '') {
    const shown = model === '' ? 'empty' : describe(model)
    throw invalid('model', `model is ${shown}; allowed: the name of a model`, operation)
  }
  if (
    parameters !== undefined &&
    (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters))
  ) {
    throw invalid('parameters', `parameters is ${describe(parameters)}; allowed: an object`, operation)
  }
  return canonicalJson({ model, parameters: parameters ?? {}, prompt }, 'parameters', operation)
}
