// Which answers are whole: every reason of every kind of model, in a response and in a stream. A wrong one of these
// gives everybody half an answer until its time is over.
import { describe, expect, it } from 'vitest'
import { isFailed, isWhole } from '../../js/ai/finish'
import { onStore } from '../cache/stores'
import { again, hear, kept, ranAnew } from './models'

const chat = (...reasons: unknown[]) => ({ choices: reasons.map((finish_reason, index) => ({ index, message: { content: 'a' }, finish_reason })) })
const gemini = (reason?: unknown) => ({ candidates: [{ content: { parts: [{ text: 'a' }] }, finishReason: reason }] })
const message = (stop_reason: unknown) => ({ type: 'message', role: 'assistant', content: [{ type: 'text', text: 'a' }], stop_reason })
const state = (status: string) => ({ object: 'response', status, output: [], error: null, incomplete_details: null })

/** OpenAI's chat completions as they stream: each choice comes in chunks of its own, then the counts. */
const chatChunks = (...reasons: unknown[]) => [
  ...reasons.map((_, index) => ({ choices: [{ index, delta: { content: 'a' }, finish_reason: null }] })),
  ...reasons.map((finish_reason, index) => ({ choices: [{ index, delta: {}, finish_reason }] })),
  { choices: [], usage: { total_tokens: 5 } },
]
const geminiChunks = (reason?: unknown) => [gemini(), gemini(reason), { usageMetadata: { totalTokenCount: 5 } }]
const events = (stop_reason: unknown) => [
  { type: 'message_start', message: message(null) },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'a' } },
  { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: {} },
  { type: 'message_stop' },
]
const responseEvents = (name: string) => [
  { type: 'response.created', response: state('in_progress') },
  { type: 'response.output_text.delta', delta: 'a' },
  { type: `response.${name}`, response: state(name) },
]
const parts = (finishReason: unknown) => [{ type: 'stream-start' }, { type: 'text-delta', delta: 'a' }, { type: 'finish', finishReason, usage: {} }]
const ownChunks = (finishReason: unknown) => [{ text: 'a' }, { text: '', finishReason }]

const good: [string, unknown, unknown[]][] = [
  ...['stop', 'tool_calls', 'function_call'].map((reason): [string, unknown, unknown[]] => [`OpenAI chat ${reason}`, chat(reason), chatChunks(reason)]),
  ['OpenAI chat, two choices', chat('stop', 'tool_calls'), chatChunks('stop', 'tool_calls')],
  ['OpenAI responses completed', state('completed'), responseEvents('completed')],
  ...['end_turn', 'tool_use', 'stop_sequence'].map((reason): [string, unknown, unknown[]] => [`Anthropic ${reason}`, message(reason), events(reason)]),
  ['Gemini STOP', gemini('STOP'), geminiChunks('STOP')],
  ...['stop', 'tool-calls', { unified: 'stop', raw: 'end_turn' }].map((reason): [string, unknown, unknown[]] => [`AI SDK ${JSON.stringify(reason)}`, { text: 'a', finishReason: reason }, parts(reason)]),
  ['one of its own that says so', { text: 'a', finishReason: 'stop' }, ownChunks('stop')],
]

