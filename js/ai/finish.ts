// Whether an answer ended well: a failed, aborted or cut off one must never be cached. docs/ai-answers.md has the
// table of the reasons, with where they come from.

/**
 * Reasons for the end of an answer that is whole, in the spelling of `nameOf`. Every other reason, the unknown ones
 * too, is one of an answer that was cut off or failed.
 */
const WHOLE: ReadonlySet<unknown> = new Set([
  'stop',
  'tool_calls',
  'tool_use',
  'function_call',
  'end_turn',
  'stop_sequence',
  'completed',
])

/** What OpenAI calls the states of a response that is not whole. An app's own states say nothing. */
const NOT_WHOLE: ReadonlySet<unknown> = new Set(['failed', 'incomplete', 'cancelled', 'in_progress', 'queued'])

/** The fields in which models and their SDKs say why an answer ended. */
const REASONS = ['finishReason', 'finish_reason', 'stop_reason', 'stopReason'] as const

type Fields = Readonly<Record<string, unknown>>

/** Whether a whole response says of itself that it is not: that it failed, was given up or was cut off. */
export function isFailed(response: unknown): boolean {
  if (response instanceof Error) return true
  if (!isFields(response)) return false
  const { type, status } = response
  if (type === 'error' || hasError(response) || NOT_WHOLE.has(nameOf(status))) return true
  const said = new Map<string, unknown>()
  readReasons(response, said)
  // One that has no such field says nothing.
  return ![...said.values()].every((reason) => reason === undefined || WHOLE.has(reason))
}

/**
 * Whether the chunks of a stream that ended without an error are a whole answer. Text is whole when its stream ends,
 * and so are objects that never say why they end. Where the chunks are of a kind that does, each answer among them
 * needs a good reason: without one the stream was cut off.
 */
export function isWhole(chunks: readonly unknown[]): boolean {
  /** The last reason of each answer in the stream; none yet: null or undefined. */
  const said = new Map<string, unknown>()
  for (const chunk of chunks) {
    if (!isFields(chunk)) continue
    const type = chunk['type']
    if (typeof type !== 'string') {
      if (hasError(chunk)) return false
      readReasons(chunk, said)
      continue
    }
    if (type === 'error' || type === 'abort') return false
    const reason = partReason(type, chunk)
    if (reason !== undefined || !said.has('part')) said.set('part', reason ?? null)
  }
  return [...said.values()].every((reason) => WHOLE.has(reason))
}

/** The reason that a part with a `type` gives; undefined: it is not the one that does. */
function partReason(type: string, part: Fields): unknown {
  // AI SDK.
  if (type === 'finish') return nameOf(part['finishReason'])
  // Anthropic.
  const { delta } = part
  if (type === 'message_delta' && isFields(delta)) return nameOf(delta['stop_reason']) ?? undefined
  // OpenAI's responses.
  const [, state] = /^response\.(completed|failed|incomplete|cancelled)$/.exec(type) ?? []
  return state
}

/** Notes the reasons of what has no `type`, by answer. */
function readReasons(chunk: Fields, said: Map<string, unknown>): void {
  const own = reasonOf(chunk)
  if (own !== undefined) note(said, 'answer', own)
  for (const list of ['choices', 'candidates']) {
    const answers = chunk[list]
    if (!Array.isArray(answers)) continue
    answers.forEach((answer: unknown, at) => {
      if (isFields(answer)) note(said, `${list} ${String(answer['index'] ?? at)}`, reasonOf(answer))
    })
  }
  // Gemini, of a prompt that it does not answer at all.
  const feedback = chunk['promptFeedback']
  if (isFields(feedback) && nameOf(feedback['blockReason']) !== null) said.set('prompt', 'blocked')
}

/** What comes after the reason, such as a count of tokens, doesn't take it back. */
function note(said: Map<string, unknown>, answer: string, reason: unknown): void {
  if (typeof reason === 'string' || !said.has(answer)) said.set(answer, reason)
}

/** Null: there is a field for it, and nothing in it; undefined: there is none. */
function reasonOf(holder: Fields): string | null | undefined {
  const field = REASONS.find((name) => holder[name] !== undefined)
  return field === undefined ? undefined : nameOf(holder[field])
}

/** A reason in one spelling; null where there is none. The newest AI SDK gives it in its own words and the model's. */
function nameOf(reason: unknown): string | null {
  const named = isFields(reason) ? reason['unified'] : reason
  if (named === undefined || named === null) return null
  return String(named).toLowerCase().replaceAll('-', '_')
}

function hasError({ error }: Fields): boolean {
  return error !== undefined && error !== null && error !== false
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}
