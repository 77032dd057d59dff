// Waiting, for so long and no longer.

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
