import { cacheManager } from '@/lib/cache'

export const runtime = 'edge'

// On the edge runtime there is no Redis connection to be had: the package says so itself.
export async function GET() {
  try {
    await cacheManager.get('anything')
    return Response.json({ error: null })
  } catch (error) {
    return Response.json({ error: error instanceof Error ? error.message : String(error) })
  }
}
