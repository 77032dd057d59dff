/// <reference lib="es2024.string" />
// What a serializer writes it reads again; what it can't write it names; what it can't read it says. The second
// half makes values by chance, compares them, and finds what stands at a path.
import { describe, expect, it } from 'vitest'
import { HoldfastError } from '../../js/errors'
import {
  FORMAT_CUSTOM,
  FORMAT_FLOATS,
  FORMAT_JSON,
  FORMAT_STRUCTURED,
} from '../../js/generated/operations'
import {
  checkSerializer,
  decodeValue,
  encodeFloats,
  encodeValue,
  type CustomSerializer,
  type Serializer,
} from '../../js/serializers'

const CASES = 500
const operation = 'cacheManager.set'

const encode = (value: unknown, serializer: Serializer = 'structured') =>
  encodeValue(value, serializer, 'value', operation)
const clone = (value: unknown) => {
  const { data, format } = encode(value)
  return decodeValue(data, format)
}

function errorOf(call: () => unknown): HoldfastError {
  try {
    call()
  } catch (thrown) {
    if (HoldfastError.isInstance(thrown)) return thrown
    throw thrown
  }
  throw new Error('nothing was thrown')
}

const seeds = Array.from({ length: CASES }, (_, seed) => seed)

describe('structured values', () => {
  it(`come back as they were: ${CASES} trees of every type`, () => {
    for (const seed of seeds) {
      const value = tree(generator(seed))
      expect(difference(clone(value), value), `seed ${seed}`).toBeNull()
    }
  })

  it('are told from others by the comparison that these tests make', () => {
    const pairs: [unknown, unknown][] = [
      [0, -0],
      [{ a: undefined }, {}],
      [[undefined], Array(1)],
      [new Map([[1, 1], [2, 2]]), new Map([[2, 2], [1, 1]])],
      [new Set([1, 2]), new Set([2, 1])],
      [new Int8Array(2), new Uint8Array(2)],
      [Buffer.from('a'), new Uint8Array([97])],
      [new Date(1), new Date(2)],
      [/a/g, /a/],
      [new TypeError('a'), new Error('a')],
      [Object(1), 1],
      [1n, 1],
    ]
    for (const [one, other] of pairs) expect(difference(one, other)).not.toBeNull()
    const shared = {}
    expect(difference([shared, shared], [{}, {}])).not.toBeNull()
  })

  it('share no memory with what was read, wherever that lies', () => {
    const view = new DataView(new ArrayBuffer(3))
    const value = [new Uint8Array([1, 2, 3]), new Float64Array([1.5, 2]), Buffer.from('abc'), view]
    const { data, format } = encode(value)
    for (let offset = 0; offset < 16; offset++) {
      const around = Buffer.alloc(data.length + 32)
      around.set(data as Uint8Array, offset)
      const read = decodeValue(around.subarray(offset, offset + data.length), format) as typeof value
      around.fill(0xff)
      expect(difference(read, value)).toBeNull()
      for (const { byteOffset, byteLength, buffer } of read) {
        expect([byteOffset, buffer.byteLength]).toEqual([0, byteLength])
      }
    }
  })

  it('hold of a Buffer only its own bytes, not the pool that it is cut from', () => {
    const before = Buffer.from('the secret of somebody else')
    const small = Buffer.from('mine')
    expect(small.buffer).toBe(before.buffer)
    const { data } = encode({ small, view: new Uint8Array(small.buffer, small.byteOffset, 2) })
    expect(data.length).toBeLessThan(64)
    expect(Buffer.from(data).includes('secret')).toBe(false)
  })

  it('keep what an object repeats and that it holds itself', () => {
    const value: Record<string, unknown> = { list: [] }
    value['self'] = value
    value['map'] = new Map<unknown, unknown>([[value, value['list']]])
    const read = clone(value) as { self: unknown; list: unknown; map: Map<unknown, unknown> }
    expect(read.self).toBe(read)
    expect(read.map.get(read)).toBe(read.list)
  })

  it('lose the class of an instance, and what only the class knows', () => {
    class Account {
      #pin = 1234
      name = 'Ada'
      get pin() {
        return this.#pin
      }
    }
    class Names extends Map<number, number> {}
    const read = clone([new Account(), new Names([[1, 2]]), new URL('http://localhost/'), new Headers({ a: 'b' })])
    expect(difference(read, [{ name: 'Ada' }, new Map([[1, 2]]), {}, {}])).toBeNull()
  })

  it('lose fields named by symbols, the place of a RegExp, and an Error\'s further fields', () => {
    const pattern = /a/g
    pattern.lastIndex = 3
    const failure = Object.assign(new RangeError('too far', { cause: { at: 1 } }), { code: 'E_FAR' })
    const read = clone({ pattern, failure, [Symbol('hidden')]: 1 }) as { pattern: RegExp; failure: RangeError }
    expect(Reflect.ownKeys(read)).toEqual(['pattern', 'failure'])
    expect(read.pattern.lastIndex).toBe(0)
    expect(read.failure).toBeInstanceOf(RangeError)
    expect(read.failure).toMatchObject({ message: 'too far', cause: { at: 1 }, stack: failure.stack })
    expect(read.failure).not.toHaveProperty('code')
  })

  it('can stand 1,000 deep in each other', () => {
    const ways = [(held: unknown) => ({ held }), (held: unknown) => [held], (held: unknown) => new Set([held])]
    for (const around of ways) {
      let value: unknown = 1
      for (let depth = 0; depth < 1000; depth++) value = around(value)
      expect(clone(value)).toBeInstanceOf(Object)
    }
  })
})

