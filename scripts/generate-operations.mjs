// Writes both sides of the boundary from the one list, src/node/operations.json:
// js/generated/operations.ts (opcodes, constants, one encoder per operation) and
// src/node/operations.rs (the same constants and the fields of each operation).
// `--check` writes nothing and exits 1 when either file differs from what the list says.

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const list = JSON.parse(readFileSync(join(root, 'src/node/operations.json'), 'utf8'))

const RUST_FIELDS = { text: 'Text', number: 'Number', value: 'Value', args: 'Args', argsList: 'ArgsList' }
const TYPESCRIPT_FIELDS = {
  text: 'string',
  number: 'number',
  value: 'RawArgument',
  args: 'readonly RawArgument[]',
  argsList: 'readonly (readonly RawArgument[])[]',
}

/** entryGet -> ENTRY_GET */
const constant = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
/** entryGet -> EntryGet */
const pascal = (name) => name[0].toUpperCase() + name.slice(1)

/** The groups of plain constants, with the word that stands in front of each. */
const groups = [
  ['FLAG', 'flag', 'bits of a `flags` field', list.flags],
  ['FORMAT', 'format', 'how a value is written', list.formats],
  ['REPLY', 'reply', 'what a value of a reply is', list.replies],
  ['SOURCE', 'source', 'who answered', list.sources],
  ['VERB', 'verb', 'what is asked of a limiter', list.verbs],
  ['DEED', 'deed', 'what is asked of sessions', list.deeds],
  ['OUTAGE', 'outage', 'what sessions may do while no server answers; beside that, whether users may log in then, and whether only what became of one is asked', list.outages],
  ['KIND', 'kind', 'what is listened to', list.kinds],
  ['FATE', 'fate', 'what became of a session', list.fates],
  ['OUTCOME', 'outcome', 'what it came to', list.outcomes],
  ['DECIDER', 'decider', 'who decided a limit', list.deciders],
]

for (const { name, fields } of list.operations) {
  for (const [field, type] of Object.entries(fields)) {
    if (!(type in RUST_FIELDS)) throw new Error(`${name}.${field} has the unknown type ${type}`)
  }
}

function encoder({ name, about, fields }) {
  const entries = Object.entries(fields)
  const parameters = [
    'to: Outbox',
    'id: number',
    ...entries.map(([field, type]) => `${field}: ${TYPESCRIPT_FIELDS[type]}`),
  ]
  const lines = [
    `/** ${about}. */`,
    `export function encode${pascal(name)}(${parameters.join(', ')}): void {`,
    `  const at = to.reserve(${2 + entries.length})`,
    '  const meta = to.meta',
    `  meta[at] = OPCODE_${constant(name)}`,
    '  meta[at + 1] = id',
  ]
  // A list has no fixed width, and a value may be bytes: once one was written, everything after it is appended in order.
  const firstList = entries.findIndex(([, type]) => type !== 'text' && type !== 'number')
  const head = firstList < 0 ? entries : entries.slice(0, firstList)
  const tail = firstList < 0 ? [] : entries.slice(firstList)
  head.forEach(([field, type], index) => {
    lines.push(`  meta[at + ${index + 2}] = ${type === 'text' ? `${field}.length` : field}`)
  })
  lines.push(`  to.used = at + ${2 + head.length}`)
  const texts = head.filter(([, type]) => type === 'text').map(([field]) => field)
  if (texts.length > 0) lines.push(`  to.text += ${texts.join(' + ')}`)
  for (const [field, type] of tail) {
    if (type === 'args') lines.push(`  to.writeArguments(${field})`)
    else if (type === 'value') lines.push(`  to.writeValue(${field})`)
    else if (type === 'argsList') lines.push(`  to.writeArgumentLists(${field})`)
    else if (type === 'number') lines.push(`  to.writeNumber(${field})`)
    else lines.push(`  to.writeText(${field})`)
  }
  lines.push('}')
  return lines.join('\n')
}

