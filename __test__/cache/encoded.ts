// What the tests of serializers share.
import { HoldfastError } from '../../js/errors'
import { decodeValue, encodeValue, type Serializer } from '../../js/serializers'

export const CASES = 500
export const operation = 'cacheManager.set'
export const seeds = Array.from({ length: CASES }, (_, seed) => seed)

export const encode = (value: unknown, serializer: Serializer = 'structured') =>
  encodeValue(value, serializer, 'value', operation)
export const clone = (value: unknown) => {
  const { data, format } = encode(value)
  return decodeValue(data, format)
}

export function errorOf(call: () => unknown): HoldfastError {
  try {
    call()
  } catch (thrown) {
    if (HoldfastError.isInstance(thrown)) return thrown
    throw thrown
  }
  throw new Error('nothing was thrown')
}