describe('what can not be cloned', () => {
  const never: [string, () => unknown][] = [
    ['a function', () => () => 'the source'],
    ['a symbol', () => Symbol('of something')],
    ['a Symbol', () => Object(Symbol('of something'))],
    ['a Promise', () => Promise.resolve(1)],
    ['a Promise', () => Object.assign(Promise.resolve(1), { id: 1 })],
    ['a WeakMap', () => new WeakMap()],
    ['a WeakSet', () => new WeakSet()],
    ['a WeakRef', () => new WeakRef({})],
    ['a Generator', () => (function* () {})()],
    ['a Map Iterator', () => new Map().keys()],
    ['an Arguments', () => (function (_: number) { return arguments })(1)],
    ['a Proxy', () => new Proxy({ a: 1 }, {})],
    ['a SharedArrayBuffer', () => new SharedArrayBuffer(1)],
    ['an Intl.NumberFormat', () => new Intl.NumberFormat()],
  ]

  it.each(never)('is refused and named: %s', (kind, make) => {
    const allowed = 'allowed: what structured clone can hold'
    for (const [value, path] of [
      [make(), 'value'],
      [{ order: { items: [{}, { price: make() }] } }, 'value.order.items[1].price'],
      [{ 'a b': [new Map([['x', new Set([1, make()])]])] }, 'value["a b"][0].get("x").values()[1]'],
      [new Map([[1, 1], [2, make()]]), 'value.values()[1]'],
      [new Map<unknown, unknown>([['a', 1], [make(), 'b']]), 'value.keys()[1]'],
      [new Error('outer', { cause: { from: make() } }), 'value.cause.from'],
      [Object.assign([1, 2], { extra: make() }), 'value.extra'],
    ] as [unknown, string][]) {
      const error = errorOf(() => encode(value))
      expect(error).toMatchObject({ code: 'E_INVALID', path, operation, message: `${path} is ${kind}; ${allowed}` })
      expect(error.cause).toBeUndefined()
    }
  })

  it('is found wherever it stands, in a value of any shape', () => {
    let planted = 0
    for (const seed of seeds) {
      const random = generator(seed)
      const value = tree(random)
      const culprit = random.pick(never)[1]()
      if (!plant(value, culprit, random)) continue
      planted++
      const error = errorOf(() => encode(value))
      expect(standsAt(value, error.path as string), `seed ${seed}: ${error.path}`).toBe(culprit)
    }
    expect(planted).toBeGreaterThan(CASES / 2)
  })

  it('is the first of several, in order, and nothing that is not written', () => {
    const unwritten = { call: () => 1 }
    const value = {
      when: Object.assign(new Date(), unwritten),
      bytes: Object.assign(new Uint8Array(1), unwritten),
      memory: Object.assign(new ArrayBuffer(1), unwritten),
      [Symbol('hidden')]: unwritten,
      '0': [{ deep: [unwritten] }],
      last: unwritten.call,
    }
    expect(errorOf(() => encode(value)).path).toBe('value["0"][0].deep[0].call')
    value['0'] = []
    expect(errorOf(() => encode(value)).path).toBe('value.last')
  })

  it('is found behind a cycle, and where the way there is longer than the stack', () => {
    const parent: Record<string, unknown> = { first: {} }
    parent['child'] = { parent, siblings: [parent] }
    parent['last'] = { call: () => 1 }
    expect(errorOf(() => encode(parent)).path).toBe('value.last.call')
    let deep: unknown = () => 1
    for (let depth = 0; depth < 50_000; depth++) deep = [deep]
    expect(errorOf(() => encode(deep)).path).toBe(`value${'[0]'.repeat(50_000)}`)
  })

  it('is an accessor that throws, and its error is the cause', () => {
    const failure = new TypeError('not yet')
    const value = { row: { get total() { throw failure } } }
    const error = errorOf(() => encode(value))
    expect(error).toMatchObject({ code: 'E_INVALID', path: 'value.row.total' })
    expect(error.cause).toBe(failure)
  })

  it('is a typed array whose memory was given away', () => {
    const gone = new Uint8Array(4)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    expect(errorOf(() => encode({ gone }))).toMatchObject({ code: 'E_INVALID', path: 'value.gone' })
  })

  it('is a value that is too deep for the stack', () => {
    let value: unknown = 1
    for (let depth = 0; depth < 50_000; depth++) value = { value }
    expect(errorOf(() => encode(value))).toMatchObject({
      code: 'E_INVALID',
      path: 'value',
      message: expect.stringContaining('nested too deeply'),
    })
  })

  it('is undefined by itself, with every serializer', () => {
    const own = { serialize: String, deserialize: String }
    for (const serializer of ['json', 'structured', own] as Serializer[]) {
      const error = errorOf(() => encode(undefined, serializer))
      expect(error).toMatchObject({ code: 'E_INVALID', path: 'value', operation })
    }
  })
})

