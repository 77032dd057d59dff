'use client'

// The page: head, conversation, and the field for the next question.

import { useEffect, useRef } from 'react'

import { Composer } from './composer'
import { AnchorIcon, NewIcon } from './icons'
import { StatusPill } from './status-pill'
import { TurnView } from './turn'
import { useChat } from './use-chat'
import { Welcome } from './welcome'

export function Chat() {
  const { turns, busy, ask, stop, clear } = useChat()
  const main = useNewestInView(turns.length)
  return (
    <div className="page">
      <header className="head">
        <div className="brand">
          <span className="mark"><AnchorIcon /></span>
          <span className="name">Holdfast</span>
          <span className="kind">chat</span>
        </div>
        <div className="head-right">
          <StatusPill />
          <button type="button" className="new" onClick={clear} disabled={turns.length === 0} aria-label="New chat" title="New chat"><NewIcon /></button>
        </div>
      </header>
      <main ref={main} className="main" aria-live="polite">
        {turns.length === 0 && <Welcome onAsk={ask} />}
        {turns.map((turn) => <TurnView key={turn.id} turn={turn} busy={busy} onAgain={ask} />)}
      </main>
      <Composer busy={busy} onAsk={ask} onStop={stop} />
    </div>
  )
}

/** A new question goes to the top of the window; its answer grows below it, and nothing moves while it is read. */
function useNewestInView(count: number) {
  const main = useRef<HTMLElement>(null)

  useEffect(() => {
    if (count > 0) main.current?.lastElementChild?.scrollIntoView({ block: 'start' })
  }, [count])

  return main
}
