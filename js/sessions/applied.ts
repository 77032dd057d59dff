// What an error says of a write that may have been carried out all the same.

import { HoldfastError } from '../errors.js'

/** To catch errors of a later step with: the earlier ones are done, so they must not say that nothing was written. */
export function maybeApplied(thrown: unknown): never {
  if (!HoldfastError.isInstance(thrown)) throw thrown
  const { code, message, retryable, operation, cause } = thrown
  throw new HoldfastError({ code, message, retryable, applied: 'unknown', operation, cause })
}

/**
 * To catch errors of a script with: what it did before it met something that is no session stays, and of one that did all
 * the answer may be what can't be read.
 */
export function partlyApplied(thrown: unknown): never {
  if (isDamage(thrown)) maybeApplied(thrown)
  throw thrown
}

/** Whether something else wrote to what was asked for. */
export function isDamage(thrown: unknown): thrown is HoldfastError {
  return HoldfastError.isInstance(thrown) && thrown.code === 'E_DATA'
}
