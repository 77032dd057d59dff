// The options of a stream: what they mean, and what is no option.

import { checkSignal } from '../abort.js'
import { isSet } from '../cache-options.js'
import type { Duration } from '../durations.js'
import { describe, invalid, shown } from '../errors.js'
import { checkTags } from '../tags.js'
import { checkFields, type AIScope } from './key-options.js'
import type { AIParameters } from './request.js'
import { LONGEST_TIMER_MS, type Pace } from './tail.js'

/** Options of `cacheStream`. */
export interface StreamOptions<Chunk = unknown> {
  /** Seconds, or a text such as `'7d'`. Default: 86400. */
  ttl?: Duration | undefined
  /** What else decides the answer. Default: none. */
  parameters?: AIParameters | undefined
  /** The headers among the parameters that decide the answer. Default: none. */
  headers?: readonly string[] | undefined
  /** Whose answer it is. Default: everybody's. */
  scope?: AIScope
  /** Names by which answers can be invalidated together. */
  tags?: readonly string[] | undefined
  /** ms before each chunk of a cached answer, or what tells them. Default: no delay at all. */
  pace?: Pace<Chunk> | undefined
  /** Whether chunks that came without an error are a whole answer. Default: what their finish reason says. */
  isComplete?: ((chunks: readonly Chunk[]) => boolean) | undefined
  /** Whether the model goes on when nobody listens any more, so that its answer is cached. Default: false. */
  continueUnheard?: boolean | undefined
  /** After so many ms without a chunk the model is told to stop, and its listeners get `E_TIMEOUT`. Default: never. */
  idleTimeoutMs?: number | undefined
  /** The same after so many ms in all. Default: never. */
  hardTimeoutMs?: number | undefined
  /** Ends this caller's stream; the others go on. */
  signal?: AbortSignal | undefined
}

const FIELDS: Readonly<Record<keyof StreamOptions, true>> = {
  ttl: true,
  parameters: true,
  headers: true,
  scope: true,
  tags: true,
  pace: true,
  isComplete: true,
  continueUnheard: true,
  idleTimeoutMs: true,
  hardTimeoutMs: true,
  signal: true,
}

/** What the options say of how the model is run and its answer kept. */
export interface HowToStream<Chunk> {
  readonly tags: readonly string[]
  readonly isComplete: ((chunks: readonly Chunk[]) => boolean) | undefined
  readonly continueUnheard: boolean
  readonly idleTimeoutMs: number | null
  readonly hardTimeoutMs: number | null
}

/** Throws `E_INVALID` for what is wrong, and `E_TIMEOUT` for a signal that was aborted before. */
export function howToStream<Chunk>(options: StreamOptions<Chunk>, operation: string): HowToStream<Chunk> {
  checkFields(options, 'options', operation, FIELDS)
  const { signal, pace, isComplete, continueUnheard, idleTimeoutMs, hardTimeoutMs } = options
  checkSignal(signal, operation)
  if (isComplete !== undefined && typeof isComplete !== 'function') {
    throw invalid('options.isComplete', `options.isComplete is ${describe(isComplete)}; allowed: a function`, operation)
  }
  const isPace = typeof pace === 'number' ? pace >= 0 && pace <= LONGEST_TIMER_MS : typeof pace === 'function'
  if (pace !== undefined && !isPace) {
    const allowed = `0 to ${LONGEST_TIMER_MS} ms, or a function that tells them`
    throw invalid('options.pace', `options.pace is ${shown(pace)}; allowed: ${allowed}`, operation)
  }
  return {
    tags: options.tags === undefined ? [] : checkTags(options.tags, 'options.tags', operation),
    isComplete,
    continueUnheard: isSet(continueUnheard, false, 'options.continueUnheard', operation),
    idleTimeoutMs: timeoutOf(idleTimeoutMs, 'options.idleTimeoutMs', operation),
    hardTimeoutMs: timeoutOf(hardTimeoutMs, 'options.hardTimeoutMs', operation),
  }
}

function timeoutOf(given: unknown, path: string, operation: string): number | null {
  if (given === undefined) return null
  if (typeof given === 'number' && given >= 1 && given <= LONGEST_TIMER_MS) return given
  throw invalid(path, `${path} is ${shown(given)}; allowed: 1 to ${LONGEST_TIMER_MS} ms`, operation)
}
