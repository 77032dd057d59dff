// What makes two requests to a model the same request: one text for a prompt, a model and parameters, to
// be hashed. Two requests that may get different answers must never share it: that would serve the wrong
// answer. Two that differ only in how they are carried (a signal, a header, a callback) should: else
// nothing is ever found.
//
// For what JSON can hold the text is canonical JSON. Bytes stand in it as `bytes(length,hash)`, which no
// JSON can spell, so no data that a user sends can pass for a file. Nobody parses the text.

import { types } from 'node:util'

import { HoldfastError, describe, invalid } from '../errors.js'
import { headerNames, scopeText, stepText, type AIKeyOptions } from './key-options.js'

export type { AIKeyOptions, AIScope } from './key-options.js'

/** What is asked: a text, messages, or an object such as `{ system, messages, tools }`. */
export type AIPrompt = string | object

/** What decides an answer besides prompt and model: temperature, system prompt, tools. */
export type AIParameters = Readonly<Record<string, unknown>>

/**
 * The text of a request. Fields in any order give the same one; arrays keep theirs.
 *
 * Never part of it: fields that are undefined, functions, abort signals, and of the `headers` of
 * `parameters` or `prompt` all that `options.headers` doesn't name.
 */
export function requestText(
  prompt: AIPrompt,
  model: string,
  parameters: AIParameters | undefined,
  options: AIKeyOptions | undefined,
  operation: string,
  parametersPath = 'parameters',
): string {
  if (typeof prompt !== 'string' && (typeof prompt !== 'object' || prompt === null)) {
    throw invalid('prompt', `prompt is ${describe(prompt)}; allowed: a text, an object or an array`, operation)
  }
  if (typeof model !== 'string' || model === '') {
    const shown = model === '' ? 'empty' : describe(model)
    throw invalid('model', `model is ${shown}; allowed: the name of a model`, operation)
  }
  if (
    parameters !== undefined &&
    (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters))
  ) {
    throw invalid(parametersPath, `${parametersPath} is ${describe(parameters)}; allowed: an object`, operation)
  }
  const named = headerNames(options, operation)
  const settings = new Canonical(parametersPath, named, operation).text(parameters ?? {})
  const question = new Canonical('prompt', named, operation).text(prompt)
  const scope = scopeText(options, operation)
  const whose = scope === null ? '' : `,"scope":${scope}`
  return `{"model":${JSON.stringify(model)},"parameters":${settings},"prompt":${question}${whose}}`
}

const DATA = 'plain data, bytes, and what has a toJSON()'

/** How a call is carried. Under these names what isn't data is somebody's own kind of signal. */
const SIGNALS: ReadonlySet<string> = new Set(['abortSignal', 'signal'])

/** Past this many steps a path helps nobody. */
const MOST_STEPS = 64

/** One value's text. Good for one call of `text`: after an error `steps` tells where it stands. */
class Canonical {
  private readonly steps: (string | number)[] = []
  private readonly parents: unknown[] = []

  constructor(
    private readonly root: string,
    private readonly named: ReadonlySet<string>,
    private readonly operation: string,
  ) {}

  text(value: unknown): string {
    let text: string | undefined
    try {
      text = this.write(value, true)
    } catch (thrown) {
      if (HoldfastError.isInstance(thrown)) throw thrown
      // A getter or toJSON() of the caller's, or a value nested deeper than the stack.
      throw this.refusal("can't be read", DATA, thrown)
    }
    if (text === undefined) throw this.refusal('holds no data', DATA)
    return text
  }

  /** Undefined for what is left out. `top`: this is the request's own level, where signal and headers stand. */
  private write(value: unknown, top: boolean): string | undefined {
    if (value === null) return 'null'
    switch (typeof value) {
      case 'undefined':
      case 'symbol':
        return undefined
      case 'object':
        // First, for a Buffer's toJSON() would spell it out number by number.
        if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return digest(value)
        break
      case 'bigint':
      case 'function':
        break
      default:
        return JSON.stringify(value)
    }
    if (this.parents.includes(value)) throw this.refusal('refers back to an object that holds it (a cycle)', DATA)
    this.parents.push(value)
    const text = this.writeHolder(value, top)
    this.parents.pop()
    return text
  }

  private writeHolder(value: {}, top: boolean): string | undefined {
    const { toJSON } = value as { toJSON?: unknown }
    // URL and Date are texts by this, as in JSON.
    if (typeof toJSON === 'function') return this.write(toJSON.call(value, String(this.steps.at(-1) ?? '')), top)
    if (typeof value === 'bigint') throw this.refusal('is a BigInt', `${DATA}; a BigInt as text`)
    if (typeof value === 'function') return this.writeFunction(value)
    if (Array.isArray(value)) return this.writeArray(value)
    return isPlain(value) ? this.writeFields(value as Record<string, unknown>, top) : this.writeInstance(value)
  }

  private writeArray(values: readonly unknown[]): string {
    const parts: string[] = []
    for (let index = 0; index < values.length; index++) {
      this.steps.push(index)
      // Null, as in JSON: what is left out must not move what comes after.
      parts.push(this.write(values[index], false) ?? 'null')
      this.steps.pop()
    }
    return `[${parts.join(',')}]`
  }

  private writeFields(fields: Readonly<Record<string, unknown>>, top: boolean): string {
    const parts: string[] = []
    for (const name of Object.keys(fields).sort()) {
      this.steps.push(name)
      const text = top ? this.writeCarrier(name, fields[name]) : this.write(fields[name], false)
      if (text !== undefined) parts.push(`${JSON.stringify(name)}:${text}`)
      this.steps.pop()
    }
    return `{${parts.join(',')}}`
  }

