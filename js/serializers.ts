// Values to what is stored and back, by the serializer that the caller chose: JSON, V8's structured clone or
// one of his own; and vectors. The format that is stored with a value says how it was written, so that values
// of all kinds stand side by side and each is read as it was written.

import { types } from 'node:util'
import { DefaultDeserializer, serialize } from 'node:v8'

import { HoldfastError, describe, invalid, messageOf } from './errors.js'
import { FORMAT_CUSTOM, FORMAT_FLOATS, FORMAT_JSON, FORMAT_STRUCTURED } from './generated/operations.js'
import { toJson } from './values.js'

/** A serializer of one's own. Both functions answer at once, never by a promise. */
export interface CustomSerializer {
  /** What is stored of a value: well-formed text, or bytes. What it throws is the `cause` of an `E_INVALID`. */
  serialize(value: unknown): string | Uint8Array
  /**
   * The value again: from text where `serialize` made text, from bytes where it made bytes. The bytes are its to
   * keep. What it throws is the `cause` of an `E_DATA`.
   */
  deserialize(data: string | Uint8Array): unknown
}

/**
 * How values are written.
 *
 * - `'json'`: JSON, by its own rules. Every program can read it.
 * - `'structured'`: what structured clone can hold, in V8's own format. Beyond JSON that is Date, Map, Set, BigInt,
 *   RegExp, Error, ArrayBuffer, typed arrays and Buffers, undefined inside a value, NaN, Infinity, -0, holes, and
 *   objects that stand in several places or hold themselves. Functions, symbols, promises, proxies and weak
 *   references are `E_INVALID`.
 *
 *   **An instance of a class comes back as a plain object** with its own enumerable fields: without its methods,
 *   its accessors and what is private. So a `URL` or `Headers` comes back as `{}`. An Error keeps its message, stack
 *   and cause, and its name where that is one of JavaScript's own (AggregateError becomes Error); `code` and other
 *   fields of its own are lost. So are fields that are named by symbols, and the `lastIndex` of a RegExp.
 *
 *   Only Node reads it. A newer Node reads what an older one wrote, but for an Error with a cause that Node 20
 *   wrote: to Node 22 and later that is `E_DATA`. What a newer one wrote can be `E_DATA` to an older one. Objects
 *   may stand in each other 1,000 deep, and an Error must not be among its own causes: V8 can write more than it
 *   can read again.
 * - An object with `serialize` and `deserialize`: one's own.
 */
export type Serializer = 'json' | 'structured' | CustomSerializer

/** A value as it is stored. */
export interface Encoded {
  readonly data: string | Uint8Array
  readonly format: number
}

/**
 * What bytes of a custom serializer begin with; no text in UTF-8 has such a byte. By it the two are told apart:
 * the native side hands over as text whatever happens to be UTF-8.
 */
const BYTES_MARK = 0xff
const BYTES_PER_FLOAT = 4

/** Throws `E_INVALID` naming `path`, or the function below it, unless the value is a serializer. */
export function checkSerializer(value: unknown, path: string, operation: string): asserts value is Serializer {
  if (value === 'json' || value === 'structured') return
  // A function may be a class whose static methods serialize.
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || Array.isArray(value)) {
    const shown = typeof value === 'string' ? 'no name of a serializer' : describe(value)
    throw invalid(
      path,
      `${path} is ${shown}; allowed: 'json', 'structured' or an object { serialize, deserialize }`,
      operation,
    )
  }
  for (const name of ['serialize', 'deserialize'] as const) {
    const method = (value as Partial<Record<typeof name, unknown>>)[name]
    if (typeof method === 'function' && !types.isAsyncFunction(method)) continue
    const shown = typeof method === 'function' ? 'an async function' : describe(method)
    throw invalid(
      `${path}.${name}`,
      `${path}.${name} is ${shown}; allowed: a function that answers at once`,
      operation,
    )
  }
}

/** What is stored of a value, and its format. `path` is what the caller calls the value. */
export function encodeValue(value: unknown, serializer: Serializer, path: string, operation: string): Encoded {
  if (serializer === 'json') return { data: toJson(value, path, operation), format: FORMAT_JSON }
  if (value === undefined) {
    throw invalid(
      path,
      `${path} is undefined; allowed: what the serializer can hold (null is a value, and delete() removes)`,
      operation,
    )
  }
  if (serializer === 'structured') return { data: toClone(value, path, operation), format: FORMAT_STRUCTURED }
  return { data: byCustom(serializer, value, path, operation), format: FORMAT_CUSTOM }
}

/**
 * The value of what is stored, which shares no memory with it. JSON and text the inbox reads itself, on its way. Throws
 * `E_DATA` for what it can't read.
 */