describe('structured values that can not be read', () => {
  const value = { when: new Date(0), list: [1, 'two', 3n], bytes: new Float64Array(3), error: new Error('e') }
  const { data, format } = encode(value)
  const whole = data as Uint8Array

  it('are E_DATA, with what V8 says as the cause', () => {
    const newer = Uint8Array.from(whole)
    newer[1] = 99
    for (const wrong of [newer, whole.subarray(0, 9), new Uint8Array(0), '{"a":1}', 'text']) {
      const error = errorOf(() => decodeValue(wrong, format))
      expect(error).toMatchObject({ code: 'E_DATA', message: expect.stringContaining('another version of Node') })
      expect(error.cause).toBeInstanceOf(Error)
    }
  })

  it('are nothing but E_DATA however they are cut, and never an end of the process however they are damaged', () => {
    for (let length = 0; length < whole.length; length++) {
      expect(errorOf(() => decodeValue(whole.subarray(0, length), format)).code).toBe('E_DATA')
    }
    const random = generator(1)
    for (let round = 0; round < 5000; round++) {
      const damaged = Uint8Array.from(whole)
      for (let count = random.below(4); count >= 0; count--) damaged[random.below(damaged.length)] = random.below(256)
      try {
        decodeValue(damaged, format)
      } catch (thrown) {
        expect(thrown).toMatchObject({ name: 'HoldfastError', code: 'E_DATA' })
      }
    }
  })

  it('are E_DATA that says so when they are deeper than the stack', () => {
    // [[[...]]] as V8 writes it: each array is open (A, length 1), and nothing ends.
    const deep = Buffer.concat([Buffer.from([0xff, 0x0f]), Buffer.alloc(200_000, Buffer.from([0x41, 1]))])
    expect(errorOf(() => decodeValue(deep, format))).toMatchObject({
      code: 'E_DATA',
      message: expect.stringContaining('nested deeper'),
    })
  })
})