  /**
   * A field of the request itself. Only here do names decide: deeper, `signal` and `headers` are what a
   * tool calls its arguments. And plain data called `signal` is somebody's own parameter.
   */
  private writeCarrier(name: string, value: unknown): string | undefined {
    if (SIGNALS.has(name) && (value === null || !isData(value))) return undefined
    if (name !== 'headers') return this.write(value, false)
    if (value === null) return undefined
    const pairs = typeof value === 'object' ? headerPairs(value) : undefined
    return pairs === undefined ? this.write(value, false) : this.writeHeaders(pairs)
  }

  private writeHeaders(pairs: Iterable<HeaderPair>): string | undefined {
    const values = new Map<string, string>()
    for (const [name, read] of pairs) {
      const lower = name.toLowerCase()
      if (!this.named.has(lower)) continue
      const value = read()
      if (value === undefined || value === null) continue
      this.steps.push(name)
      const text = (Array.isArray(value) ? value : [value]).map((one) => this.headerText(one)).join(', ')
      this.steps.pop()
      const present = values.get(lower)
      values.set(lower, present === undefined ? text : `${present}, ${text}`)
    }
    return values.size === 0 ? undefined : this.writeFields(Object.fromEntries(values), false)
  }

  private headerText(value: unknown): string {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value)
    throw this.refusal(`is ${describe(value)}`, 'a text')
  }

  /** What a tool runs is not sent to the model. A schema is, and some libraries make one a function. */
  private writeFunction(value: object): undefined {
    if (!('~standard' in value) && this.steps.at(-1) !== 'inputSchema') return undefined
    throw this.refusal('is a function', 'a JSON schema, or a schema that has one')
  }

  /** What an instance holds privately can't be seen, so its fields alone would make different ones the same. */
  private writeInstance(value: object): string | undefined {
    if (isSignal(value)) return undefined
    const schema = value as { jsonSchema?: unknown; toJSONSchema?: unknown }
    const described = schema.jsonSchema
    if (typeof described === 'object' && described !== null) return this.write(described, false)
    // Zod's. What a model is told is the schema of what goes in.
    if (typeof schema.toJSONSchema === 'function') return this.write(schema.toJSONSchema({ io: 'input' }), false)
    const name: unknown = value.constructor?.name
    const shown = typeof name === 'string' && name !== '' ? name : 'a class'
    throw this.refusal(`is an instance of ${shown}`, insteadOf(value, shown))
  }

  private refusal(problem: string, allowed: string, cause?: unknown): HoldfastError {
    const path = this.steps.length > MOST_STEPS ? this.root : this.root + this.steps.map(stepText).join('')
    return invalid(path, `${path} ${problem}; allowed: ${allowed}`, this.operation, cause)
  }
}

/** A header's name and how to read its value: those that don't count are not even looked at. */
type HeaderPair = readonly [name: string, read: () => unknown]

/** The pairs of an object, of an array of pairs, or of a Headers; undefined for what is no headers. */
function headerPairs(headers: object): HeaderPair[] | undefined {
  if (!(Symbol.iterator in headers)) {
    if (!isPlain(headers)) return undefined
    const fields = headers as Record<string, unknown>
    // Sorted, so that a name in two spellings doesn't depend on which was set first.
    const names = Object.keys(fields).sort()
    return names.map((name) => [name, () => fields[name]] as const)
  }
  const entries = [...(headers as Iterable<unknown>)]
  const paired = entries.every((entry) => Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string')
  return paired ? (entries as [string, unknown][]).map(([name, value]) => [name, () => value] as const) : undefined
}

/** What to give in place of an instance that can't be read. */
function insteadOf(value: object, name: string): string {
  if (types.isPromise(value)) return 'what it resolves to'
  if (name === 'Blob' || name === 'File') return 'its bytes, as its arrayBuffer() gives them'
  return '~standard' in value ? 'its JSON schema' : DATA
}

function digest(bytes: ArrayBufferView | ArrayBufferLike): string {
  const [buffer, offset] = ArrayBuffer.isView(bytes) ? [bytes.buffer, bytes.byteOffset] : [bytes, 0]
  // Throws when the buffer was transferred away: read as an empty file, it would be the same as any other.
  const seen = new Uint8Array(buffer, offset, bytes.byteLength)
  // Loaded here, where it is needed, as it costs a third of what requiring the package does.
  const { createHash } = require('node:crypto') as typeof import('node:crypto')
  return `${elements(bytes)}(${seen.byteLength},${createHash('sha256').update(seen).digest('hex')})`
}

/** The same bytes are other content when they are read as floats. */
function elements(bytes: ArrayBufferView | ArrayBufferLike): string {
  if (!types.isTypedArray(bytes) || types.isUint8Array(bytes) || types.isUint8ClampedArray(bytes)) return 'bytes'
  return bytes[Symbol.toStringTag]
}

/** An object literal, of this or another global (a test runner's), or one without a prototype. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isData(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) || isPlain(value)
  return typeof value !== 'function'
}

/** By shape: a signal of another global or of a polyfill is one, too. */
function isSignal(value: object): boolean {
  const { aborted, addEventListener } = value as { aborted?: unknown; addEventListener?: unknown }
  return typeof aborted === 'boolean' && typeof addEventListener === 'function'
}
