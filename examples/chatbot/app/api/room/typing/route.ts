// POST { window, isTyping }: tells the other windows.

import { calls } from '@/lib/limits'
import { tellTyping } from '@/lib/room'
import { windowPattern, type Typing } from '@/lib/room/events'
import { told } from '@/lib/told'

export const dynamic = 'force-dynamic'

export const POST = calls.wrap((request: Request) =>
  told(async () => {
    const body = (await request.json().catch(() => null)) as Partial<Typing> | null
    if (typeof body?.window !== 'string' || !windowPattern.test(body.window) || typeof body.isTyping !== 'boolean')
      return Response.json({ error: 'allowed: { window, isTyping }' }, { status: 400 })
    await tellTyping({ window: body.window, isTyping: body.isTyping })
    return new Response(null, { status: 204 })
  }),
)
