// The one clock of all processes of the soak: it counts from the machine's boot, and none of them can set it.

/** Milliseconds, with fractions. */
export const now = () => Number(process.hrtime.bigint()) / 1e6

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Whether `condition` came true before the bound. */
export async function within(ms, condition, everyMs = 10) {
  const bound = now() + ms
  while (!condition()) {
    if (now() > bound) return false
    await pause(everyMs)
  }
  return true
}