describe('JSON and text', () => {
  it('are written and refused as JSON is everywhere', () => {
    const value = { when: new Date(0), list: [undefined, 'ä𝄞'], gone: undefined }
    expect(encode(value, 'json')).toEqual({ data: JSON.stringify(value), format: FORMAT_JSON })
    expect(errorOf(() => encode({ list: [1n] }, 'json'))).toMatchObject({ code: 'E_INVALID', path: 'value.list[0]' })
  })

  it('leave structured values to be read whatever serializer is given', () => {
    const own = { serialize: String, deserialize: () => 'own' }
    for (const serializer of [undefined, 'json', 'structured', own] as Serializer[]) {
      const { data, format } = encode(new Set([1]))
      expect(decodeValue(data, format, serializer)).toEqual(new Set([1]))
    }
  })

  it('are not taken for a format that is not known', () => {
    const error = errorOf(() => decodeValue('1', 99))
    expect(error).toMatchObject({ code: 'E_DATA', message: expect.stringContaining('(99)') })
  })
})

describe('a serializer of one\'s own', () => {
  const reversed: CustomSerializer = {
    serialize: (value) => [...(value as string)].reverse().join(''),
    deserialize: (data: string) => [...data].reverse().join(''),
  }
  const bytes: CustomSerializer = {
    serialize: (value) => Uint8Array.from(value as number[]),
    deserialize: (data) => (data instanceof Uint8Array ? [...data] : 'bytes were written and text is read'),
  }

  it('gets its text back', () => {
    for (const text of ['', 'plain', 'ä𝄞\u0000', '\ufeffmarked', 'ÿ']) {
      const { data, format } = encode(text, reversed)
      expect(format).toBe(FORMAT_CUSTOM)
      expect(decodeValue(data, format, reversed)).toBe(text)
      expect(decodeValue(Buffer.from(data as string), format, reversed)).toBe(text)
    }
  })

  it('gets its bytes back as bytes, also those that could be text', () => {
    for (const value of [[], [0], [1, 2, 3], [...Buffer.from('text')], [0xff], [0xff, 0], [0xc3, 0x28]]) {
      const { data, format } = encode(value, bytes)
      // What is UTF-8 would come as text.
      expect(() => new TextDecoder('utf-8', { fatal: true }).decode(data as Uint8Array)).toThrow()
      expect(decodeValue(data, format, bytes)).toEqual(value)
    }
  })

  it('may keep and change the bytes that it gets, and those that it gave', () => {
    const given = Buffer.from('pooled')
    const { data, format } = encode(1, { serialize: () => given, deserialize: String })
    given.fill(0)
    const stored = Uint8Array.from(data as Uint8Array)
    const keeps: CustomSerializer = { serialize: String, deserialize: (read) => read }
    const read = decodeValue(data, format, keeps) as Uint8Array
    expect(Buffer.from(read).toString()).toBe('pooled')
    expect(read.buffer.byteLength).toBe(read.length)
    read.fill(0)
    expect(data).toEqual(stored)
  })

  it('is called as a method of its object, and may be a class', () => {
    class Counting {
      calls = 0
      serialize(value: unknown) {
        this.calls++
        return String(value)
      }
      deserialize(data: string) {
        this.calls++
        return Number(data)
      }
    }
    const counting = new Counting()
    const { data, format } = encode(5, counting)
    expect(decodeValue(data, format, counting)).toBe(5)
    expect(counting.calls).toBe(2)
    class Static {
      static serialize = JSON.stringify
      static deserialize = JSON.parse
    }
    expect(() => checkSerializer(Static, 'options.serializer', operation)).not.toThrow()
  })

  it('may make nothing but well-formed text and bytes', () => {
    const neither = [undefined, null, 1, {}, [], new Uint16Array(1), new ArrayBuffer(1), Promise.resolve('x')]
    for (const made of [...neither, 'half of a character: \ud800']) {
      const wrong = { serialize: () => made as string, deserialize: String }
      const error = errorOf(() => encode(1, wrong))
      expect(error, String(made)).toMatchObject({ code: 'E_INVALID', path: 'value', operation })
      expect(error.message).not.toContain('half of a character:')
    }
  })

  it('may throw, and what it throws is the cause', () => {
    const failure = new RangeError('too large')
    const throwing: CustomSerializer = {
      serialize: () => {
        throw failure
      },
      deserialize: () => {
        throw failure
      },
    }
    const writing = errorOf(() => encode(1, throwing))
    expect(writing).toMatchObject({ code: 'E_INVALID', path: 'value', operation })
    expect(writing.cause).toBe(failure)
    const reading = errorOf(() => decodeValue('1', FORMAT_CUSTOM, throwing))
    expect(reading.code).toBe('E_DATA')
    expect(reading.cause).toBe(failure)
  })

  it('is missed where it is not given', () => {
    for (const serializer of [undefined, 'json', 'structured'] as Serializer[]) {
      expect(errorOf(() => decodeValue('1', FORMAT_CUSTOM, serializer))).toMatchObject({
        code: 'E_DATA',
        message: expect.stringContaining('option serializer'),
      })
    }
  })
})

