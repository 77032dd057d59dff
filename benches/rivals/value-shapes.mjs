// Values that JSON has no word for: what one process wrote, as another one, its memory empty, reads it from Redis.
import { inspect, isDeepStrictEqual } from 'node:util'
import { settled } from './settled.mjs'

const SHAPES = {
  Date: new Date(Date.UTC(2026, 0, 2)),
  Map: new Map([['a', 1]]),
  Set: new Set([1, 2]),
  BigInt: 2n ** 64n,
  NaN: Number.NaN,
  '-0': -0,
  'undefined field': { a: undefined },
  Uint8Array: new Uint8Array([1, 2, 3]),
}

export const valueShapes = {
  id: 'value-shapes',
  title: `One process sets ${Object.keys(SHAPES).join(', ')}, each as the field of an object; another one gets them.`,
  needs: ['share'],
  verdicts: { kept: 'each came back as it went', changed: 'some came back as something else, or were not taken' },
  parts: { write, read },

  async show({ child }) {
    const written = await child('write')
    const read = await child('read')
    const names = Object.keys(SHAPES)
    const wrong = names
      .filter((name) => !read[name].isSame)
      .map((name) => `${name} ${fateOf(written[name], read[name])}`)
    const kept = `${names.length - wrong.length} of ${names.length} came back the same`
    return {
      happened: wrong.length === 0 ? kept : `${kept}; ${wrong.join(', ')}`,
      verdict: wrong.length === 0 ? 'kept' : 'changed',
    }
  },
}

async function write(cache) {
  const outcomes = {}
  for (const [name, it] of Object.entries(SHAPES)) {
    const { how, value, error } = await settled(cache.set(name, { it }))
    outcomes[name] = { how, error, gaveFalse: value === false }
  }
  return outcomes
}

async function read(cache) {
  const found = {}
  for (const [name, it] of Object.entries(SHAPES)) {
    const { how, value } = await settled(cache.get(name))
    found[name] = {
      isSame: how === 'answer' && isDeepStrictEqual(value, { it }),
      became: how === 'answer' ? inspect(value.it, { breakLength: Infinity }) : null,
    }
  }
  return found
}

function fateOf(written, { became }) {
  if (written.how === 'error') return `is refused ("${written.error}")`
  if (became !== null) return `became \`${became}\``
  return written.gaveFalse ? 'is missing (`set` gave false)' : 'is missing, though `set` gave no error'
}
