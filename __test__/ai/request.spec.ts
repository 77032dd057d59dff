// Which requests to a model are the same one. Laws on random requests first: the key must not split what is
// the same, and above all not join what isn't. Then what each kind of value counts as, and what is refused.

import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'

import { requestText, type AIKeyOptions, type AIParameters, type AIPrompt } from '../../js/ai/request'
import type { HoldfastError } from '../../js/errors'
import { canonicalJson } from '../../js/values'
import { generator, type Random } from '../support/random'

const OPERATION = 'AICacheManager.getCachedResponse'
const SEEDS = Array.from({ length: 300 }, (_, seed) => seed)

const textOf = (prompt: AIPrompt, parameters?: AIParameters, options?: AIKeyOptions) =>
  requestText(prompt, 'm', parameters, options, OPERATION)
const same = (one: unknown, other: unknown) => expect(textOf({ one })).toBe(textOf({ one: other }))
const apart = (one: unknown, other: unknown) => expect(textOf({ one })).not.toBe(textOf({ one: other }))

type Fields = Record<string, unknown>

const NAMES = ['a', 'b', 'B', '10', '9', '', 'é', '__proto__', 'constructor', 'a "quote"', 'signal', 'headers']
const TEXTS = ['', 'a', 'null', '1', '{"a":1}', '"', '\\', '\ud800', '\u2028', 'bytes(1,00)', '😀']
const LEAVES: readonly unknown[] = [null, true, false, 0, -0, 1, -1.5, 1e21, 1e-7, 2 ** 53, ...TEXTS]
/** What JSON has a rule of its own for. */
const ODD: readonly unknown[] = [undefined, NaN, Infinity, () => 1, Symbol('s'), new Date(5), new URL('https://a.b/?c')]

/** Array or object, or a leaf; `fromEntries` because it makes a field even of `__proto__`. */
function tree(random: Random, leaves: readonly unknown[], depth: number): unknown {
  const kind = random.unit()
  if (depth === 0 || kind < 0.4) return random.pick(leaves)
  if (kind < 0.65) return Array.from({ length: random.below(4) }, () => tree(random, leaves, depth - 1))
  return fields(random, leaves, depth - 1)
}

const fields = (random: Random, leaves: readonly unknown[], depth: number, names: readonly string[] = NAMES): Fields =>
  Object.fromEntries(Array.from({ length: random.below(5) }, () => [random.pick(names), tree(random, leaves, depth)]))

/** On a request's own level these two names have rules of their own. */
const PLAIN_NAMES = NAMES.filter((name) => name !== 'headers' && name !== 'signal')

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** The same data with every object made anew by `change`. */
function remade(value: unknown, change: (entries: [string, unknown][]) => [string, unknown][]): unknown {
  if (Array.isArray(value)) return value.map((one) => remade(one, change))
  if (!isFields(value)) return value
  return Object.fromEntries(change(Object.entries(value).map(([name, one]) => [name, remade(one, change)])))
}

function shuffled<T>(random: Random, values: readonly T[]): T[] {
  const rest = [...values]
  return values.map(() => rest.splice(random.below(rest.length), 1)[0] as T)
}

