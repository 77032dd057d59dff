// One answer for several callers: each gets a value of his own, as if he had read it by himself.

import type { Found } from './inbox.js'
import { decodeValue, encodeValue, type CustomSerializer, type Serializer } from './serializers.js'

/** What a serializer of the user's own made a value of: only it can make another one. */
const stored = new WeakMap<Found, { readonly data: string | Uint8Array; readonly by: CustomSerializer }>()

/** A serializer that remembers what it read. */
export class Remembering implements CustomSerializer {
  private data: string | Uint8Array | undefined

  constructor(private readonly by: CustomSerializer) {}

  serialize(value: unknown): string | Uint8Array {
    return this.by.serialize(value)
  }

  deserialize(data: string | Uint8Array): unknown {
    // The bytes are its to keep, and to change.
    this.data = typeof data === 'string' ? data : data.slice()
    return this.by.deserialize(data)
  }

  /** It read this one, if it read anything. */
  read(found: Found | null): void {
    if (found !== null && this.data !== undefined) stored.set(found, { data: this.data, by: this.by })
    this.data = undefined
  }
}

export function isCustom(serializer: Serializer | undefined): serializer is CustomSerializer {
  return serializer !== undefined && typeof serializer !== 'string'
}

/** Another value of what was found. */
export function copyOf(found: Found): unknown {
  const { value } = found
  if (typeof value !== 'object' || value === null) return value
  const own = stored.get(found)
  if (own !== undefined) {
    const { data, by } = own
    return by.deserialize(typeof data === 'string' ? data : data.slice())
  }
  try {
    const { data, format } = encodeValue(value, 'structured', 'value', '')
    return decodeValue(data, format)
  } catch {
    // JSON may be nested deeper than V8 clones.
    return JSON.parse(JSON.stringify(value))
  }
}
