// The one error of the package, and how it is made: from a wrong argument, from the native side's record.

/** What a caller should do about an error; one word per kind. */
export type HoldfastErrorCode =
  | 'E_INVALID'
  | 'E_UNAVAILABLE'
  | 'E_TIMEOUT'
  | 'E_OVERLOADED'
  | 'E_FULL'
  | 'E_CONFLICT'
  | 'E_DATA'
  | 'E_AUTH'
  | 'E_UNSUPPORTED'
  | 'E_CLOSED'
  | 'E_INTERNAL'

/** What an error is made of. */
export interface HoldfastErrorFields {
  code: HoldfastErrorCode
  message: string
  /** Whether the same call may succeed later. Default: false. */
  retryable?: boolean
  /** Whether a write can have happened although its call failed. Default: 'no'. */
  applied?: 'no' | 'unknown'
  /** The public call that failed, such as `cacheManager.set`. Default: ''. */
  operation?: string
  /** The field that is wrong, for `E_INVALID`. */
  path?: string | undefined
  /** The error of each key that failed, of a call about many. */
  failures?: ReadonlyMap<string, Error>
  cause?: unknown
}

/** An error as it crosses from the native module. */
export interface ErrorRecord {
  code: HoldfastErrorCode
  message: string
  retryable: boolean
  applied: 'no' | 'unknown'
  operation: string
  path?: string
  cause?: unknown
}

const MARKER = Symbol.for('holdfast.error')

/**
 * Every error of this package.
 *
 * | code | what to do |
 * |---|---|
 * | `E_INVALID` | fix the call; `path` names the field |
 * | `E_UNAVAILABLE` | no server answers and memory can't; try again later |
 * | `E_TIMEOUT` | a deadline passed or the call was aborted; read `applied` before trying again |
 * | `E_OVERLOADED` | refused at once, nothing was sent; slow down |
 * | `E_FULL` | no room, in Redis, in memory or on the journal's disk |
 * | `E_CONFLICT` | somebody else was first |
 * | `E_DATA` | what is stored is not what the call expects |
 * | `E_AUTH` | the server refuses this user or password |
 * | `E_UNSUPPORTED` | this server, platform or runtime can't do that |
 * | `E_CLOSED` | the instance was closed before the call |
 * | `E_INTERNAL` | a defect of this package; report it |
 *
 * No secret stands in any of its fields.
 */
export class HoldfastError extends Error {
  /** What kind of failure this is. */
  readonly code: HoldfastErrorCode
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  /** `'no'`: nothing was written. `'unknown'`: it was sent, and no answer came; or memory has it, and the journal's disk not. */
  readonly applied: 'no' | 'unknown'
  /** The public call that failed, such as `cacheManager.set`. */
  readonly operation: string
  /** The field that is wrong, for `E_INVALID`; else undefined. */
  declare readonly path?: string
  /** The error of each key that failed, of a call about many; else undefined. */
  declare readonly failures?: ReadonlyMap<string, Error>

  constructor(fields: HoldfastErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause })
    this.code = fields.code
    this.retryable = fields.retryable ?? false
    this.applied = fields.applied ?? 'no'
    this.operation = fields.operation ?? ''
    if (fields.path !== undefined) this.path = fields.path
    if (fields.failures !== undefined) this.failures = fields.failures
  }

  /**
   * Whether a value is an error of this package, whichever copy of the package made it: with bundlers
   * and hot reload `instanceof` can be false for a true one.
   */
  static isInstance(value: unknown): value is HoldfastError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[MARKER] === true
  }

  /** The fields, for logs. The stack is left out. */
  toJSON(): Record<string, unknown> {
    const { name, code, message, retryable, applied, operation, path, cause } = this
    const plain: Record<string, unknown> = { name, code, message, retryable, applied, operation }
    if (path !== undefined) plain['path'] = path
    if (cause !== undefined) plain['cause'] = messageOf(cause)
    return plain
  }
}

// On the prototype, so that neither clutters what a console shows of an error.
Object.defineProperty(HoldfastError.prototype, 'name', { value: 'HoldfastError', configurable: true, writable: true })
Object.defineProperty(HoldfastError.prototype, MARKER, { value: true })

/** The error for a wrong argument. `path` is the argument or field, as the caller knows it. */
export function invalid(path: string, message: string, operation = '', cause?: unknown): HoldfastError {
  return new HoldfastError({ code: 'E_INVALID', message, path, operation, cause })
}

/** The error for an instance that is closed. */
export function closed(operation: string): HoldfastError {
  return new HoldfastError({
    code: 'E_CLOSED',
    message: 'this instance is closed; open a new one, or the shared one again by initializeRedisSystem()',
    operation,
  })
}

/** An error of the native side. `operation` is the public name, which only this side knows. */
export function fromRecord(record: ErrorRecord, operation: string): HoldfastError {
  return new HoldfastError({ ...record, operation: operation === '' ? record.operation : operation })
}

/** An error as a record, for whoever makes the error that the caller sees. */
export function toRecord(error: HoldfastError): ErrorRecord {
  const { code, message, retryable, applied, operation, path, cause } = error
  const record: ErrorRecord = { code, message, retryable, applied, operation }
  if (path !== undefined) record.path = path
  if (cause !== undefined) record.cause = cause
  return record
}

/**
 * What a native call threw: the message of such an error is a record. Where it is none, there is a defect.
 */
export function fromThrown(thrown: unknown, operation: string): HoldfastError {
  if (HoldfastError.isInstance(thrown)) return thrown
  const message = messageOf(thrown)
  if (message.startsWith('{')) {
    try {
      return fromRecord(JSON.parse(message) as ErrorRecord, operation)
    } catch {
      // Not a record after all.
    }
  }
  return new HoldfastError({
    code: 'E_INTERNAL',
    message: `a defect in holdfast: ${message}`,
    operation,
    cause: thrown,
  })
}

/** What an error says; in a test runner it can come from another global, where `instanceof` is false. */
export function messageOf(thrown: unknown): string {
  const message = typeof thrown === 'object' && thrown !== null ? (thrown as { message?: unknown }).message : undefined
  return typeof message === 'string' ? message : String(thrown)
}

/** How a value looks in a message: its type, never its content. */
export function describe(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'undefined'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number') return Number.isFinite(value) ? 'a number' : String(value)
  if (typeof value === 'object') return 'an object'
  return `a ${typeof value}`
}

/** The same, of a number itself: it is what is wrong. */
export function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : describe(value)
}
