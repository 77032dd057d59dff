// What the chat route sends: one JSON object a line, in this order: `start`, any number of `text`,
// `sources` when there are any, and `end`. An `error` may take the place of anything after it.

/** Where an answer came from; `near` is a copy in this process of what Redis keeps. */
export type AnswerSource = 'model' | 'redis' | 'near' | 'memory'

/** A section of a document that an answer rests on. */
export interface Citation {
  /** Path in the repository: `docs/fallback.md`. */
  file: string
  heading: string
}

export type ChatEvent =
  | { type: 'start'; source: AnswerSource; model: string }
  | { type: 'text'; text: string }
  | { type: 'sources'; sources: Citation[] }
  /** `ms`: from the arrival of the question to the last word. */
  | { type: 'end'; ms: number }
  | { type: 'error'; message: string }

export interface ChatMessage {
  role: 'user' | 'assistant'
  content: string
}