describe('laws', () => {
  it('of plain parameters the text is the canonical JSON that it always was, so keys stay', () => {
    for (const seed of SEEDS) {
      const random = generator(seed)
      const prompt = random.pick(TEXTS)
      const parameters = random.unit() < 0.1 ? undefined : fields(random, [...LEAVES, ...ODD], 4, PLAIN_NAMES)
      const before = canonicalJson({ model: 'm', parameters: parameters ?? {}, prompt }, 'parameters', OPERATION)
      expect(textOf(prompt, parameters), `seed ${seed}`).toBe(before)
    }
  })

  it('the order in which fields were set does not count', () => {
    const leaves = [...LEAVES, ...ODD, new Uint8Array([1, 2])]
    for (const seed of SEEDS) {
      const random = generator(seed)
      const prompt = fields(random, leaves, 4)
      const parameters = fields(random, leaves, 4)
      const shuffle = (value: Fields) => remade(value, (entries) => shuffled(random, entries)) as Fields
      const options = { headers: ['A', 'b'] }
      const text = attempt(() => textOf(prompt, parameters, options))
      expect(attempt(() => textOf(shuffle(prompt), shuffle(parameters), options)), `seed ${seed}`).toEqual(text)
    }
  })

  it('requests have one text exactly when prompt, model and parameters are the same', () => {
    const bytes = [new Uint8Array([]), new Uint8Array([1]), new Uint8Array([1, 0])]
    const hash = /bytes\(1,\w+\)/.exec(textOf({ one: new Uint8Array([1]) }))?.[0]
    const alike = [hash, { bytes: hash }, { 0: 1 }, [1], { type: 'Buffer', data: [1] }]
    const leaves = [0, 1, 'a', '', null, ...bytes, ...alike]
    const random = generator(7)
    const request = () => ({
      prompt: random.pick<() => AIPrompt>([
        () => random.pick(['a', '', '{}', '[]']),
        () => [tree(random, leaves, 1)],
        () => fields(random, leaves, 1, ['a', 'b']),
      ])(),
      model: random.pick(['m', 'n', 'm","prompt":"a']),
      parameters: fields(random, leaves, 1, ['a', 'b', 'model', 'prompt']),
    })
    const requests = Array.from({ length: 1000 }, request)
    const texts = requests.map((one) => requestText(one.prompt, one.model, one.parameters, undefined, OPERATION))
    let alikes = 0
    for (let one = 0; one < requests.length; one++) {
      for (let other = 0; other < one; other++) {
        const equal = isDeepStrictEqual(requests[one], requests[other])
        if (equal) alikes++
        // Not an expect() for each of the many pairs.
        if (equal !== (texts[one] === texts[other])) expect(requests[one]).toEqual([texts[one], requests[other]])
      }
    }
    // Else the law was asked about different requests only.
    expect(alikes).toBeGreaterThan(50)
  })

  it('what says nothing about the answer never counts, wherever it stands', () => {
    const noise = [undefined, () => 1, async () => 2, Symbol('s'), new AbortController().signal, AbortSignal.abort()]
    for (const seed of SEEDS) {
      const random = generator(seed)
      const prompt = fields(random, LEAVES, 3, PLAIN_NAMES)
      const parameters = fields(random, LEAVES, 3, PLAIN_NAMES)
      const noisy = (): [string, unknown] => [`noise ${random.below(9)}`, random.pick(noise)]
      const add = (value: Fields) => remade(value, (entries) => shuffled(random, [...entries, noisy()])) as Fields
      const carriers = { headers: { 'user-agent': `ai/${seed}` }, abortSignal: new AbortController().signal }
      const text = textOf(prompt, parameters)
      expect(textOf({ ...add(prompt), ...carriers }, { ...add(parameters), ...carriers }), `seed ${seed}`).toBe(text)
    }
  })
})

/** A text or the path of the error: random headers can be refused. */
function attempt(text: () => string): unknown {
  try {
    return text()
  } catch (error) {
    return { refused: (error as { path?: string }).path }
  }
}

describe('what counts', () => {
  it('is model, prompt and each parameter', () => {
    const texts = [
      requestText('p', 'm', undefined, undefined, OPERATION),
      requestText('p', 'n', undefined, undefined, OPERATION),
      requestText('q', 'm', undefined, undefined, OPERATION),
      requestText('p', 'm', { temperature: 0 }, undefined, OPERATION),
      requestText({ messages: ['p'] }, 'm', undefined, undefined, OPERATION),
      requestText(['p'], 'm', undefined, undefined, OPERATION),
      requestText('["p"]', 'm', undefined, undefined, OPERATION),
    ]
    expect(new Set(texts).size).toBe(texts.length)
    expect(texts[0]).toBe('{"model":"m","parameters":{},"prompt":"p"}')
    expect(textOf('p', {})).toBe(texts[0])
  })

  it('is the order of messages', () => apart(['a', 'b'], ['b', 'a']))

  it('is the place in an array, also after what is left out', () => {
    same([() => 1, 'a'], [null, 'a'])
    apart([undefined, 'a'], ['a'])
  })

  it('is an object twice, where it stands twice', () => {
    const shared = { a: 1 }
    same([shared, { b: shared }], [{ a: 1 }, { b: { a: 1 } }])
  })
})

