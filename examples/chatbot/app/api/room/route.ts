// GET ?window=w1: what happens among all windows, as server-sent events: `typing` { window, isTyping }, `people`
// when somebody came or went, and `gap` when something may have been missed.

import { calls } from '@/lib/limits'
import { openRoom } from '@/lib/room'
import { windowPattern } from '@/lib/room/events'
import { sessionOf, visitorOf } from '@/lib/session'
import { told } from '@/lib/told'

export const dynamic = 'force-dynamic'

export const GET = calls.wrap((request: Request) =>
  told(async () => {
    const window = new URL(request.url).searchParams.get('window') ?? ''
    if (!windowPattern.test(window)) return Response.json({ error: `window must match ${windowPattern}` }, { status: 400 })
    const { name } = visitorOf(await sessionOf(request))
    return openRoom(request, window, name ?? '')
  }),
)
