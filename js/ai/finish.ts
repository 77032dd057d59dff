// Whether an answer ended well: a failed, aborted or cut off one must never be cached.

/** Reasons for the end of an answer that is whole, as models and their SDKs name them. */
const WHOLE = new Set(['stop', 'tool-calls', 'tool_calls', 'tool_use', 'function_call', 'end_turn', 'stop_sequence'])

interface Part {
  type?: unknown
  error?: unknown
  finishReason?: unknown
  choices?: readonly { finish_reason?: unknown }[]
}

/** Whether a whole response says of itself that it failed or was given up. */
export function isFailed(response: unknown): boolean {
  if (response instanceof Error) return true
  if (typeof response !== 'object' || response === null) return false
  const { type, error, finishReason } = response as Part
  if (type === 'error' || (error !== undefined && error !== null && error !== false)) return true
  return ['error', 'abort', 'aborted', 'cancelled'].includes(String(reasonOf(finishReason)))
}

/**
 * Whether the chunks of a stream that ended without an error are a whole answer. Text is whole when its stream ends.
 * Parts that have a `type` (AI SDK) need a `finish` part, and chunks with `choices` (OpenAI) a `finish_reason`, that
 * say so; without one the stream was cut off.
 */
export function isWhole(chunks: readonly unknown[]): boolean {
  let reason: unknown
  let speaks = false
  for (const chunk of chunks) {
    if (typeof chunk !== 'object' || chunk === null) continue
    const { type, finishReason, choices } = chunk as Part
    if (type === 'error' || type === 'abort') return false
    if (typeof type === 'string') {
      speaks = true
      if (type === 'finish') reason = reasonOf(finishReason)
    } else if (Array.isArray(choices)) {
      speaks = true
      for (const choice of choices) reason = (choice as { finish_reason?: unknown })?.finish_reason ?? reason
    }
  }
  return !speaks || WHOLE.has(String(reason).toLowerCase())
}

/** The newest SDK gives an object: the reason in its own words, and in the model's. */
function reasonOf(reason: unknown): unknown {
  if (typeof reason === 'object' && reason !== null) return (reason as { unified?: unknown }).unified
  return reason
}