const bad: [string, unknown, unknown[]][] = [
  ...['length', 'content_filter', 'error', 'something new', null].map((reason): [string, unknown, unknown[]] => [`OpenAI chat ${reason}`, chat(reason), chatChunks(reason)]),
  ['OpenAI chat, the first of two cut off', chat('length', 'stop'), chatChunks('length', 'stop')],
  ['OpenAI chat, the last of two cut off', chat('stop', 'length'), chatChunks('stop', 'length')],
  ['OpenAI chat, one of two without an end', chat('stop', null), chatChunks('stop', null)],
  ...['failed', 'incomplete', 'cancelled'].map((status): [string, unknown, unknown[]] => [`OpenAI responses ${status}`, state(status), responseEvents(status)]),
  ['OpenAI responses in_progress', state('in_progress'), responseEvents('completed').slice(0, 2)],
  ...['max_tokens', 'model_context_window_exceeded', 'pause_turn', 'refusal', 'something new', null].map((reason): [string, unknown, unknown[]] => [`Anthropic ${reason}`, message(reason), events(reason)]),
  ['Anthropic error', { type: 'error', error: { type: 'overloaded_error' } }, [...events('end_turn').slice(0, 2), { type: 'error', error: { type: 'overloaded_error' } }]],
  ...['MAX_TOKENS', 'SAFETY', 'RECITATION', 'LANGUAGE', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'IMAGE_SAFETY', 'OTHER', 'FINISH_REASON_UNSPECIFIED'].map(
    (reason): [string, unknown, unknown[]] => [`Gemini ${reason}`, gemini(reason), geminiChunks(reason)],
  ),
  ['Gemini, a prompt that is blocked', { promptFeedback: { blockReason: 'SAFETY' } }, [{ promptFeedback: { blockReason: 'SAFETY' } }]],
  ...['length', 'content-filter', 'error', 'other', 'unknown', { unified: 'length', raw: 'max_tokens' }, { unified: 'other', raw: undefined }].map(
    (reason): [string, unknown, unknown[]] => [`AI SDK ${JSON.stringify(reason)}`, { text: 'a', finishReason: reason }, parts(reason)],
  ),
  ['AI SDK abort', new DOMException('gone', 'AbortError'), [...parts('stop').slice(0, 2), { type: 'abort' }]],
  ['one of its own that says that it is not', { text: 'a', finishReason: 'length' }, ownChunks('length')],
  ['one with an error', { text: 'a', error: 'overloaded' }, [{ text: 'a' }, { error: { message: 'overloaded' } }]],
]

describe('an answer is whole', () => {
  it.each(good)('%s', (_, response, chunks) => {
    expect(isFailed(response)).toBe(false)
    expect(isWhole(chunks)).toBe(true)
  })

  it('that says nothing of its end', () => {
    const silent = ['a text', '', 0, null, [], {}, { text: 'a' }, { choices: [{ message: { content: 'a' } }] }, { status: 'fine' }, { status: 200 }, { error: null }, { type: 'message' }]
    for (const response of silent) expect(isFailed(response), JSON.stringify(response)).toBe(false)
    for (const chunks of [[], ['a', 'b'], [{ text: 'a' }], [new Uint8Array(2)], [null, 5]]) expect(isWhole(chunks)).toBe(true)
  })
})

describe('an answer is not whole', () => {
  it.each(bad)('%s', (_, response, chunks) => {
    expect(isFailed(response)).toBe(true)
    expect(isWhole(chunks)).toBe(false)
  })

  it.each(good.filter(([name]) => !name.startsWith('one of')))('%s, when its stream is cut off before the end', (_, __, chunks) => {
    expect(isWhole(chunks.slice(0, 1))).toBe(false)
  })
})

describe('what is kept', () => {
  const { AICacheManager: ai } = onStore('memory').holdfast

  it.each([...good.map((one) => [...one, true] as const), ...bad.map((one) => [...one, false] as const)])('%s', async (name, response, chunks, whole) => {
    expect(await ai.cacheResponse(name, response, 'm')).toBe(whole)
    expect(await ai.getCachedResponse(name, 'm')).toEqual(whole ? JSON.parse(JSON.stringify(response)) : null)
    expect(await hear(await ai.cacheStream<unknown>(`stream ${name}`, 'm', () => chunks))).toEqual({ chunks })
    expect(await again(ai, `stream ${name}`)).toEqual(whole ? { source: expect.stringMatching(kept), chunks } : ranAnew)
  })

  it('is what isComplete says, but never an Error', async () => {
    const of = (isComplete: (response: unknown) => boolean) => ({ isComplete })
    const cut = { text: 'a', finishReason: 'length' }
    expect(await ai.cacheResponse('asked', cut, 'm', 60, undefined, of((response) => response === cut))).toBe(true)
    expect(await ai.getCachedResponse('asked', 'm')).toEqual(cut)
    expect(await ai.cacheResponse('asked no', { text: 'a', finishReason: 'stop' }, 'm', 60, undefined, of(() => false))).toBe(false)
    expect(await ai.cacheResponse('asked no', new Error('no'), 'm', 60, undefined, of(() => true))).toBe(false)
    expect(await ai.cacheResponse('asked no', 'a', 'm', 60, undefined, of((async () => true) as never))).toBe(false)
    expect(await ai.getCachedResponse('asked no', 'm')).toBeNull()
  })
})
