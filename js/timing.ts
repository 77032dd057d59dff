// The clock, and waiting for so long and no longer.

/** The clock as it was before a test runner put its own in its place: the native side has that one, too. */
export const now = performance.now.bind(performance)

/** What a promise gives within so long; else null. */
export async function within<Value>(promise: Promise<Value>, ms: number): Promise<Value | null> {
  if (ms === Infinity) return await promise
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, ms, null)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(1, ms)))
}
