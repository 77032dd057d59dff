// What a call of several steps says of itself where a later one fails.

import { HoldfastError } from '../errors.js'

/** A later step of a call: the earlier ones have been carried out, so its error must not say that nothing was written. */
export async function afterwards<T>(step: Promise<T>): Promise<T> {
  try {
    return await step
  } catch (thrown) {
    if (!HoldfastError.isInstance(thrown)) throw thrown
    const { code, message, retryable, operation, cause } = thrown
    throw new HoldfastError({ code, message, retryable, applied: 'unknown', operation, cause })
  }
}
