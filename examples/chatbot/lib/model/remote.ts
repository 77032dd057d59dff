// Any endpoint that speaks the chat completions protocol with streaming.

import type { ChatMessage } from '@/lib/chat/events'

import { ModelError, type AnswerStream, type Model } from './model'
import { eventData } from './sse'

export interface RemoteModelConfig {
  /** With the version, as in `https://api.openai.com/v1`. */
  baseUrl: string
  name: string
  apiKey: string | undefined
}

export class RemoteModel implements Model {
  readonly name: string
  readonly #url: string
  readonly #headers: Record<string, string>

  constructor({ baseUrl, name, apiKey }: RemoteModelConfig) {
    this.name = name
    this.#url = `${baseUrl.replace(/\/+$/, '')}/chat/completions`
    this.#headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
    if (apiKey !== undefined) this.#headers.authorization = `Bearer ${apiKey}`
  }

  parameters(history: readonly ChatMessage[]): Record<string, unknown> {
    // No history and no parameters are the same key as a question without either.
    return history.length > 0 ? { history } : {}
  }

  async *answer(prompt: string, history: readonly ChatMessage[], signal: AbortSignal): AnswerStream {
    const response = await this.#ask([...history, { role: 'user', content: prompt }], signal)
    let finished = false
    let said = false
    try {
      for await (const data of eventData(response)) {
        if (data === '[DONE]') {
          finished = true
          break
        }
        const { text, reason } = readChunk(data)
        if (text !== '') {
          said = true
          yield text
        }
        if (reason === undefined) continue
        if (reason !== 'stop' && reason !== 'end_turn') throw new ModelError(`The model stopped before the end of its answer (${reason}).`)
        finished = true
      }
    } catch (error) {
      if (error instanceof ModelError || signal.aborted) throw error
      // Once the endpoint has said that the answer is whole, how the connection ends doesn't matter.
      if (!finished) throw new ModelError('The model broke off in the middle of its answer.', { cause: error })
    }
    // A connection that ends quietly is no proof that the answer did.
    if (!finished) throw new ModelError('The model broke off in the middle of its answer.')
    if (!said) throw new ModelError('The model gave an empty answer.')
    return []
  }

  async #ask(messages: ChatMessage[], signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    let response: Response
    try {
      response = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify({ model: this.name, messages, stream: true }),
        signal,
        cache: 'no-store',
      })
    } catch (error) {
      if (signal.aborted) throw error
      throw new ModelError('The model can’t be reached.', { cause: error })
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel()
      throw new ModelError(`The model refused the question (HTTP ${response.status}).`)
    }
    return response.body as unknown as AsyncIterable<Uint8Array>
  }
}

/** What one event says. An endpoint reports a failure in mid-stream as an event, too. */
function readChunk(data: string): { text: string; reason: string | undefined } {
  let chunk: unknown
  try {
    chunk = JSON.parse(data)
  } catch (error) {
    throw new ModelError('The model sent something that is no answer.', { cause: error })
  }
  const { choices, error } = (chunk ?? {}) as {
    choices?: { delta?: { content?: unknown }; finish_reason?: unknown }[]
    error?: unknown
  }
  if (error) throw new ModelError('The model reported an error in the middle of its answer.')
  const choice = choices?.[0]
  const text = choice?.delta?.content
  const reason = choice?.finish_reason
  return { text: typeof text === 'string' ? text : '', reason: typeof reason === 'string' ? reason : undefined }
}
