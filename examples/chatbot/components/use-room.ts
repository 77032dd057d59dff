'use client'

// The other windows: who is here, who types, and telling them that this one does.

import { useCallback, useEffect, useRef, useState } from 'react'

import type { Person, Typing } from '@/lib/room/events'

/** Who types says so this often; who has not for the last while has stopped. */
const repeatMs = 2_000
const pauseMs = 4_000
const forgetMs = 6_000
/** Nobody tells that a server was killed, so it is looked at from time to time, too. */
const lookMs = 10_000
const reopenMs = 2_000

export interface Room {
  /** This window is among them from the moment that the others know of it. */
  people: Person[]
  own: string
  /** The windows in which somebody types. */
  typing: string[]
  /** Tells the others what has become of the text in this window. */
  wrote(text: string): void
}

/** `who`: as whom this window is there. With another one it comes in anew. */
export function useRoom(who: string): Room {
  const [own, setOwn] = useState('')
  const [people, setPeople] = useState<Person[]>([])
  const [typing, setTyping] = useState<string[]>([])

  useEffect(() => setOwn(Math.random().toString(36).slice(2, 12)), [])

  useEffect(() => {
    if (own === '') return
    const forgetting = new Map<string, ReturnType<typeof setTimeout>>()
    let source: EventSource
    let reopening: ReturnType<typeof setTimeout> | undefined

    const look = async () => {
      try {
        const response = await fetch('/api/room/people', { cache: 'no-store' })
        if (response.ok) setPeople(((await response.json()) as { people: Person[] }).people)
      } catch {
        // The next look may be luckier.
      }
    }
    const hear = ({ window, isTyping }: Typing) => {
      if (window === own) return
      clearTimeout(forgetting.get(window))
      setTyping((before) => [...before.filter((other) => other !== window), ...(isTyping ? [window] : [])])
      if (isTyping) forgetting.set(window, setTimeout(() => hear({ window, isTyping: false }), forgetMs))
    }
    const open = () => {
      source = new EventSource(`/api/room?window=${own}`)
      source.addEventListener('open', look)
      source.addEventListener('people', look)
      source.addEventListener('gap', look)
      source.addEventListener('typing', (event) => hear(JSON.parse((event as MessageEvent<string>).data) as Typing))
      source.addEventListener('error', () => {
        // The browser comes back by itself after a connection that broke, but not after a refusal.
        if (source.readyState === EventSource.CLOSED) reopening = setTimeout(open, reopenMs)
      })
    }
    open()
    const looking = setInterval(look, lookMs)
    return () => {
      source.close()
      clearInterval(looking)
      clearTimeout(reopening)
      for (const timer of forgetting.values()) clearTimeout(timer)
      setTyping([])
    }
  }, [own, who])

  return { people, own, typing, wrote: useWrote(own) }
}

function useWrote(window: string): (text: string) => void {
  const said = useRef({ at: 0, pause: undefined as ReturnType<typeof setTimeout> | undefined, last: Promise.resolve() })

  return useCallback(
    (text) => {
      const state = said.current
      const say = (isTyping: boolean) => {
        state.at = isTyping ? Date.now() : 0
        const send = () => fetch('/api/room/typing', { method: 'POST', body: JSON.stringify({ window, isTyping }) })
        // One behind the other, so that the last word is the last one. Whether it arrives is not worth a word.
        state.last = state.last.then(send).then(() => {}, () => {})
      }
      clearTimeout(state.pause)
      if (text === '') {
        if (state.at > 0) say(false)
        return
      }
      if (Date.now() - state.at > repeatMs) say(true)
      state.pause = setTimeout(() => say(false), pauseMs)
    },
    [window],
  )
}
