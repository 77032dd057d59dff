// Values by chance, of every type that structured values may have; how two of them differ, and where in one a
// stranger stands.

import type { Random } from '../support/random'

/** A finite number of any size. */
export const double = ({ unit, below }: Random): number => (unit() - 0.5) * 2 ** (below(100) - 50)

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
export function tree(random: Random): unknown {
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
        return double(random)
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
        const cause = random.pick([null, double(random), new Date(0), { at: [1n] }, new TypeError('inner')])
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
export function difference(one: unknown, other: unknown): string | null {
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
export function plant(root: unknown, stranger: unknown, random: Random): boolean {
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
export function standsAt(root: unknown, path: string): unknown {
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
