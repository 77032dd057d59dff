// One question and its answer.

import { memo } from 'react'

import type { Citation } from '@/lib/chat/events'

import { Badge } from './badge'
import { AgainIcon, DocumentIcon } from './icons'
import { Markdown } from './markdown'
import type { Turn } from './use-chat'

interface TurnViewProps {
  turn: Turn
  /** Asks the same question again. */
  onAgain(question: string): void
  /** Whether another answer is under way. */
  busy: boolean
}

/** Past ones stay as they are while the newest streams. */
export const TurnView = memo(function TurnView({ turn, onAgain, busy }: TurnViewProps) {
  const { state } = turn
  const over = state === 'done' || state === 'stopped' || state === 'failed'
  return (
    <article className="turn" data-testid="turn" data-state={state}>
      <p className="question">{turn.question}</p>
      <div className="answer" aria-busy={!over}>
        <header className="answer-head">
          {turn.source !== undefined && <Badge source={turn.source} model={turn.model} />}
          {turn.ms !== undefined && <span className="time" data-testid="time">{duration(turn.ms)}</span>}
          {over && (
            <button type="button" className="again" onClick={() => onAgain(turn.question)} disabled={busy}>
              <AgainIcon />
              {state === 'done' ? 'Ask again' : 'Try again'}
            </button>
          )}
        </header>
        {state === 'waiting' && <Waiting />}
        {turn.text !== '' && <Markdown text={turn.text} open={state === 'streaming'} />}
        {turn.problem !== undefined && <p className="problem" role="alert">{turn.problem}</p>}
        {state === 'stopped' && <p className="aside">Stopped. What is unfinished is not kept.</p>}
        {turn.sources.length > 0 && <Sources sources={turn.sources} />}
      </div>
    </article>
  )
})

function Waiting() {
  return (
    <p className="waiting" role="img" aria-label="The answer is being made">
      <span /><span /><span />
    </p>
  )
}

function Sources({ sources }: { sources: Citation[] }) {
  return (
    <ul className="sources" aria-label="Sources">
      {sources.map(({ file, heading }) => (
        <li key={`${file} ${heading}`} title={`${file}: ${heading}`}>
          <DocumentIcon />
          <span className="source-file">{file}</span>
          <span className="source-heading">{heading}</span>
        </li>
      ))}
    </ul>
  )
}

function duration(ms: number): string {
  if (ms < 1_000) return `${ms} ms`
  return `${(ms / 1_000).toFixed(1)} s`
}
