// Vectors of texts, kept as 32-bit floats: 4 bytes a dimension, where JSON takes about 20.

import type { Duration } from '../durations.js'
import { lifetimeMs } from '../durations.js'
import { describe, invalid } from '../errors.js'
import { FORMAT_FLOATS } from '../generated/operations.js'
import { DECODE_VALUE } from '../inbox.js'
import type { CacheManager } from '../managers/cache.js'
import { encodeFloats } from '../serializers.js'
import { requestText, type AIParameters } from './request.js'

/** A vector; it comes back as 32-bit floats. */
export type Vector = readonly number[] | Float32Array | Float64Array

/** A text with its vector. */
export interface EmbeddingEntry {
  text: string
  vector: Vector
}

const EMBEDDINGS = 'ai:embedding'
const WEEK_SECONDS = 604_800

function questionOf(
  text: unknown,
  path: string,
  model: string,
  parameters: AIParameters | undefined,
  operation: string,
): string {
  if (typeof text !== 'string') throw invalid(path, `${path} is ${describe(text)}; allowed: a text`, operation)
  return requestText(text, model, parameters, undefined, operation)
}

/** @internal */
export async function cacheEmbedding(
  cache: CacheManager,
  text: string,
  model: string,
  vector: Vector,
  ttl: Duration | undefined,
  parameters: AIParameters | undefined,
): Promise<boolean> {
  const operation = 'AICacheManager.cacheEmbedding'
  const question = questionOf(text, 'text', model, parameters, operation)
  const ttlMs = lifetimeMs(ttl, WEEK_SECONDS * 1000, 'ttl', operation)
  const written = { data: encodeFloats(vector, 'vector', operation), format: FORMAT_FLOATS }
  return await cache.setHashed(EMBEDDINGS, question, written, ttlMs, [], operation)
}

/** @internal */
export async function cacheEmbeddings(
  cache: CacheManager,
  entries: readonly EmbeddingEntry[],
  model: string,
  ttl: Duration | undefined,
  parameters: AIParameters | undefined,
): Promise<boolean[]> {
  const operation = 'AICacheManager.cacheEmbeddings'
  if (!Array.isArray(entries)) {
    throw invalid('entries', `entries is ${describe(entries)}; allowed: an array of { text, vector }`, operation)
  }
  const ttlMs = lifetimeMs(ttl, WEEK_SECONDS * 1000, 'ttl', operation)
  // Everything is checked before anything is sent.
  const writes = entries.map((entry: unknown, index) => {
    const path = `entries[${index}]`
    if (typeof entry !== 'object' || entry === null) {
      throw invalid(path, `${path} is ${describe(entry)}; allowed: an object { text, vector }`, operation)
    }
    const { text, vector } = entry as EmbeddingEntry
    const question = questionOf(text, `${path}.text`, model, parameters, operation)
    return { question, data: encodeFloats(vector, `${path}.vector`, operation) }
  })
  return await Promise.all(
    writes.map(({ question, data }) =>
      cache.setHashed(EMBEDDINGS, question, { data, format: FORMAT_FLOATS }, ttlMs, [], operation),
    ),
  )
}

/** @internal */
export async function getCachedEmbeddings(
  cache: CacheManager,
  texts: readonly string[],
  model: string,
  parameters: AIParameters | undefined,
  operation: string,
): Promise<(Float32Array | null)[]> {
  if (!Array.isArray(texts)) {
    throw invalid('texts', `texts is ${describe(texts)}; allowed: an array of texts`, operation)
  }
  const questions = texts.map((text: unknown, index) =>
    questionOf(text, `texts[${index}]`, model, parameters, operation),
  )
  const answers = questions.map((question) =>
    cache.getHashed({ decoder: DECODE_VALUE }, EMBEDDINGS, question, operation),
  )
  return (await Promise.all(answers)) as (Float32Array | null)[]
}
