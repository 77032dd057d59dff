// What may be a key or a prefix. Everything else about keys, escaping included, is the native side's.

import { describe, invalid } from './errors.js'

const MOST_BYTES = 65_536
const MOST_PREFIX_BYTES = 512
/** No UTF-16 unit takes more in UTF-8. */
const BYTES_PER_UNIT = 3

/** Throws `E_INVALID` naming `path` unless the value is a text of 1 to 65,536 UTF-8 bytes. */
export function checkKey(key: unknown, path: string, operation: string): asserts key is string {
  if (typeof key === 'string' && key.length > 0 && key.length * BYTES_PER_UNIT <= MOST_BYTES && key.isWellFormed())
    return
  const problem = problemOf(key, MOST_BYTES)
  if (problem !== null) {
    throw invalid(path, `${path} ${problem}; allowed: a text of 1 to 65536 bytes, any characters`, operation)
  }
}

/** Between the parts of a family where it holds namespaces: ends each name, and stands for a colon in it. */
export const NAMESPACE_END = '\u001f'
export const NAMESPACE_COLON = '\u001e'

/** Whether a text holds what tells namespaces apart. */
export function holdsMarks(text: string): boolean {
  return text.includes(NAMESPACE_END) || text.includes(NAMESPACE_COLON)
}

/** The same for a prefix, of at most 512 bytes. `h` is taken: what stands under it belongs to other keys. */
export function checkPrefix(prefix: unknown, path: string, operation: string): asserts prefix is string {
  const problem =
    prefix === 'h' || (typeof prefix === 'string' && prefix.startsWith('h:'))
      ? 'is reserved'
      : typeof prefix === 'string' && holdsMarks(prefix)
        ? 'holds U+001E or U+001F'
        : problemOf(prefix, MOST_PREFIX_BYTES)
  if (problem !== null) {
    throw invalid(
      path,
      `${path} ${problem}; allowed: a text of 1 to 512 bytes without U+001E and U+001F that is not 'h' and does not begin with 'h:'`,
      operation,
    )
  }
}

function problemOf(value: unknown, mostBytes: number): string | null {
  if (typeof value !== 'string') return `is ${describe(value)}`
  if (value === '') return 'is empty'
  if (!value.isWellFormed()) return 'holds a lone surrogate, half of a character'
  const bytes = value.length * BYTES_PER_UNIT > mostBytes ? Buffer.byteLength(value) : 0
  return bytes > mostBytes ? `has ${bytes} bytes` : null
}
