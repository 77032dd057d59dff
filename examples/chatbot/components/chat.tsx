'use client'

// The page: head, conversation, and the field for the next question.

import { useEffect, useRef } from 'react'

import type { Visitor } from '@/lib/session/visitor'

import { Account } from './account'
import { Composer } from './composer'
import { AnchorIcon, NewIcon } from './icons'
import { People, typingText } from './people'
import { StatusPill } from './status-pill'
import { TurnView } from './turn'
import { useChat } from './use-chat'
import { useRoom } from './use-room'
import { useVisitor } from './use-visitor'
import { Welcome } from './welcome'

export function Chat({ visitor: first }: { visitor: Visitor }) {
  const { turns, busy, ask, stop, clear } = useChat()
  const account = useVisitor(first)
  const { visitor, refresh } = account
  const room = useRoom(`${visitor.user ?? ''}/${visitor.name ?? ''}`)
  const main = useNewestInView(turns.length)
  const begin = () => {
    clear()
    // What was asked meanwhile is in the session.
    void refresh()
  }

  return (
    <div className="page">
      <header className="head">
        <div className="brand">
          <span className="mark"><AnchorIcon /></span>
          <span className="name">Holdfast</span>
          <span className="kind">chat</span>
        </div>
        <div className="head-right">
          <People room={room} visitor={visitor} />
          <StatusPill />
          <Account {...account} />
          <button type="button" className="new" onClick={begin} disabled={turns.length === 0} aria-label="New chat" title="New chat"><NewIcon /></button>
        </div>
      </header>
      <main ref={main} className="main" aria-live="polite">
        {turns.length === 0 && <Welcome visitor={visitor} onAsk={ask} />}
        {turns.map((turn) => <TurnView key={turn.id} turn={turn} busy={busy} onAgain={ask} />)}
      </main>
      <Composer busy={busy} typing={typingText(room)} onAsk={ask} onStop={stop} onText={room.wrote} />
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
