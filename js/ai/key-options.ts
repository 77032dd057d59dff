// The options that decide whether two questions to a model are the same one. Whatever of them is misspelt, of a wrong
// shape or without a value is refused: read as nothing, it would give one tenant the answer of another.

import { describe, invalid } from '../errors.js'

/** What takes part in the key of an answer. */
export interface AIKeyOptions {
  /** The headers that decide an answer, in any case. Default: none. */
  headers?: readonly string[] | undefined
  /** Whose answer it is: nobody else finds it. Default: everybody's. */
  scope?: AIScope
}

/**
 * Whom an answer belongs to: a tenant, a user, or a user of a tenant. A field that is given must have a text: an
 * answer whose owner is not known is no answer for everybody.
 */
export interface AIScope {
  tenant?: string
  user?: string
}

type Fields = Readonly<Record<string, true>>

const KEY_FIELDS: Readonly<Record<keyof AIKeyOptions, true>> = { headers: true, scope: true }
const SCOPE_FIELDS: Readonly<Record<keyof AIScope, true>> = { tenant: true, user: true }

/** Throws `E_INVALID` unless the options are an object with no other fields than these. */
export function checkFields(options: unknown, path: string, operation: string, fields: Fields = KEY_FIELDS): void {
  if (options === undefined) return
  const names = Object.keys(fields).join(', ')
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(path, `${path} is ${describe(options)}; allowed: an object with ${names}`, operation)
  }
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(fields, name)) continue
    const at = path + stepText(name)
    throw invalid(at, `${at} is unknown; allowed: ${names}`, operation)
  }
}

/** Whose answer it is, as a text that tells all owners apart; null: everybody's. */
export function scopeText(options: AIKeyOptions | undefined, operation: string): string | null {
  if (options === undefined || !('scope' in options)) return null
  const path = 'options.scope'
  const scope: unknown = options.scope
  if (scope === undefined) throw invalid(path, `${path} is undefined; allowed: an object with tenant, user`, operation)
  checkFields(scope, path, operation, SCOPE_FIELDS)
  const owners = Object.entries(scope as object).sort(([one], [other]) => (one < other ? -1 : 1))
  if (owners.length === 0) throw invalid(path, `${path} is empty; allowed: an object with tenant, user`, operation)
  for (const [name, owner] of owners as [string, unknown][]) {
    if (typeof owner === 'string' && owner !== '') continue
    const shown = owner === '' ? 'empty' : describe(owner)
    throw invalid(`${path}.${name}`, `${path}.${name} is ${shown}; allowed: a text`, operation)
  }
  return JSON.stringify(Object.fromEntries(owners))
}

/** The headers that count, in lower case. */
export function headerNames(options: AIKeyOptions | undefined, operation: string): ReadonlySet<string> {
  const path = 'options.headers'
  const names: unknown = options?.headers
  const named = new Set<string>()
  if (names === undefined) return named
  if (!Array.isArray(names)) {
    throw invalid(path, `${path} is ${describe(names)}; allowed: names of headers`, operation)
  }
  for (const [index, name] of (names as unknown[]).entries()) {
    if (typeof name === 'string' && name !== '') {
      named.add(name.toLowerCase())
      continue
    }
    const shown = name === '' ? 'empty' : describe(name)
    throw invalid(`${path}[${index}]`, `${path}[${index}] is ${shown}; allowed: the name of a header`, operation)
  }
  return named
}

/** A field, as it is written behind the name of its object. */
export function stepText(step: string | number): string {
  if (typeof step === 'number') return `[${step}]`
  return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
}
