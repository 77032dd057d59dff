// What the page sends, checked, and what of it is the prompt.

import type { ChatMessage } from './events'

const maxMessages = 100
const maxCharacters = 8_000

export interface Question {
  prompt: string
  /** What was said before the prompt, oldest first. */
  history: ChatMessage[]
}

/** The question in a request's body, or why there is none. */
export function readQuestion(body: unknown): Question | { problem: string } {
  const messages = typeof body === 'object' && body !== null && 'messages' in body ? body.messages : undefined
  if (!Array.isArray(messages) || messages.length === 0) return { problem: 'messages must be a list with at least one message' }
  if (messages.length > maxMessages) return { problem: `messages must hold at most ${maxMessages}` }
  const checked: ChatMessage[] = []
  for (const [index, message] of messages.entries()) {
    if (!isMessage(message)) return { problem: `messages[${index}] must be { role: 'user' | 'assistant', content: text }` }
    if (message.content.length > maxCharacters) return { problem: `messages[${index}].content must be at most ${maxCharacters} characters` }
    checked.push({ role: message.role, content: message.content })
  }
  const last = checked.pop()
  const prompt = last?.content.trim() ?? ''
  if (last?.role !== 'user' || prompt === '') return { problem: `messages[${checked.length}] must be a question of the user: it is the last` }
  return { prompt, history: before(prompt, checked) }
}

/**
 * A question that was asked before is the same question again: what was said since then is left out,
 * so it has the same history, and its answer is found in the cache.
 */
function before(prompt: string, messages: ChatMessage[]): ChatMessage[] {
  const first = messages.findIndex(({ role, content }) => role === 'user' && content.trim() === prompt)
  return first === -1 ? messages : messages.slice(0, first)
}

function isMessage(value: unknown): value is ChatMessage {
  if (typeof value !== 'object' || value === null) return false
  const { role, content } = value as Record<string, unknown>
  return (role === 'user' || role === 'assistant') && typeof content === 'string'
}