describe('the option', () => {
  const path = 'options.serializer'
  const good = { serialize: String, deserialize: String }

  it.each<[string, unknown]>([
    ['json', 'json'],
    ['structured', 'structured'],
    ['an object', good],
    ['an object with more', { ...good, name: 'own' }],
  ])('takes %s', (_, value) => {
    expect(() => checkSerializer(value, path, operation)).not.toThrow()
  })

  it.each<[string, unknown, string]>([
    ['undefined', undefined, path],
    ['null', null, path],
    ['another text', 'msgpack', path],
    ['a number', 1, path],
    ['an array', [good], path],
    ['an object without functions', {}, `${path}.serialize`],
    ['an object with one of them', { serialize: String }, `${path}.deserialize`],
    ['an async function', { ...good, serialize: async () => '' }, `${path}.serialize`],
    ['another async function', { ...good, deserialize: async () => '' }, `${path}.deserialize`],
  ])('refuses %s', (_, value, field) => {
    const error = errorOf(() => checkSerializer(value, path, operation))
    expect(error).toMatchObject({ code: 'E_INVALID', path: field, operation })
    expect(error.message).toMatch(new RegExp(String.raw`^${field} is .+; allowed: .+`))
    expect(error.message).not.toContain('msgpack')
  })
})

describe('vectors', () => {
  const floats = (vector: unknown) => encodeFloats(vector as number[], 'vector', 'vectors.set')

  it('come back as the nearest 32-bit floats', () => {
    const random = generator(2)
    for (let round = 0; round < CASES; round++) {
      const vector = Array.from({ length: 1 + random.below(40) }, () => random.double())
      const rounded = Float32Array.from(vector)
      for (const given of [vector, Float64Array.from(vector), rounded]) {
        expect(difference(decodeValue(floats(given), FORMAT_FLOATS), rounded)).toBeNull()
      }
    }
    const edges = decodeValue(floats([-0, 1e-50, 3.4e38]), FORMAT_FLOATS)
    expect(difference(edges, Float32Array.of(-0, 0, 3.4e38))).toBeNull()
  })

  it('are little endian', () => {
    expect(floats([1, -2])).toEqual(Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0))
  })

  it('are read from anywhere into memory of their own', () => {
    const data = floats([1, 2, 3])
    for (let offset = 0; offset < 8; offset++) {
      const around = new Uint8Array(32)
      around.set(data, offset)
      const read = decodeValue(around.subarray(offset, offset + data.length), FORMAT_FLOATS) as Float32Array
      around.fill(0xff)
      expect(read).toEqual(Float32Array.of(1, 2, 3))
      expect(read.buffer.byteLength).toBe(12)
    }
  })

  it('are read where their bytes happen to be text', () => {
    const data = floats([0, 2, 32])
    const text = Buffer.from(data).toString()
    expect(Buffer.from(text).equals(data)).toBe(true)
    expect(decodeValue(text, FORMAT_FLOATS)).toEqual(Float32Array.of(0, 2, 32))
  })

  it('are E_DATA where there is half a number', () => {
    for (const length of [1, 2, 3, 5]) {
      expect(errorOf(() => decodeValue(new Uint8Array(length), FORMAT_FLOATS))).toMatchObject({
        code: 'E_DATA',
        message: expect.stringContaining(`${length} bytes`),
      })
    }
  })

  it.each<[string, unknown, string]>([
    ['an empty array', [], 'vector'],
    ['an empty Float32Array', new Float32Array(0), 'vector'],
    ['undefined', undefined, 'vector'],
    ['null', null, 'vector'],
    ['a text', '1,2', 'vector'],
    ['an object', { length: 1, 0: 1 }, 'vector'],
    ['whole numbers in an Int32Array', Int32Array.of(1), 'vector'],
    ['NaN', [1, Number.NaN], 'vector[1]'],
    ['Infinity', Float32Array.of(1, 2, Infinity), 'vector[2]'],
    ['a number that is infinite as a float', [1, 1e39], 'vector[1]'],
    ['a text among numbers', [1, '2'], 'vector[1]'],
    ['a hole', [1, , 3], 'vector[1]'],
    ['a BigInt', [1n], 'vector[0]'],
  ])('are not made of %s', (_, vector, path) => {
    const error = errorOf(() => floats(vector))
    expect(error).toMatchObject({ code: 'E_INVALID', path, operation: 'vectors.set' })
    expect(error.message).toMatch(/^vector.* is .+; allowed: .+/)
  })

  it('are not taken for structured values', () => {
    expect(errorOf(() => decodeValue(floats([1]), FORMAT_STRUCTURED)).code).toBe('E_DATA')
  })
})