describe('bytes', () => {
  const picture = new Uint8Array([1, 2, 3])
  const shared = new SharedArrayBuffer(3)
  new Uint8Array(shared).set(picture)

  it('count by length and SHA-256, and their content is not in the text', () => {
    const sha256 = '039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81'
    expect(textOf([picture])).toBe(`{"model":"m","parameters":{},"prompt":[bytes(3,${sha256})]}`)
    expect(textOf([new Uint8Array(1_000_000)]).length).toBeLessThan(200)
  })

  it.each<[string, unknown]>([
    ['a Buffer', Buffer.from([1, 2, 3])],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
    ['a part of a larger buffer', new Uint8Array([9, 1, 2, 3, 9]).subarray(1, 4)],
    ['a DataView', new DataView(new Uint8Array([9, 1, 2, 3]).buffer, 1)],
    ['shared memory', shared],
    ['an array of another global', runInNewContext('new Uint8Array([1, 2, 3])')],
  ])('are the same in %s', (_, bytes) => same(bytes, picture))

  it.each<[string, unknown]>([
    ['other bytes', new Uint8Array([1, 2, 4])],
    ['fewer bytes', new Uint8Array([1, 2])],
    ['the numbers', [1, 2, 3]],
    ['what JSON makes of them', { 0: 1, 1: 2, 2: 3 }],
    ['their base64', 'AQID'],
  ])('are not %s', (_, other) => apart(picture, other))

  it('are other content when they are floats', () => {
    const floats = new Float32Array([1])
    apart(floats, new Uint8Array(floats.buffer))
    apart(floats, new Int32Array(floats.buffer))
    same(floats, new Float32Array([1]))
  })

  it('of length 0 are bytes, but those of a buffer that was transferred away are refused', () => {
    same(new Uint8Array(0), new ArrayBuffer(0))
    same(new Uint8Array(new ArrayBuffer(8), 8), new Uint8Array(0))
    const gone = new Uint8Array(3)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    refuses(() => textOf([gone]), 'prompt[0]', "can't be read")
    refuses(() => textOf([gone.buffer]), 'prompt[0]', "can't be read")
  })
})

