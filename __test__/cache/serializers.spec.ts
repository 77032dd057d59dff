// JSON, text, vectors and serializers of one's own: what they write they read again, and what they can't is said.
import { describe, expect, it } from 'vitest'
import { FORMAT_CUSTOM, FORMAT_FLOATS, FORMAT_JSON, FORMAT_STRUCTURED } from '../../js/generated/operations'
import { checkSerializer, decodeValue, encodeFloats, type CustomSerializer, type Serializer } from '../../js/serializers'
import { generator } from '../support/random'
import { CASES, encode, errorOf, operation } from './encoded'
import { difference, double } from './trees'

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
      const vector = Array.from({ length: 1 + random.below(40) }, () => double(random))
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