// -- Values by chance, how two of them differ, and where in one a stranger stands.

interface Random {
  /** A whole number from 0, below the bound. */
  below(bound: number): number
  /** A finite number of any size. */
  double(): number
  pick<Item>(items: readonly Item[]): Item
}

/** mulberry32: small, and good enough to choose by. */
function generator(seed: number): Random {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    below,
    double: () => (next() - 0.5) * 2 ** (below(100) - 50),
    pick: (items) => items[below(items.length)] as (typeof items)[number],
  }
}

const VIEWS = [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
  Float32Array, Float64Array, BigInt64Array, BigUint64Array,
]
const ERRORS = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]
const NAMES = ['a', 'b', 'name with spaces', '', '0', '17', '-1', 'ключ', '𝄞', '__proto__', 'constructor', 'toString']
const TEXTS = ['', 'plain', 'ä', 'ключ', '𝄞', '\ud800', '\u0000', '{"a":1}', 'x'.repeat(300), 'ж'.repeat(100)]
const NUMBERS = [0, -0, 1, -1, 2 ** 30, 2 ** 31, 2 ** 53, 1.5, 5e-324, Number.MAX_VALUE, NaN, Infinity, -Infinity]
const BIGINTS = [0n, 1n, -1n, 2n ** 63n, -(2n ** 64n), 2n ** 200n + 7n]