describe('objects that are no plain data', () => {
  it('are a URL by its href and a Date by its ISO form', () => {
    same(new URL('https://a.b/c'), 'https://a.b/c')
    same(new Date(0), '1970-01-01T00:00:00.000Z')
  })

  it('are whatever toJSON() says, which gets its field name as in JSON', () => {
    class Money {
      #cents = 5
      toJSON(name: string) {
        return { cents: this.#cents, name }
      }
    }
    same(new Money(), { cents: 5, name: 'one' })
    same({ toJSON: () => new Uint8Array([1]) }, new Uint8Array([1]))
    same({ a: { toJSON: () => undefined } }, {})
  })

  it('are a schema by its JSON schema', () => {
    const described = { type: 'object', properties: { city: { type: 'string' } } }
    class Schema {
      validate = () => true
      constructor(readonly jsonSchema: object) {}
    }
    class ZodLike {
      def = { private: new Map() }
      toJSONSchema = (options: { io: string }) => ({ ...described, io: options.io })
    }
    same(new Schema(described), described)
    same(new ZodLike(), { ...described, io: 'input' })
  })

  it('are an object with a field jsonSchema by all its fields', () => {
    same({ jsonSchema: { type: 'object' }, validate: () => true }, { jsonSchema: { type: 'object' } })
    apart({ jsonSchema: { type: 'object' }, strict: true }, { jsonSchema: { type: 'object' }, strict: false })
  })

  it('are not objects of another global, or without a prototype: those are plain', () => {
    same(runInNewContext('({ b: [1], a: { c: 2 } })'), { a: { c: 2 }, b: [1] })
    same(Object.assign(Object.create(null), { a: 1 }), { a: 1 })
  })
})

describe('what carries a request', () => {
  it('leaves out the functions of tools, and keeps what describes them', () => {
    const weather = (description: string) => ({
      weather: { description, inputSchema: { type: 'object' }, execute: async () => description },
    })
    const tools = { weather: { description: 'a', inputSchema: { type: 'object' } } }
    expect(textOf('p', { tools: weather('a') })).toBe(textOf('p', { tools }))
    expect(textOf('p', { tools: weather('a') })).not.toBe(textOf('p', { tools: weather('b') }))
  })

  it('leaves out signals of any make, by name on its own level and by what they are below', () => {
    class Cancellation {
      cancelled = false
    }
    const { signal } = new AbortController()
    const foreign = { __proto__: { __proto__: {} }, aborted: false, addEventListener() {} }
    for (const one of [signal, foreign, new Cancellation(), new AbortController(), () => true, null, undefined]) {
      expect(textOf({ q: 1, signal: one }, { abortSignal: one })).toBe(textOf({ q: 1 }))
    }
    for (const one of [signal, foreign]) same({ cancel: one }, {})
  })

  it('keeps data that is only called signal or headers', () => {
    expect(textOf('p', { signal: 'buy' })).not.toBe(textOf('p', { signal: 'sell' }))
    expect(textOf('p', { headers: 'Name, Age' })).not.toBe(textOf('p', { headers: 'Name' }))
    expect(textOf('p', { headers: ['Name', 'Age'] })).not.toBe(textOf('p', { headers: ['Name'] }))
    const tool = (properties: object) => textOf('p', { tools: [{ inputSchema: { properties } }] })
    expect(tool({ signal: { type: 'string' } })).not.toBe(tool({ signal: { type: 'number' } }))
    expect(tool({ headers: { type: 'string' } })).not.toBe(tool({ headers: { type: 'number' } }))
  })

  it.each<[string, (headers: Record<string, string>) => unknown]>([
    ['an object', (headers) => headers],
    ['a Headers', (headers) => new Headers(headers)],
    ['pairs', (headers) => Object.entries(headers)],
    ['a Map', (headers) => new Map(Object.entries(headers))],
  ])('counts of headers in %s the named ones, in any case', (_, make) => {
    const text = (headers: Record<string, string>, names?: string[]) =>
      textOf('p', { headers: make(headers) }, names && { headers: names })
    expect(text({ 'User-Agent': 'ai/7', Authorization: 'Bearer x' })).toBe(textOf('p'))
    expect(text({ 'User-Agent': 'ai/7' }, ['x-tenant'])).toBe(textOf('p'))
    expect(text({})).toBe(textOf('p'))
    const one = text({ 'X-Tenant': 'one', 'user-agent': 'ai/7' }, ['x-TENANT'])
    expect(one).toBe('{"model":"m","parameters":{"headers":{"x-tenant":"one"}},"prompt":"p"}')
    expect(text({ 'x-tenant': 'one' }, ['X-Tenant'])).toBe(one)
    expect(text({ 'x-tenant': 'two' }, ['X-Tenant'])).not.toBe(one)
    expect(text({ 'x-tenant': 'one' })).not.toBe(one)
  })

  it('counts named headers of a prompt that is a whole call', () => {
    const call = (tenant: string) => ({ messages: [], headers: { 'x-tenant': tenant, date: tenant } })
    expect(textOf(call('a'))).toBe(textOf(call('b')))
    const named = { headers: ['x-tenant'] }
    expect(textOf(call('a'), undefined, named)).not.toBe(textOf(call('b'), undefined, named))
  })

  it('joins the values of one header, whatever the order of its spellings', () => {
    const text = (headers: object) => textOf('p', { headers }, { headers: ['x-a'] })
    expect(text({ 'x-a': ['1', '2'] })).toBe(text({ 'x-a': '1, 2' }))
    expect(text({ 'X-A': '1', 'x-a': 2 })).toBe(text({ 'x-a': 2, 'X-A': '1' }))
    expect(text({ 'x-a': undefined, 'X-A': null })).toBe(textOf('p'))
  })

  it('does not look at headers that do not count', () => {
    const headers = Object.defineProperty({}, 'authorization', {
      enumerable: true,
      get: () => expect.unreachable('the header was read'),
    })
    expect(textOf('p', { headers }, { headers: ['x-tenant'] })).toBe(textOf('p'))
  })
})

/** Asks, and looks at the error: the field, what is wrong with it, what is allowed instead, the call. */
function refuses(ask: () => unknown, path: string, problem: string, allowed = '') {
  const error = caught(ask)
  expect(error).toMatchObject({ name: 'HoldfastError', code: 'E_INVALID', path, operation: OPERATION })
  expect(error.message).toContain(`; allowed: ${allowed}`)
  expect(error.message.slice(0, `${path} ${problem}`.length)).toBe(`${path} ${problem}`)
  return error
}

function caught(ask: () => unknown): HoldfastError {
  try {
    ask()
  } catch (error) {
    return error as HoldfastError
  }
  return expect.unreachable('nothing was thrown')
}

class Weather {
  city = 'x'
}

describe('what is refused', () => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['a function', () => 'p'],
  ])('is %s as prompt', (shown, prompt) => {
    refuses(() => textOf(prompt as string), 'prompt', `is ${shown}`, 'a text, an object or an array')
  })

  it('is a prompt or parameters that hold no data', () => {
    const { signal } = new AbortController()
    refuses(() => textOf(signal), 'prompt', 'holds no data')
    refuses(() => textOf({ toJSON: () => undefined }), 'prompt', 'holds no data')
    refuses(() => textOf('p', signal as never), 'parameters', 'holds no data')
  })

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['empty', ''],
    ['an object', {}],
  ])('is a model that is %s', (shown, model) => {
    const ask = () => requestText('p', model as string, undefined, undefined, OPERATION)
    refuses(ask, 'model', `is ${shown}`, 'the name of a model')
  })

  it.each<[string, unknown]>([
    ['null', null],
    ['an array', []],
    ['a string', 's'],
  ])('is %s as parameters', (shown, parameters) => {
    refuses(() => textOf('p', parameters as AIParameters), 'parameters', `is ${shown}`, 'an object')
  })

  it.each<[string, string, unknown]>([
    ['options.headers', 'is a string', 'x-tenant'],
    ['options.headers[1]', 'is a number', ['a', 5]],
    ['options.headers[0]', 'is empty', ['']],
  ])('is %s that %s', (path, problem, headers) => {
    refuses(() => textOf('p', {}, { headers } as never), path, problem)
  })

  it.each<[string, string, unknown]>([
    ['is an instance of RegExp', 'plain data', /a/],
    ['is an instance of Map', 'plain data', new Map([['a', 1]])],
    ['is an instance of Set', 'plain data', new Set([1])],
    ['is an instance of Weather', 'plain data', new Weather()],
    ['is an instance of a class', 'plain data', new (class {})()],
    ['is an instance of Error', 'plain data', new Error('x')],
    ['is an instance of RegExp', 'plain data', runInNewContext('/a/')],
    ['is an instance of Promise', 'what it resolves to', Promise.resolve(1)],
    ['is an instance of Blob', 'its bytes', new Blob(['a'])],
    ['is an instance of File', 'its bytes', new File(['a'], 'a.txt')],
    ['is an instance of Zod3', 'its JSON schema', Object.assign(new (class Zod3 {})(), { '~standard': {} })],
    ['is a function', 'a JSON schema', Object.assign(() => 1, { '~standard': {} })],
    ['is a BigInt', 'plain data', 5n],
  ])('is what %s, and the error says where and what else to give', (problem, allowed, value) => {
    refuses(() => textOf('p', { tools: [{ x: value }] }), 'parameters.tools[0].x', problem, allowed)
    refuses(() => textOf('p', { 'with space': value }), 'parameters["with space"]', problem, allowed)
    refuses(() => textOf(['a', { content: [value] }]), 'prompt[1].content[0]', problem, allowed)
  })

  it('is a schema as a function: what it would give decides the answer', () => {
    const lazy = { tools: { weather: { inputSchema: () => ({ type: 'object' }) } } }
    refuses(() => textOf('p', lazy), 'parameters.tools.weather.inputSchema', 'is a function', 'a JSON schema')
  })

  it('is a cycle', () => {
    const message: Fields = { role: 'user' }
    message['parts'] = [{ message }]
    refuses(() => textOf([message]), 'prompt[0].parts[0].message', 'refers back')
  })

  it('is what throws when it is read, with the cause', () => {
    const cause = new Error('no')
    const throwing = {
      get secret(): string {
        throw cause
      },
    }
    const error = refuses(() => textOf('p', { a: [throwing] }), 'parameters.a[0].secret', "can't be read")
    expect(error.cause).toBe(cause)
  })

  it('is what is nested deeper than the stack, without a path of that length', () => {
    let deep: unknown = []
    for (let level = 0; level < 100_000; level++) deep = [deep]
    refuses(() => textOf([deep]), 'prompt', "can't be read")
  })

  it('is a named header that is no text', () => {
    const ask = () => textOf('p', { headers: { 'X-Tenant': { id: 1 } } }, { headers: ['x-tenant'] })
    refuses(ask, 'parameters.headers["X-Tenant"]', 'is an object', 'a text')
  })

  it('is never shown by its content', () => {
    const secret = Object.assign(new Weather(), { token: 'sk-secret' })
    expect(JSON.stringify(caught(() => textOf('p', { secret })))).not.toContain('sk-secret')
  })
})
