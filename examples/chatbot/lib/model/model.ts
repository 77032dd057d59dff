// What the chat route knows of a model.

import type { ChatMessage, Citation } from '@/lib/chat/events'

/** A piece of an answer. The generator's return value is what the answer rests on. */
export type AnswerStream = AsyncGenerator<string, Citation[], void>

export interface Model {
  /** Part of the cache key, and shown with each answer. */
  readonly name: string
  /**
   * What decides an answer besides the prompt; part of the cache key. A model that doesn't read the
   * history leaves it out.
   */
  parameters(history: readonly ChatMessage[]): Record<string, unknown>
  /** Streams an answer. Throws when the model fails or breaks off; a normal end means a whole answer. */
  answer(prompt: string, history: readonly ChatMessage[], signal: AbortSignal): AnswerStream
}

/** Why a model gave no answer, in words for the page. Nothing of its key or its address is in them. */
export class ModelError extends Error {
  override readonly name = 'ModelError'
}
