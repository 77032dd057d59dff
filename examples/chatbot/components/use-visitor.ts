'use client'

// Who looks at the page: what the session keeps of them, and what changes it.

import { useCallback, useState } from 'react'

import { refusalOf } from '@/lib/chat/refusal'
import type { Visitor } from '@/lib/session/visitor'

export interface VisitorActions {
  visitor: Visitor
  /** Why the last change was refused. */
  problem: string | null
  /** Each resolves to whether it was done. */
  rename(name: string): Promise<boolean>
  logIn(user: string): Promise<boolean>
  logOut(): Promise<boolean>
  /** Asks anew what is kept. */
  refresh(): Promise<boolean>
}

export function useVisitor(first: Visitor): VisitorActions {
  const [visitor, setVisitor] = useState(first)
  const [problem, setProblem] = useState<string | null>(null)

  const send = useCallback(async (method: string, body?: Record<string, string>) => {
    try {
      const response = await fetch('/api/session', {
        method,
        cache: 'no-store',
        ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      })
      if (response.ok) setVisitor((await response.json()) as Visitor)
      setProblem(response.ok ? null : await refusalOf(response))
      return response.ok
    } catch {
      setProblem('The app can’t be reached.')
      return false
    }
  }, [])

  return {
    visitor,
    problem,
    rename: useCallback((name) => send('PATCH', { name }), [send]),
    logIn: useCallback((user) => send('POST', { user }), [send]),
    logOut: useCallback(() => send('DELETE'), [send]),
    refresh: useCallback(() => send('GET'), [send]),
  }
}
