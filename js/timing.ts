// The clock, the turns of the event loop, and waiting for so long and no longer.

// As these were before a test runner put its own in their place: the native side goes by the real clock, too, and what is
// under way comes to its end although nobody moves a test's time on.
export const now = performance.now.bind(performance)
export const nextTick = process.nextTick.bind(process)
export const microtask = queueMicrotask
export const later = setTimeout
export const every = setInterval
/** Browsers' environments of test runners have none. */
export const immediate = globalThis.setImmediate ?? ((work: () => void) => later(work, 0))

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

/**
 * Calls when what came before has ended, or had its time since it began. Whoever comes next waits for `turn` in the same
 * way: a call that never ends keeps the next one for so long, and no more.
 */
export function inTurn<Result>(
  before: Promise<unknown> | undefined,
  call: () => Promise<Result>,
  longestMs: number,
): { result: Promise<Result>; turn: Promise<unknown> } {
  const result = before === undefined ? call() : before.then(call)
  const done = result.then(ignore, ignore)
  return { result, turn: (before ?? Promise.resolve()).then(() => within(done, longestMs)) }
}

function ignore(): void {}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => later(resolve, Math.max(1, ms)))
}
