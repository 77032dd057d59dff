'use client'

// Where a question is written.

import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from 'react'

import { SendIcon, StopIcon } from './icons'

interface ComposerProps {
  busy: boolean
  /** Who types in other windows. */
  typing: string | null
  onAsk(question: string): void
  onStop(): void
  /** Told of every change of what is written. */
  onText(text: string): void
}

/** Enter sends the question, Shift and Enter begin a new line. */
export function Composer({ busy, typing, onAsk, onStop, onText }: ComposerProps) {
  const [text, setText] = useState('')
  const field = useRef<HTMLTextAreaElement>(null)

  useEffect(() => {
    // On a touch screen a keyboard would cover the page.
    if (matchMedia('(pointer: fine)').matches) field.current?.focus({ preventScroll: true })
  }, [])

  useEffect(() => {
    const area = field.current
    if (area === null) return
    area.style.height = 'auto'
    area.style.height = `${area.scrollHeight}px`
  }, [text])

  const write = (next: string) => {
    setText(next)
    onText(next)
  }

  const send = () => {
    if (busy || text.trim() === '') return
    onAsk(text)
    write('')
  }

  const submit = (event: FormEvent) => {
    event.preventDefault()
    send()
  }

  const press = (event: KeyboardEvent) => {
    // Enter also ends the choice of a character in input methods.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    send()
  }

  return (
    <form className="composer" onSubmit={submit}>
      <div className="composer-box">
        <textarea
          ref={field}
          rows={1}
          value={text}
          maxLength={8_000}
          placeholder="Ask about Holdfast"
          aria-label="Your question"
          data-testid="question"
          onChange={(event) => write(event.target.value)}
          onKeyDown={press}
        />
        {busy ? (
          <button type="button" className="send" aria-label="Stop the answer" onClick={onStop}><StopIcon /></button>
        ) : (
          <button type="submit" className="send" aria-label="Ask" disabled={text.trim() === ''}><SendIcon /></button>
        )}
      </div>
      <p className="composer-hint" role="status" data-testid="hint">
        {typing === null ? 'Answers are cached by question and model for a day.' : <span className="typing">{typing}</span>}
      </p>
    </form>
  )
}
