// Who the visitor is, kept in a session behind a cookie. Each answers { name, user, questions }.
//   GET
//   PATCH  { name }    how others see them, for guests too
//   POST   { user }    logs in: what the guest has kept stays, under a new id
//   DELETE             logs out: the session ends, with all it kept

import { calls, logins } from '@/lib/limits'
import { readName, sessionOf, visitorOf, type VisitorSession } from '@/lib/session'
import { maxName } from '@/lib/session/visitor'
import { told } from '@/lib/told'

export const dynamic = 'force-dynamic'

export const GET = calls.wrap((request: Request) => withSession(request))

export const PATCH = calls.wrap(async (request: Request) => {
  const name = await nameIn(request, 'name')
  return name === null ? wrong('name') : withSession(request, (session) => session.set({ name }))
})

export const POST = logins.wrap(async (request: Request) => {
  const user = await nameIn(request, 'user')
  return user === null ? wrong('user') : withSession(request, (session) => session.authenticate(user))
})

export const DELETE = calls.wrap((request: Request) => withSession(request, (session) => session.destroy()))

function withSession(request: Request, change?: (session: VisitorSession) => Promise<void>): Promise<Response> {
  return told(async () => {
    const session = await sessionOf(request)
    await change?.(session)
    // The cookie, where the id is another than before.
    return session.commit(Response.json(visitorOf(session), { headers: { 'cache-control': 'no-store' } }))
  })
}

async function nameIn(request: Request, field: string): Promise<string | null> {
  return readName(await request.json().catch(() => null), field)
}

function wrong(field: string): Response {
  return Response.json({ error: `${field} must be a text of 1 to ${maxName} characters` }, { status: 400 })
}
