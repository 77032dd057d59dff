// Options as they are given: which names there are, and what is true or false.

import { describe, invalid } from './errors.js'

/** An object without names that nobody knows. */
export function named(value: unknown, path: string, names: readonly string[], operation: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(path, `${path} is ${describe(value)}; allowed: an object`, operation)
  for (const name of Object.keys(value)) {
    if (!names.includes(name))
      throw invalid(`${path}.${name}`, `${path}.${name} is no option; allowed: ${names.join(', ')}`, operation)
  }
  return value as Record<string, unknown>
}

/** true, false, or undefined. */
export function flag(value: unknown, path: string, operation: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw invalid(path, `${path} is ${describe(value)}; allowed: true or false`, operation)
}
