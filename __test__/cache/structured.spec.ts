/// <reference lib="es2024.string" />
// Structured values come back as they were; what can't be one is named by its path; what can't be read is said.
import { describe, expect, it } from 'vitest'
import { decodeValue, type Serializer } from '../../js/serializers'
import { generator } from '../support/random'
import { CASES, clone, encode, errorOf, operation, seeds } from './encoded'
import { difference, plant, standsAt, tree } from './trees'

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