function typescript() {
  const out = [
    '// Written by scripts/generate-operations.mjs from src/node/operations.json. Not to be edited.',
    '//',
    '// The operations that cross to the native module: opcodes, constants and one encoder for each.',
    '',
    "import type { Outbox } from '../outbox.js'",
    '',
    '/** One argument of a raw command, ready to cross: text, or bytes. */',
    'export type RawArgument = string | Uint8Array',
    '',
  ]
  list.operations.forEach(({ name }, index) => out.push(`export const OPCODE_${constant(name)} = ${index}`))
  for (const [word, , about, values] of groups) {
    out.push('', `// ${about}`)
    for (const [name, value] of Object.entries(values)) out.push(`export const ${word}_${constant(name)} = ${value}`)
  }
  out.push('', '/** Each operation with its fields in order, as the native side reads them. */')
  out.push('export const OPERATIONS: readonly (readonly [name: string, fields: readonly string[]])[] = [')
  for (const { name, fields } of list.operations) {
    out.push(
      `  ['${name}', [${Object.values(fields)
        .map((type) => `'${type}'`)
        .join(', ')}]],`,
    )
  }
  out.push(']')
  for (const operation of list.operations) out.push('', encoder(operation))
  return `${out.join('\n')}\n`
}

function rust() {
  const out = [
    '// Written by scripts/generate-operations.mjs from src/node/operations.json. Not to be edited.',
    '',
    '//! The operations that cross from JS: opcodes, constants and the fields of each, in order.',
    '',
    '/// What a field of an operation is.',
    '#[derive(Clone, Copy, Debug, PartialEq, Eq)]',
    'pub enum Field {',
    '    /// A length among the numbers, and as many UTF-16 units of the text.',
    '    Text,',
    '    /// The number itself.',
    '    Number,',
    '    /// Its length in the text, or `-(i + 1)` for extra `i`.',
    '    Value,',
    '    /// A count, then for each argument its length in the text, or `-(i + 1)` for extra `i`.',
    '    Args,',
    '    /// A count, then as many `Args`.',
    '    ArgsList,',
    '}',
    '',
    '/// Each operation with its fields; its place in the list is its opcode.',
    '#[rustfmt::skip]',
    'pub const OPERATIONS: &[(&str, &[Field])] = &[',
  ]
  for (const { name, fields } of list.operations) {
    const types = Object.values(fields).map((type) => `Field::${RUST_FIELDS[type]}`)
    out.push(`    ("${name}", &[${types.join(', ')}]),`)
  }
  out.push('];', '', '/// Opcodes.', 'pub mod opcode {')
  list.operations.forEach(({ name, about }, index) => {
    out.push(`    /// ${about[0].toUpperCase()}${about.slice(1)}.`, `    pub const ${constant(name)}: u32 = ${index};`)
  })
  out.push('}')
  for (const [, module, about, values] of groups) {
    out.push('', `/// ${about[0].toUpperCase()}${about.slice(1)}.`, `pub mod ${module} {`)
    for (const [name, value] of Object.entries(values)) out.push(`    pub const ${constant(name)}: u32 = ${value};`)
    out.push('}')
  }
  return `${out.join('\n')}\n`
}

const check = process.argv.includes('--check')
let stale = false
for (const [path, text] of [
  ['js/generated/operations.ts', typescript()],
  ['src/node/operations.rs', rust()],
]) {
  const file = join(root, path)
  let present = null
  try {
    present = readFileSync(file, 'utf8')
  } catch {
    // Not there yet: the same as different.
  }
  if (present === text) continue
  if (check) {
    stale = true
    console.error(`${path} differs from src/node/operations.json; run: node scripts/generate-operations.mjs`)
  } else {
    writeFileSync(file, text)
    console.log(`wrote ${path}`)
  }
}
if (stale) process.exit(1)
