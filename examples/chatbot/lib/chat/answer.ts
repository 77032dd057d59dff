// An answer from the cache, or from the model and then into the cache.

import { AICacheManager } from '@/lib/cache'
import { ModelError, type Model } from '@/lib/model'

import type { Question } from './conversation'
import type { ChatEvent, Citation } from './events'

interface StoredAnswer {
  text: string
  sources: Citation[]
}

/** Seconds that an answer is kept. */
const lifetime = 86_400

/** The events of an answer, in their order. Never throws; what goes wrong is an `error` event. */
export async function* answer(question: Question, model: Model, signal: AbortSignal): AsyncGenerator<ChatEvent, void, void> {
  const begin = performance.now()
  const elapsed = () => Math.max(1, Math.round(performance.now() - begin))
  const { prompt, history } = question
  const parameters = model.parameters(history)

  const cached = await find(prompt, model.name, parameters)
  if (cached !== null) {
    yield { type: 'start', source: cached.source, model: cached.model }
    yield { type: 'text', text: cached.response.text }
    if (cached.response.sources.length > 0) yield { type: 'sources', sources: cached.response.sources }
    yield { type: 'end', ms: elapsed() }
    return
  }

  yield { type: 'start', source: 'model', model: model.name }
  let text = ''
  let sources: Citation[]
  try {
    const stream = model.answer(prompt, history, signal)
    for (;;) {
      const next = await stream.next()
      if (next.done) {
        sources = next.value
        break
      }
      text += next.value
      yield { type: 'text', text: next.value }
    }
  } catch (error) {
    // The page went away, or pressed stop: half an answer is nothing to keep.
    if (signal.aborted) return
    yield { type: 'error', message: error instanceof ModelError ? error.message : 'The answer could not be made.' }
    if (!(error instanceof ModelError)) console.error(error)
    return
  }
  const ms = elapsed()
  // Only here, behind the whole answer. Waited for, so that whoever asks after the end finds it.
  const stored: StoredAnswer = { text, sources }
  await AICacheManager.cacheResponse(prompt, stored, model.name, lifetime, parameters).catch(report)
  if (sources.length > 0) yield { type: 'sources', sources }
  yield { type: 'end', ms }
}

/** A cache that can't be read, say because something else wrote under its keys, costs an answer of the model and no more. */
function find(prompt: string, model: string, parameters: Record<string, unknown>) {
  return AICacheManager.getCachedEntry<StoredAnswer>(prompt, model, parameters).catch(report)
}

function report(error: unknown): null {
  console.error(error)
  return null
}
