// Holdfast's errors, told to the caller of a route.

import { HoldfastError } from '@/lib/cache'

/** They say what is wrong with the call; that is what the caller should read. */
export async function told(body: () => Promise<Response>): Promise<Response> {
  try {
    return await body()
  } catch (error) {
    if (!HoldfastError.isInstance(error)) throw error
    return Response.json({ error: error.message, code: error.code }, { status: error.code === 'E_INVALID' ? 400 : 503 })
  }
}
