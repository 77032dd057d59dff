// The built-in model: answers from the project's own documents, with no network and no key.

import type { ChatMessage } from '@/lib/chat/events'

import { compose } from './compose'
import type { AnswerStream, Model } from './model'
import { documentsVersion } from './retrieval'

export interface LocalModelConfig {
  /** How fast it talks. */
  wordsPerSecond: number
}

export class LocalModel implements Model {
  readonly name = 'local'
  readonly #pauseMs: number

  constructor({ wordsPerSecond }: LocalModelConfig) {
    this.#pauseMs = 1_000 / wordsPerSecond
  }

  /** Each question stands for itself; an answer holds as long as the documents stay as they are. */
  parameters(_history: readonly ChatMessage[]): Record<string, unknown> {
    return { documents: documentsVersion }
  }

  async *answer(prompt: string, _history: readonly ChatMessage[], signal: AbortSignal): AnswerStream {
    const { text, sources } = compose(prompt)
    // As long as a model takes to its first word.
    await pause(this.#pauseMs * 12, signal)
    for (const [word] of text.matchAll(/\s*\S+/g)) {
      yield word
      await pause(/[.:!?]$/.test(word) ? this.#pauseMs * 2 : this.#pauseMs, signal)
    }
    return sources
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
