// The visitor's session: a guest's from the moment there is something to keep, a user's from a log-in on.

import { createSessionManager, type CookieSource, type RequestSession } from '@/lib/cache'

import { maxName, type Visitor } from './visitor'

/** What a session keeps. */
type Kept = { name?: string; questions?: string[] }

export type VisitorSession = RequestSession<Kept>

const mostQuestions = 4
const longestQuestion = 120

/** Log-ins here ask for no password, so nothing is risked by taking them while Redis is away. The default refuses them. */
const sessions = createSessionManager({ degradedLogins: true })

/** The session that a request carries. Nothing is made yet where there is none. */
export function sessionOf(source: CookieSource): Promise<VisitorSession> {
  return sessions.openSession<Kept>(source)
}

export function visitorOf({ data, userId }: VisitorSession): Visitor {
  return { name: data.name ?? userId, user: userId, questions: data.questions ?? [] }
}

/** Keeps a question in the session. */
export async function remember(session: VisitorSession, question: string): Promise<void> {
  if (question.length > longestQuestion) return
  const add = ({ questions = [], ...rest }: Kept): Kept => {
    return { ...rest, questions: [question, ...questions.filter((other) => other !== question)].slice(0, mostQuestions) }
  }
  // Two windows may ask at once: a function of what is there loses neither.
  if (!(await session.update(add))) await session.set(add({}))
}

/** A name in a request's body; null: there is none that could be shown. */
export function readName(body: unknown, field: string): string | null {
  const value: unknown = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[field] : undefined
  const name = typeof value === 'string' ? value.trim() : ''
  return name !== '' && name.length <= maxName && name.isWellFormed() && !/\p{Cc}/u.test(name) ? name : null
}
