'use client'

// The conversation: what was asked, what was answered so far, and the one answer that is under way.

import { useCallback, useRef, useState } from 'react'

import type { AnswerSource, ChatEvent, ChatMessage, Citation } from '@/lib/chat/events'
import { readEvents } from '@/lib/chat/read-events'
import { refusalOf } from '@/lib/chat/refusal'

export type TurnState = 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed'

export interface Turn {
  id: number
  question: string
  state: TurnState
  text: string
  source?: AnswerSource
  model?: string
  sources: Citation[]
  ms?: number
  problem?: string
}

export function useChat() {
  const [turns, setTurns] = useState<Turn[]>([])
  const latest = useRef<Turn[]>([])
  const running = useRef<AbortController | undefined>(undefined)
  const count = useRef(0)

  const show = useCallback((next: Turn[]) => {
    latest.current = next
    setTurns(next)
  }, [])

  const ask = useCallback(
    async (text: string) => {
      const question = text.trim()
      if (question === '' || running.current !== undefined) return
      const controller = new AbortController()
      running.current = controller
      const id = ++count.current
      const messages = [...latest.current.flatMap(messagesOf), { role: 'user' as const, content: question }]
      show([...latest.current, { id, question, state: 'waiting', text: '', sources: [] }])
      const change = (step: (turn: Turn) => Turn) => show(latest.current.map((turn) => (turn.id === id ? step(turn) : turn)))
      try {
        const body = await post(messages, controller.signal)
        for await (const event of readEvents(body)) change((turn) => follow(turn, event))
        // A line that says so ends an answer; a connection that merely ends has lost it.
        change((turn) => (turn.state === 'waiting' || turn.state === 'streaming' ? failed(turn, 'The connection broke in the middle of the answer.') : turn))
      } catch (error) {
        if (controller.signal.aborted) change((turn) => ({ ...turn, state: 'stopped' }))
        else change((turn) => failed(turn, error instanceof Refused ? error.message : 'The app can’t be reached.'))
      } finally {
        if (running.current === controller) running.current = undefined
      }
    },
    [show],
  )

  const stop = useCallback(() => running.current?.abort(), [])

  const clear = useCallback(() => {
    running.current?.abort()
    running.current = undefined
    show([])
  }, [show])

  const last = turns.at(-1)
  return { turns, busy: last?.state === 'waiting' || last?.state === 'streaming', ask, stop, clear }
}

class Refused extends Error {}

async function post(messages: ChatMessage[], signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const response = await fetch('/api/chat', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages }),
    signal,
  })
  if (response.ok && response.body !== null) return response.body
  throw new Refused(await refusalOf(response))
}

function follow(turn: Turn, event: ChatEvent): Turn {
  switch (event.type) {
    case 'start':
      return { ...turn, source: event.source, model: event.model }
    case 'text':
      return { ...turn, state: 'streaming', text: turn.text + event.text }
    case 'sources':
      return { ...turn, sources: event.sources }
    case 'end':
      return { ...turn, state: 'done', ms: event.ms }
    case 'error':
      return failed(turn, event.message)
  }
}

function failed(turn: Turn, problem: string): Turn {
  return { ...turn, state: 'failed', problem }
}

/** Only whole answers are part of the conversation. */
function messagesOf(turn: Turn): ChatMessage[] {
  if (turn.state !== 'done') return []
  return [
    { role: 'user', content: turn.question },
    { role: 'assistant', content: turn.text },
  ]
}
