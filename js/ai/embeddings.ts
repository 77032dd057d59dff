// Vectors of texts, kept as 32-bit floats: 4 bytes a dimension, where JSON takes about 20.

import { types } from 'node:util'

import type { Duration } from '../durations.js'
import { HoldfastError, describe, invalid } from '../errors.js'
import { FORMAT_FLOATS } from '../generated/operations.js'
import { DECODE_VALUE } from '../inbox.js'
import { forEach, type BatchOptions } from '../managers/cache-batches.js'
import type { CacheManager } from '../managers/cache.js'
import { encodeFloats } from '../serializers.js'
import { checkFields, type AIKeyOptions } from './key-options.js'
import { requestText, type AIParameters } from './request.js'
import { put, take, termsFor, unreadable } from './shelf.js'

/** A vector; it comes back as 32-bit floats. */
export type Vector = readonly number[] | Float32Array | Float64Array

/** A text with its vector. */
export interface EmbeddingEntry {
  text: string
  vector: Vector
}

/** Options of `getCachedEmbeddings`. `onError` hears of each text that failed, or whose vector can't be read. */
export interface EmbeddingOptions extends AIKeyOptions, BatchOptions {}

/** What the vectors of one call have in common. */
export interface EmbeddingModel {
  readonly model: string
  readonly parameters: AIParameters | undefined
  readonly options: EmbeddingOptions | undefined
}

const EMBEDDINGS = 'ai:embedding'
const WEEK_SECONDS = 604_800
const OPTION_FIELDS: Readonly<Record<keyof EmbeddingOptions, true>> = { headers: true, scope: true, onError: true }

function questionOf(text: unknown, path: string, { model, parameters, options }: EmbeddingModel, operation: string): string {
  if (typeof text !== 'string') throw invalid(path, `${path} is ${describe(text)}; allowed: a text`, operation)
  return requestText(text, model, parameters, options, operation)
}

/** @internal */
export async function cacheEmbedding(
  cache: CacheManager,
  text: string,
  vector: Vector,
  of: EmbeddingModel,
  ttl: Duration | undefined,
): Promise<boolean> {
  const operation = 'AICacheManager.cacheEmbedding'
  checkFields(of.options, 'options', operation)
  const key = questionOf(text, 'text', of, operation)
  const terms = termsFor(cache, EMBEDDINGS, ttl, WEEK_SECONDS, 'ttl', operation)
  const written = { data: encodeFloats(vector, 'vector', operation), format: FORMAT_FLOATS }
  const answer = put(cache, { family: EMBEDDINGS, key }, written, terms, operation)
  return await answer.catch((error: unknown) => renamed(error, 'vector', operation))
}

/** @internal */
export async function cacheEmbeddings(
  cache: CacheManager,
  entries: readonly EmbeddingEntry[],
  of: EmbeddingModel,
  ttl: Duration | undefined,
): Promise<boolean[]> {
  const operation = 'AICacheManager.cacheEmbeddings'
  checkFields(of.options, 'options', operation)
  if (!Array.isArray(entries)) {
    throw invalid('entries', `entries is ${describe(entries)}; allowed: an array of { text, vector }`, operation)
  }
  const terms = termsFor(cache, EMBEDDINGS, ttl, WEEK_SECONDS, 'ttl', operation)
  // Everything is checked before anything is sent. Holes of the list are looked at, too.
  const writes = Array.from(entries as readonly unknown[], (entry, index) => {
    const path = `entries[${index}]`
    if (typeof entry !== 'object' || entry === null) {
      throw invalid(path, `${path} is ${describe(entry)}; allowed: an object { text, vector }`, operation)
    }
    const { text, vector } = entry as EmbeddingEntry
    const key = questionOf(text, `${path}.text`, of, operation)
    return { text, path: `${path}.vector`, key, length: vector?.length, data: encodeFloats(vector, `${path}.vector`, operation) }
  })
  for (const { path, length } of writes) {
    const first = writes[0]?.length
    if (length === first) continue
    throw invalid(path, `${path} has ${length} elements; allowed: ${first}, as the vector before it`, operation)
  }
  const texts = writes.map(({ text }) => text)
  return await forEach(texts, undefined, false, operation, (index) => {
    const { key, data, path } = writes[index] as (typeof writes)[number]
    const answer = put(cache, { family: EMBEDDINGS, key }, { data, format: FORMAT_FLOATS }, terms, operation)
    return answer.catch((error: unknown) => renamed(error, path, operation))
  })
}

/** @internal */
export async function getCachedEmbedding(
  cache: CacheManager,
  text: string,
  of: EmbeddingModel,
): Promise<Float32Array | null> {
  const operation = 'AICacheManager.getCachedEmbedding'
  checkFields(of.options, 'options', operation)
  const key = questionOf(text, 'text', of, operation)
  return await vectorAt(cache, key, operation).catch(missing)
}

/** @internal */
export async function getCachedEmbeddings(
  cache: CacheManager,
  texts: readonly string[],
  of: EmbeddingModel,
): Promise<(Float32Array | null)[]> {
  const operation = 'AICacheManager.getCachedEmbeddings'
  const { options } = of
  checkFields(options, 'options', operation, OPTION_FIELDS)
  if (!Array.isArray(texts)) {
    throw invalid('texts', `texts is ${describe(texts)}; allowed: an array of texts`, operation)
  }
  const keys = Array.from(texts as readonly unknown[], (text, index) => questionOf(text, `texts[${index}]`, of, operation))
  return await forEach<Float32Array | null>(texts, options, null, operation, (index) => {
    const answer = vectorAt(cache, keys[index] as string, operation)
    return options?.onError === undefined ? answer.catch(missing) : answer
  })
}

async function vectorAt(cache: CacheManager, key: string, operation: string): Promise<Float32Array | null> {
  const vector = await take(cache, { family: EMBEDDINGS, key }, DECODE_VALUE, operation)
  if (vector === null || types.isFloat32Array(vector)) return vector
  throw unreadable('vector', operation)
}

/** What can't be read is a miss: the text is embedded anew, and its vector takes the place of what was there. */
function missing(error: unknown): null {
  if (HoldfastError.isInstance(error) && error.code === 'E_DATA') return null
  throw error
}

/** The native side knows nothing of how the caller names what is too large. */
function renamed(error: unknown, path: string, operation: string): never {
  if (!HoldfastError.isInstance(error) || error.code !== 'E_INVALID') throw error
  throw invalid(path, error.message, operation, error.cause)
}
