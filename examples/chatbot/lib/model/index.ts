// The model that answers: the one that the environment names, else the built-in responder.

import { LocalModel } from './local'
import type { Model } from './model'
import { RemoteModel } from './remote'

export { ModelError } from './model'
export type { Model } from './model'

let chosen: Model | undefined

/** Read at the first question, not when the app is built. */
export function model(): Model {
  chosen ??= choose(process.env)
  return chosen
}

function choose(env: NodeJS.ProcessEnv): Model {
  const baseUrl = env.MODEL_BASE_URL?.trim()
  if (!baseUrl) return new LocalModel({ wordsPerSecond: pace(env.LOCAL_MODEL_WORDS_PER_SECOND) })
  return new RemoteModel({
    baseUrl,
    name: env.MODEL_NAME?.trim() || 'gpt-4o-mini',
    apiKey: env.MODEL_API_KEY?.trim() || undefined,
  })
}

function pace(text: string | undefined): number {
  const number = Number(text)
  return number > 0 && Number.isFinite(number) ? number : 35
}
