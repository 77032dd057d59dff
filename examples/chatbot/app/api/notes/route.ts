// Small notes: what plain caching looks like in a route.
//   GET    ?key=a                  { value, source, ttlMs }, or 404
//   POST   { key, value, ttl? }    { kept }: false when neither Redis nor memory could take it
//   DELETE ?key=a                  { deleted }: whether there was something

import { cacheManager, type Duration } from '@/lib/cache'
import { told } from '@/lib/told'

export const dynamic = 'force-dynamic'

/** The notes' keys are `{keyPrefix}notes:{key}`. */
const prefix = 'notes'

export async function GET(request: Request): Promise<Response> {
  return told(async () => {
    const entry = await cacheManager.getEntry(keyOf(request), { prefix })
    return entry === null ? Response.json({ error: 'no such note' }, { status: 404 }) : Response.json(entry)
  })
}

export async function POST(request: Request): Promise<Response> {
  return told(async () => {
    const body = (await request.json().catch(() => null)) as { key?: string; value?: unknown; ttl?: Duration } | null
    // What is missing is refused like anything else that is wrong.
    const kept = await cacheManager.set(body?.key ?? '', body?.value, { prefix, ttl: body?.ttl })
    return Response.json({ kept }, { status: kept ? 200 : 507 })
  })
}

export async function DELETE(request: Request): Promise<Response> {
  return told(async () => Response.json({ deleted: await cacheManager.delete(keyOf(request), { prefix }) }))
}

function keyOf(request: Request): string {
  return new URL(request.url).searchParams.get('key') ?? ''
}
