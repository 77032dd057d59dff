'use client'

// Who the visitor is: a name for guests, a log-in, and the way out.

import { useRef, useState, type FormEvent } from 'react'

import { maxName } from '@/lib/session/visitor'

import type { VisitorActions } from './use-visitor'

export function Account({ visitor, problem, rename, logIn, logOut }: VisitorActions) {
  const panel = useRef<HTMLDivElement>(null)
  const closeWhenDone = (done: Promise<boolean>) => void done.then((ok) => ok && panel.current?.hidePopover())
  return (
    <>
      <button type="button" className="account" popoverTarget="account" data-testid="account" data-user={visitor.user ?? ''}>
        {visitor.name ?? 'Guest'}
      </button>
      <div ref={panel} id="account" className="panel" popover="auto" aria-label="You">
        <p className="panel-who">{visitor.user === null ? 'You are a guest.' : <>Logged in as <b>{visitor.user}</b>.</>}</p>
        <NameForm key={visitor.name} label="Name" action="Save" name={visitor.name ?? ''} onName={(name) => closeWhenDone(rename(name))} />
        {visitor.user === null ? (
          <NameForm label="Log in as" action="Log in" name="" onName={(user) => closeWhenDone(logIn(user))} />
        ) : (
          <button type="button" className="panel-action" onClick={() => closeWhenDone(logOut())}>Log out</button>
        )}
        {problem !== null && <p className="problem" role="alert">{problem}</p>}
        <p className="panel-note">No password: this is an example. Your name and your last questions are kept in the session; logging out ends it.</p>
      </div>
    </>
  )
}

interface NameFormProps {
  label: string
  action: string
  name: string
  onName(name: string): void
}

function NameForm({ label, action, name, onName }: NameFormProps) {
  const [text, setText] = useState(name)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onName(text)
  }
  return (
    <form className="panel-form" onSubmit={submit}>
      <label>
        <span>{label}</span>
        <input value={text} maxLength={maxName} autoComplete="off" onChange={(event) => setText(event.target.value)} />
      </label>
      <button type="submit" disabled={text.trim() === '' || text.trim() === name}>{action}</button>
    </form>
  )
}
