export async function register() {
  // The edge runtime evaluates this file too.
  if (process.env.NEXT_RUNTIME !== 'nodejs') return
  const { cacheManager } = await import('@/lib/cache')
  await cacheManager.set('registered', true)
}
