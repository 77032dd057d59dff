// Values to text and back. JSON, by JSON's own rules: inside a value, undefined, functions and symbols
// are left out of objects and null in arrays, and NaN and Infinity are null. What JSON can't hold at
// all is refused, and the error names where it stands.

import { describe, invalid } from './errors.js'

/** The JSON of a value. `path` is what the caller calls it. */
export function toJson(value: unknown, path: string, operation: string): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    const at = culprit(value, path)
    const why = at === null ? `${path} can't be written as JSON (see cause)` : `${at.path} ${at.reason}`
    throw invalid(at?.path ?? path, `${why}; allowed: what JSON can hold`, operation, at === null ? cause : undefined)
  }
  if (text !== undefined) return text
  throw invalid(
    path,
    value === undefined
      ? `${path} is undefined; allowed: what JSON can hold (null is a value, and delete() removes)`
      : `${path} is ${describe(value)}, which can't be written as JSON; allowed: what JSON can hold`,
    operation,
  )
}

/** A text that is stored as it is. A lone surrogate can't be written as UTF-8, so it would come back changed. */
export function toText(value: string, path: string, operation: string): string {
  if (value.isWellFormed()) return value
  throw invalid(path, `${path} holds a lone surrogate, half of a character; allowed: well-formed text`, operation)
}

/**
 * One text for one value, whatever the order in which its fields were set: keys sorted by UTF-16 units,
 * arrays in order, fields that are undefined left out.
 */
export function canonicalJson(value: unknown, path: string, operation: string): string {
  // The round trip applies toJSON, drops what JSON drops, and refuses what it refuses.
  const json = toJson(value, path, operation)
  try {
    return sorted(JSON.parse(json) as unknown)
  } catch (cause) {
    throw invalid(path, `${path} is nested too deeply; allowed: what JSON can hold`, operation, cause)
  }
}

function sorted(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`
  const fields = value as Record<string, unknown>
  const parts = Object.keys(fields)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${sorted(fields[name])}`)
  return `{${parts.join(',')}}`
}

interface Culprit {
  readonly path: string
  readonly reason: string
}

interface Step {
  readonly path: string
  readonly value: unknown
  /** Set behind all that it holds. */
  readonly isPassed?: true
}

/**
 * Where a BigInt or a cycle stands. Only for an error, so it may take its time. It keeps its own stack: the value may
 * have been too deep for that of the engine.
 */
function culprit(root: unknown, rootPath: string): Culprit | null {
  const parents = new Set<unknown>()
  const ahead: Step[] = [{ path: rootPath, value: root }]
  for (let step = ahead.pop(); step !== undefined; step = ahead.pop()) {
    const { path, value, isPassed } = step
    if (isPassed) parents.delete(value)
    else if (typeof value === 'bigint') return { path, reason: 'is a BigInt' }
    else if (typeof value === 'object' && value !== null) {
      if (parents.has(value)) return { path, reason: 'refers back to an object that holds it (a cycle)' }
      if (typeof (value as { toJSON?: unknown }).toJSON === 'function') continue
      parents.add(value)
      ahead.push({ path, value, isPassed: true })
      const inside = held(value, path)
      for (let index = inside.length - 1; index >= 0; index--) ahead.push(inside[index] as Step)
    }
  }
  return null
}

function held(value: object, path: string): Step[] {
  if (Array.isArray(value)) return value.map((each: unknown, index) => ({ path: `${path}[${index}]`, value: each }))
  return Object.entries(value).map(([name, each]: [string, unknown]) => {
    const step = /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
    return { path: `${path}${step}`, value: each }
  })
}