/** A value of some depth. Objects in it stand in several places, and hold themselves. */
function tree(random: Random): unknown {
  const made: object[] = []
  const keep = <Made extends object>(object: Made): Made => {
    made.push(object)
    return object
  }
  const some = (most: number): undefined[] => Array.from({ length: random.below(most + 1) })
  // The root is always a container, so that there is something to look into.
  const value = (depth: number): unknown =>
    depth > 0 && (depth === 5 || random.below(3) > 0) ? container(depth - 1) : leaf()

  function container(depth: number): unknown {
    switch (random.below(6)) {
      case 0: {
        const list = keep([] as unknown[])
        for (const _ of some(5)) {
          // Now and then a hole.
          if (random.below(8) === 0) list.length++
          else list.push(value(depth))
        }
        if (random.below(6) === 0) Object.assign(list, { extra: value(depth) })
        return list
      }
      case 1: {
        const map = keep(new Map<unknown, unknown>())
        for (const _ of some(4)) map.set(value(random.below(2) * depth), value(depth))
        return map
      }
      case 2: {
        const set = keep(new Set<unknown>())
        for (const _ of some(4)) set.add(value(depth))
        return set
      }
      default: {
        const object = keep({})
        for (const _ of some(5)) {
          const of = { value: value(depth), enumerable: true, configurable: true, writable: true }
          // A plain assignment to __proto__ would make no field.
          Object.defineProperty(object, random.pick(NAMES), of)
        }
        return object
      }
    }
  }

  function leaf(): unknown {
    switch (random.below(16)) {
      case 0:
        return undefined
      case 1:
        return null
      case 2:
        return random.below(2) === 0
      case 3:
        return random.pick(NUMBERS)
      case 4:
        return random.double()
      case 5:
        return random.pick(TEXTS)
      case 6:
        return random.pick(BIGINTS)
      case 7:
        return keep(new Date(random.pick([0, -1, 1.7e12, 8.64e15, Number.NaN])))
      case 8:
        return keep(new RegExp(random.pick(['a+', '(?<name>ключ)', '', '/']), random.pick(['', 'g', 'gimsuy', 'v'])))
      case 9:
        return keep(Object(random.pick([1, -0, 'text', true, 7n])) as object)
      case 10:
        return keep(Uint8Array.from(bytes(random)).buffer)
      case 11:
        return keep(new DataView(Uint8Array.from([...bytes(random), 1, 2, 3]).buffer, 1, 2))
      case 12:
        return keep(Buffer.from(bytes(random)))
      case 13: {
        const Kind = random.pick(ERRORS)
        // Of its own: an Error among its own causes is written and can't be read again.
        const cause = random.pick([null, random.double(), new Date(0), { at: [1n] }, new TypeError('inner')])
        return keep(new Kind(random.pick(TEXTS), random.below(2) === 0 ? undefined : { cause }))
      }
      case 14:
        return made.length > 0 ? random.pick(made) : null
      default: {
        const View = random.pick(VIEWS)
        const size = View.BYTES_PER_ELEMENT
        const content = Uint8Array.from(bytes(random, size * 4)).buffer
        // Now and then a part of a larger memory.
        return keep(random.below(2) === 0 ? new View(content) : new View(content, size, 2))
      }
    }
  }

  return value(5)
}

function bytes(random: Random, length = random.below(20)): number[] {
  return Array.from({ length }, () => random.below(256))
}

