// What the server holds, read without the package; docs/decisions/0004 has the format. Texts are latin1, so that
// each character is a byte.

const HEADER_BYTES = 42
const MAGIC = 0xf6

/** The id of the value under a key, or null for nothing. What is no value of that key is told as it is. */
export function valueOf(stored, key) {
  if (stored === null) return null
  const bytes = Buffer.from(stored, 'latin1')
  if (bytes[0] !== MAGIC || bytes[1] !== 1 || bytes[2] !== 0) return `no value: ${stored.slice(0, 40)}`
  const value = JSON.parse(bytes.toString('utf8', HEADER_BYTES))
  return value.key === key ? value.id : `a value of ${value.key}`
}

/** The stamp of a value, or of a tombstone; for reports. */
export function stampOf(stored) {
  if (stored === null) return null
  const bytes = Buffer.from(stored, 'latin1')
  const [name, from] = bytes[0] === MAGIC ? ['value', 4] : bytes[0] === 0x54 ? ['tombstone', 1] : ['lease', 17]
  return bytes.length < from + 16 ? name : `${name} ${bytes.readBigUInt64BE(from)} ${bytes.readBigUInt64BE(from + 8)}`
}
