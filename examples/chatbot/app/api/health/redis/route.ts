// GET: how the cache is. 200 while something answers, 503 when nothing does; the header says which.

import { getSystemStatus } from '@/lib/cache'

export const dynamic = 'force-dynamic'

export async function GET(): Promise<Response> {
  const { overall, ...parts } = await getSystemStatus()
  return Response.json(
    { status: overall, timestamp: Date.now(), ...parts },
    {
      status: overall === 'unhealthy' ? 503 : 200,
      headers: { 'X-Health-Status': overall, 'Cache-Control': 'no-cache, no-store, must-revalidate' },
    },
  )
}
