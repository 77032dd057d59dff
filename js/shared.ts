// Values that several callers share: frozen, all the way down, so that nobody changes another's.

/** A frozen copy of a value that others have as well. What is neither an array nor a plain object stays as it is. */
export function frozenCopy<Value>(value: Value, copies = new Map<unknown, unknown>()): Value {
  if (typeof value !== 'object' || value === null) return value
  const present = copies.get(value)
  if (present !== undefined) return present as Value
  const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)
  if (!Array.isArray(value) && !isPlain) return value
  const copy: Record<PropertyKey, unknown> = Array.isArray(value)
    ? ([] as unknown as Record<PropertyKey, unknown>)
    : (Object.create(Object.getPrototypeOf(value) as object | null) as Record<PropertyKey, unknown>)
  copies.set(value, copy)
  for (const name of Object.keys(value)) {
    const inner = frozenCopy((value as Record<string, unknown>)[name], copies)
    // Not by assignment: a key may be called __proto__.
    Object.defineProperty(copy, name, { value: inner, enumerable: true, writable: true, configurable: true })
  }
  return Object.freeze(copy) as Value
}

/** The value itself, with everything in it frozen that can be. Typed arrays can't, and stay as they are. */
export function frozen<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value
  Object.freeze(value)
  for (const name of Reflect.ownKeys(value)) frozen((value as Record<PropertyKey, unknown>)[name])
  return value
}
