// What one batch is written into: numbers, one text, and the bytes that fit in neither.
// The encoders in generated/operations.ts write here; batch.ts hands it over.

import type { RawArgument } from './generated/operations.js'

const INITIAL_NUMBERS = 2048
/** Above this a buffer that one large batch made grow is given back. */
const KEPT_NUMBERS = 65_536
/** Bytes up to here are copied, so that a caller may change its buffer before the batch leaves. */
const COPIED_BYTES = 65_536

export class Outbox {
  meta = new Float64Array(INITIAL_NUMBERS)
  used = 0
  text = ''
  extras: Uint8Array[] | null = null
  /** Bytes in `extras`; counts like text when it is decided whether the batch must leave. */
  extraBytes = 0
  /** Set when the batch holds bytes that were not copied: it must leave before the caller goes on. */
  urgent = false

  /** Makes room for so many numbers and answers where they start. The caller moves `used`. */
  reserve(count: number): number {
    const at = this.used
    if (at + count > this.meta.length) this.grow(at + count)
    return at
  }

  writeNumber(value: number): void {
    const at = this.reserve(1)
    this.meta[at] = value
    this.used = at + 1
  }

  writeText(text: string): void {
    this.writeNumber(text.length)
    this.text += text
  }

  writeValue(value: RawArgument): void {
    if (typeof value === 'string') this.writeText(value)
    else this.writeNumber(-(this.addBytes(value) + 1))
  }

  writeArguments(args: readonly RawArgument[]): void {
    const count = args.length
    const at = this.reserve(count + 1)
    const meta = this.meta
    meta[at] = count
    for (let index = 0; index < count; index++) {
      const argument = args[index] as RawArgument
      if (typeof argument === 'string') {
        meta[at + 1 + index] = argument.length
        this.text += argument
      } else {
        meta[at + 1 + index] = -(this.addBytes(argument) + 1)
      }
    }
    this.used = at + 1 + count
  }

  writeArgumentLists(lists: readonly (readonly RawArgument[])[]): void {
    this.writeNumber(lists.length)
    for (let index = 0; index < lists.length; index++) this.writeArguments(lists[index] as readonly RawArgument[])
  }

  /** Empties the box after its content was handed over. */
  clear(): void {
    this.used = 0
    this.text = ''
    this.extras = null
    this.extraBytes = 0
    this.urgent = false
    if (this.meta.length > KEPT_NUMBERS) this.meta = new Float64Array(INITIAL_NUMBERS)
  }

  private addBytes(bytes: Uint8Array): number {
    const extras = (this.extras ??= [])
    if (bytes.byteLength <= COPIED_BYTES) {
      extras.push(new Uint8Array(bytes))
    } else {
      extras.push(bytes)
      this.urgent = true
    }
    this.extraBytes += bytes.byteLength
    return extras.length - 1
  }

  private grow(needed: number): void {
    let length = this.meta.length * 2
    while (length < needed) length *= 2
    const meta = new Float64Array(length)
    meta.set(this.meta.subarray(0, this.used))
    this.meta = meta
  }
}