export function decodeValue(data: string | Uint8Array, format: number, serializer?: Serializer): unknown {
  switch (format) {
    case FORMAT_STRUCTURED:
      return fromClone(bytesOf(data))
    case FORMAT_FLOATS:
      return fromFloats(bytesOf(data))
    case FORMAT_CUSTOM:
      return fromCustom(data, serializer)
    default:
      throw unreadable(`is of a format (${format}) that this version of the package does not know`)
  }
}

/**
 * A vector as it is stored: 32-bit floats, little endian. Numbers are rounded to the nearest such float, which
 * keeps 7 decimal digits. Throws `E_INVALID` naming the element that is no finite number, or none as a float.
 */
export function encodeFloats(
  vector: readonly number[] | Float32Array | Float64Array,
  path: string,
  operation: string,
): Uint8Array {
  const allowed = 'allowed: finite numbers, at least one, in an array, a Float32Array or a Float64Array'
  const given: unknown = vector
  if (!Array.isArray(given) && !types.isFloat32Array(given) && !types.isFloat64Array(given)) {
    throw invalid(path, `${path} is ${describe(given)}; ${allowed}`, operation)
  }
  if (given.length === 0) throw invalid(path, `${path} is empty; ${allowed}`, operation)
  const bytes = new Uint8Array(given.length * BYTES_PER_FLOAT)
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < given.length; index++) {
    const number: unknown = given[index]
    if (typeof number !== 'number' || !Number.isFinite(Math.fround(number))) {
      const shown = typeof number === 'number' && Number.isFinite(number) ? 'beyond a 32-bit float' : describe(number)
      throw invalid(
        `${path}[${index}]`,
        `${path}[${index}] is ${shown}; allowed: a finite number between -3.4e38 and 3.4e38`,
        operation,
      )
    }
    view.setFloat32(index * BYTES_PER_FLOAT, number, true)
  }
  return bytes
}

function toClone(value: unknown, path: string, operation: string): Uint8Array {
  try {
    return serialize(value)
  } catch (thrown) {
    const at = culprit(value, path)
    if (at !== null) {
      // V8's own message is no cause: it shows the source of a function.
      throw invalid(at.path, `${at.path} ${at.reason}; allowed: what structured clone can hold`, operation, at.cause)
    }
    const reason = isStackOverflow(thrown) ? 'is nested too deeply' : "can't be cloned"
    throw invalid(path, `${path} ${reason}; allowed: what structured clone can hold`, operation, thrown)
  }
}

function byCustom(serializer: CustomSerializer, value: unknown, path: string, operation: string): string | Uint8Array {
  let made: unknown
  try {
    made = serializer.serialize(value)
    if (types.isUint8Array(made)) return marked(made)
  } catch (cause) {
    throw invalid(path, `${path} is refused by the serializer (see cause); allowed: what it takes`, operation, cause)
  }
  if (typeof made === 'string' && made.isWellFormed()) return made
  const shown = typeof made === 'string' ? 'a text with a lone surrogate, half of a character' : describe(made)
  throw invalid(
    path,
    `${path} is made into ${shown} by the serializer; allowed: a well-formed text or a Uint8Array`,
    operation,
  )
}

function marked(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length + 1)
  copy[0] = BYTES_MARK
  copy.set(bytes, 1)
  return copy
}

function fromClone(bytes: Uint8Array): unknown {
  try {
    const deserializer = new OwningDeserializer(bytes)
    deserializer.readHeader()
    return deserializer.readValue()
  } catch (cause) {
    throw unreadable(
      isStackOverflow(cause)
        ? 'is nested deeper than can be read with the stack that is left'
        : "can't be read back; it was written by another version of Node, or it is damaged",
      cause,
    )
  }
}

function fromFloats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes
  if (byteLength % BYTES_PER_FLOAT !== 0) {
    throw unreadable(`is no vector; it has ${byteLength} bytes, which is no multiple of ${BYTES_PER_FLOAT}`)
  }
  const view = new DataView(buffer, byteOffset, byteLength)
  const floats = new Float32Array(byteLength / BYTES_PER_FLOAT)
  for (let index = 0; index < floats.length; index++) floats[index] = view.getFloat32(index * BYTES_PER_FLOAT, true)
  return floats
}

function fromCustom(data: string | Uint8Array, serializer: Serializer | undefined): unknown {
  if (serializer === undefined || typeof serializer === 'string') {
    throw unreadable('was written by a serializer of its own; give the same one as the option serializer to read it')
  }
  try {
    if (typeof data === 'string') return serializer.deserialize(data)
    return serializer.deserialize(data[0] === BYTES_MARK ? new Uint8Array(data.subarray(1)) : bufferOf(data).toString())
  } catch (cause) {
    throw unreadable('is refused by the serializer (see cause); another one wrote it, or it is damaged', cause)
  }
}

