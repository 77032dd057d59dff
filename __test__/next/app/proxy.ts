import { NextResponse, type NextRequest } from 'next/server'

import { cacheManager } from '@/lib/cache'

export async function proxy(request: NextRequest) {
  const response = NextResponse.next()
  await cacheManager.set('last-path', request.nextUrl.pathname)
  response.headers.set('x-last-path', (await cacheManager.get<string>('last-path')) ?? '')
  return response
}

export const config = { matcher: '/' }
