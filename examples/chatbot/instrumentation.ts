// Runs once when the server starts: whether Redis answers is known before the first request.

export async function register(): Promise<void> {
  // The edge runtime evaluates this file too.
  if (process.env.NEXT_RUNTIME !== 'nodejs') return
  const { initializeRedisSystem } = await import('@/lib/cache')
  const { message } = await initializeRedisSystem()
  console.log(`holdfast: ${message}`)
}