/** What is stored is something else than it should be. It is not shown. */
export function unreadable(problem: string, cause?: unknown): HoldfastError {
  return new HoldfastError({ code: 'E_DATA', message: `what is stored under this key ${problem}`, cause })
}

/** The stored bytes. Those that happen to be UTF-8 come as text. */
function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data) : data
}

function bufferOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

function isStackOverflow(thrown: unknown): boolean {
  return messageOf(thrown).includes('call stack')
}

// Documented, and missing in the types of Node.
const { _readHostObject: readView } = DefaultDeserializer.prototype as unknown as {
  _readHostObject(this: DefaultDeserializer): ArrayBufferView
}

/**
 * Gives each typed array memory of its own. Node's makes it a view of the bytes that are read, or, where these are
 * not aligned, of the pool that all small Buffers share: either could be read and written through `.buffer`.
 */
class OwningDeserializer extends DefaultDeserializer {
  _readHostObject(): ArrayBufferView {
    const view = readView.call(this)
    const { buffer, byteOffset, byteLength } = view
    const own = buffer.slice(byteOffset, byteOffset + byteLength)
    // A Buffer's constructor is deprecated.
    if (Buffer.isBuffer(view)) return Buffer.from(own)
    return new (view.constructor as new (buffer: ArrayBufferLike) => ArrayBufferView)(own)
  }
}

interface Culprit {
  readonly path: string
  readonly reason: string
  readonly cause?: unknown
}

interface Step {
  readonly path: string
  readonly value: unknown
  /** Set where reading the value threw. */
  readonly failed?: true
}

/**
 * Where what can't be cloned stands: the first of it, in the order in which V8 writes. Only for an error, so it
 * may take its time. It keeps its own stack, because the value may have been too deep for V8's.
 */
function culprit(root: unknown, rootPath: string): Culprit | null {
  const seen = new Set<object>()
  const ahead: Step[] = [{ path: rootPath, value: root }]
  for (let step = ahead.pop(); step !== undefined; step = ahead.pop()) {
    const { path, value, failed } = step
    if (failed) return { path, reason: "can't be read (see cause)", cause: value }
    if (typeof value === 'function' || typeof value === 'symbol') return { path, reason: `is ${describe(value)}` }
    if (typeof value !== 'object' || value === null || seen.has(value)) continue
    seen.add(value)
    if (NEVER_CLONED.some((is) => is(value))) return { path, reason: `is ${kindOf(value)}` }
    const inside = isWhole(value) ? [] : childrenOf(value, path)
    if (inside.length === 0 && !canBeCloned(value)) return { path, reason: `is ${kindOf(value)}` }
    for (let index = inside.length - 1; index >= 0; index--) ahead.push(inside[index] as Step)
  }
  return null
}

/** What is refused although it can have fields; what has none is simply tried. */
const NEVER_CLONED = [types.isProxy, types.isPromise, types.isArgumentsObject]

/** Whether V8 writes an object without looking at its fields. */
function isWhole(value: object): boolean {
  return (
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isBoxedPrimitive(value)
  )
}

function canBeCloned(value: object): boolean {
  try {
    serialize(value)
    return true
  } catch {
    return false
  }
}

function childrenOf(value: object, path: string): Step[] {
  if (types.isMap(value)) {
    // By the prototype's own methods: a subclass may have changed them.
    return [...Map.prototype.entries.call(value)].flatMap(([key, held]: [unknown, unknown], index) => {
      const step = typeof key === 'string' ? `.get(${JSON.stringify(key)})` : `.values()[${index}]`
      return [
        { path: `${path}.keys()[${index}]`, value: key },
        { path: `${path}${step}`, value: held },
      ]
    })
  }
  if (types.isSet(value)) {
    return [...Set.prototype.values.call(value)].map((held: unknown, index) => ({
      path: `${path}.values()[${index}]`,
      value: held,
    }))
  }
  const names = types.isNativeError(value) ? (Object.hasOwn(value, 'cause') ? ['cause'] : []) : Object.keys(value)
  const isArray = Array.isArray(value)
  return names.map((name) => fieldOf(value, name, `${path}${stepTo(name, isArray)}`))
}

function fieldOf(object: object, name: string, path: string): Step {
  try {
    return { path, value: (object as Record<string, unknown>)[name] }
  } catch (thrown) {
    return { path, value: thrown, failed: true }
  }
}

function stepTo(name: string, isArray: boolean): string {
  if (isArray && /^\d+$/.test(name)) return `[${name}]`
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
}

/** What an object is, by the name that JavaScript gives its kind. */
function kindOf(value: object): string {
  if (types.isProxy(value)) return 'a Proxy'
  const kind = Object.prototype.toString.call(value).slice('[object '.length, -1)
  return kind === 'Object' ? 'an object' : `${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`
}