/** The first place where two values differ, or null; also in kind, in order, and in which objects are the same. */
function difference(one: unknown, other: unknown): string | null {
  const partners = new Map<object, object>()
  const taken = new Set<object>()

  function at(a: unknown, b: unknown, path: string): string | null {
    if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b) ? null : path
    if (partners.has(a) || taken.has(b)) return partners.get(a) === b ? null : `${path} (which object it is)`
    partners.set(a, b)
    taken.add(b)
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return `${path} (its kind)`
    return list(partsOf(a), partsOf(b), path)
  }

  function list(a: unknown[], b: unknown[], path: string): string | null {
    if (a.length !== b.length) return `${path} (its length)`
    for (const [index, item] of a.entries()) {
      const found = at(item, b[index], `${path}/${index}`)
      if (found !== null) return found
    }
    return null
  }

  return at(one, other, '')
}

/** All that makes an object what it is, in order. */
function partsOf(object: object): unknown[] {
  if (ArrayBuffer.isView(object)) return [...new Uint8Array(object.buffer, object.byteOffset, object.byteLength)]
  if (object instanceof ArrayBuffer) return [...new Uint8Array(object)]
  if (object instanceof Date) return [object.getTime()]
  if (object instanceof RegExp) return [object.source, object.flags]
  if (object instanceof Map) return [...object].flat()
  if (object instanceof Set) return [...object]
  if (object instanceof Error) {
    return [object.name, object.message, object.stack, Object.hasOwn(object, 'cause'), object.cause]
  }
  if (object instanceof Number || object instanceof String || object instanceof Boolean || object instanceof BigInt) {
    return [object.valueOf()]
  }
  // The names show holes, and the order of fields.
  const fields = Object.keys(object).flatMap((name) => [name, (object as Record<string, unknown>)[name]])
  return Array.isArray(object) ? [object.length, ...fields] : fields
}

/** Puts a stranger into one of the containers of a tree. False when there is none to put it into. */
function plant(root: unknown, stranger: unknown, random: Random): boolean {
  const containers = [...reachable(root)].filter((object) => isContainer(object))
  if (containers.length === 0) return false
  const into = random.pick(containers)
  if (into instanceof Map) random.below(2) === 0 ? into.set(stranger, 1) : into.set('planted', stranger)
  else if (into instanceof Set) into.add(stranger)
  else if (into instanceof Error) into.cause = stranger
  else if (Array.isArray(into)) into.splice(random.below(into.length + 1), 0, stranger)
  else (into as Record<string, unknown>)[random.pick(['planted', 'a', 'planted here'])] = stranger
  return true
}

function isContainer(object: object): boolean {
  const kinds = [Object.prototype, Array.prototype, Map.prototype, Set.prototype]
  return kinds.includes(Object.getPrototypeOf(object)) || object instanceof Error
}

function reachable(root: unknown, seen = new Set<object>()): Set<object> {
  if (typeof root !== 'object' || root === null || seen.has(root)) return seen
  seen.add(root)
  if (isContainer(root)) for (const part of partsOf(root)) reachable(part, seen)
  return seen
}

const STEPS = /\.get\((".*?(?<!\\)")\)|\.(keys|values)\(\)\[(\d+)\]|\[(\d+|".*?(?<!\\)")\]|\.([\w$]+)/gy

/** What stands at a path as errors write it. */
function standsAt(root: unknown, path: string): unknown {
  let value = root
  let read = 'value'.length
  for (const [step, key, list, index, item, name] of path.slice(read).matchAll(STEPS)) {
    read += step.length
    if (key !== undefined) value = (value as Map<unknown, unknown>).get(JSON.parse(key))
    else if (list === 'keys') value = [...(value as Map<unknown, unknown>).keys()][Number(index)]
    else if (list === 'values') value = [...(value as Set<unknown>).values()][Number(index)]
    else value = Reflect.get(value as object, name ?? (JSON.parse(item as string) as string | number))
  }
  return read === path.length ? value : undefined
}
