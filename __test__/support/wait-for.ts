// Waiting for a condition instead of for a time: a test that sleeps is either slow or wrong.

export interface WaitForOptions {
  /** The bound after which waiting is a failure. Generous: it only guards against hanging. */
  withinMs?: number
  /** Pause between two looks. */
  everyMs?: number
}

/**
 * Resolves with the first truthy value of `condition`. A condition that throws counts as "not yet";
 * its last error is named when the bound is reached.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { withinMs = 15_000, everyMs = 5 }: WaitForOptions = {},
): Promise<NonNullable<T>> {
  const start = performance.now()
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value as NonNullable<T>
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() - start > withinMs) {
      const reason = last === undefined ? '' : `: ${last instanceof Error ? last.message : String(last)}`
      throw new Error(`waited ${withinMs} ms in vain for ${what}${reason}`)
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
