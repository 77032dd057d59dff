import { cacheManager } from '@/lib/cache'

export const dynamic = 'force-dynamic'

export async function GET(request: Request) {
  const key = new URL(request.url).searchParams.get('key') ?? ''
  return Response.json({ value: await cacheManager.get(key), registered: await cacheManager.get('registered') })
}

export async function POST(request: Request) {
  const { key, value } = (await request.json()) as { key: string; value: unknown }
  return Response.json({ kept: await cacheManager.set(key, value) })
}
