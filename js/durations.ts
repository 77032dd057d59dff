// Lifetimes as users give them: seconds, or a text such as '90s', '5m', '1h', '7d'.

import { describe, invalid } from './errors.js'

/** Seconds, or a whole number with a unit: `'90s'`, `'5m'`, `'1h'`, `'7d'`. */
export type Duration = number | `${number}${'s' | 'm' | 'h' | 'd'}`

/** What the native side takes for "never expires". */
export const NO_EXPIRY = -1
/** 100 years with their leap days. */
const LONGEST_SECONDS = (100 * 365 + 25) * 86_400
export const LONGEST_MS = LONGEST_SECONDS * 1000

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }
const ALLOWED = "0 for the default, seconds above 0 and up to 100 years, or a text such as '90s', '5m', '1h', '7d'"

/**
 * A lifetime in milliseconds. `undefined` and 0 mean `defaultMs`; less than a millisecond counts as one.
 * Throws `E_INVALID` naming `path` for anything else that is no lifetime.
 */
export function lifetimeMs(given: unknown, defaultMs: number, path: string, operation: string): number {
  if (given === undefined || given === 0) return defaultMs
  const seconds = typeof given === 'number' ? given : typeof given === 'string' ? parsed(given) : Number.NaN
  if (seconds === 0) return defaultMs
  if (seconds > 0 && seconds <= LONGEST_SECONDS) return Math.max(1, Math.round(seconds * 1000))
  throw invalid(path, `${path} is ${shown(given)}; allowed: ${ALLOWED}`, operation)
}

function parsed(text: string): number {
  const match = /^(\d{1,15})([smhd])$/.exec(text)
  return match === null ? Number.NaN : Number(match[1]) * (SECONDS[match[2] as string] as number)
}

function shown(given: unknown): string {
  if (typeof given === 'number') return String(given)
  if (typeof given === 'string') return JSON.stringify(given.length > 32 ? `${given.slice(0, 32)}...` : given)
  return describe(given)
}
