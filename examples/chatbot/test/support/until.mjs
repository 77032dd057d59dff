// Waiting for a condition instead of for a time.

/** The first true value of `condition`. The bound is against hanging, not an expectation. */
export async function until(what, condition, { withinMs = 30_000, giveUp = () => false } = {}) {
  const bound = Date.now() + withinMs
  for (;;) {
    let problem
    try {
      const value = await condition()
      if (value) return value
    } catch (error) {
      problem = error
    }
    if (Date.now() > bound || giveUp()) {
      throw new Error(`waited in vain until ${what}${problem ? `: ${problem.message}` : ''}`, { cause: problem })
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
