// Collects the repository's documents for the local model: each is cut into sections, and each section into
// the pieces that an answer may quote. Writes lib/model/documents.json. next.config.ts runs it before a build.
//   node scripts/collect-docs.mjs      looks at ../.. of the app, or at DOCS_ROOT

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const app = dirname(dirname(fileURLToPath(import.meta.url)))
const root = resolve(app, process.env.DOCS_ROOT ?? join('..', '..'))
const result = join(app, 'lib', 'model', 'documents.json')

/** Heads that say no more than that something is said. */
const plainHeads = /^(meaning|effect|notes?|answers|what it (is|does))$/i

const files = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md']
  .map((name) => join(root, name))
  .filter((path) => existsSync(path))
  .concat(markdownUnder(join(root, 'docs')))

const sections = files.flatMap((path) => sectionsOf(relative(root, path).split(sep).join('/'), readFileSync(path, 'utf8')))
if (sections.length > 0) {
  const version = createHash('sha256').update(JSON.stringify(sections)).digest('hex').slice(0, 16)
  write(`${JSON.stringify({ version, sections })}\n`)
} else if (!existsSync(result)) {
  process.stderr.write(`There are no documents under ${root}: set DOCS_ROOT to the folder with README.md and docs/.\n`)
  process.exitCode = 1
}

function markdownUnder(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return markdownUnder(path)
      return entry.name.endsWith('.md') ? [path] : []
    })
}

/** A file that is already right stays untouched, so that nothing is compiled anew because of it. */
function write(text) {
  if (existsSync(result) && readFileSync(result, 'utf8') === text) return
  const draft = `${result}.${process.pid}`
  writeFileSync(draft, text)
  renameSync(draft, result)
}

/** { file, title, heading, pieces: [{ kind, text, paragraph, number? }] } of each heading with something under it. */
function sectionsOf(file, markdown) {
  const sections = []
  let title = file
  let section
  let paragraph = 0
  const begin = (heading) => sections.push((section = { file, title, heading, pieces: [] }))
  const add = (kind, text, number) => section.pieces.push({ kind, text, paragraph, number })
  begin(title)
  for (const { kind, lines } of blocks(markdown)) {
    paragraph++
    if (kind === 'heading') {
      const [, marks, text] = /^(#+)\s+(.*)$/.exec(lines[0])
      const heading = plain(text)
      if (marks.length === 1) title = heading
      begin(heading)
    } else if (kind === 'code') {
      add('code', lines.join('\n'))
    } else if (kind === 'table') {
      for (const row of rows(lines)) add('item', row)
    } else if (kind === 'list') {
      for (const { kind: itemKind, text, number } of items(lines)) add(itemKind, text, number)
    } else {
      for (const sentence of sentences(plain(lines.join(' ')))) add('sentence', sentence)
    }
  }
  return sections.filter(({ pieces }) => pieces.some(({ kind }) => kind !== 'code'))
}

/** Markdown by blocks: headings, fenced code, tables, lists, paragraphs. */
function* blocks(markdown) {
  let lines = []
  let kind = 'text'
  const flush = function* () {
    if (lines.length > 0) yield { kind, lines }
    lines = []
    kind = 'text'
  }
  for (const line of markdown.split(/\r?\n/)) {
    if (kind === 'code') {
      lines.push(line)
      if (line.startsWith('```')) yield* flush()
    } else if (line.startsWith('```')) {
      yield* flush()
      kind = 'code'
      lines = [line]
    } else if (/^#{1,6}\s/.test(line)) {
      yield* flush()
      yield { kind: 'heading', lines: [line] }
    } else if (line.trim() === '') {
      if (kind !== 'list') yield* flush()
    } else {
      const next = line.startsWith('|') ? 'table' : /^\s*([-*]|\d+\.)\s/.test(line) ? 'list' : /^\s+\S/.test(line) && kind === 'list' ? 'list' : 'text'
      if (next !== kind) {
        yield* flush()
        kind = next
      }
      lines.push(line)
    }
  }
  yield* flush()
}

/** A row of a table as a sentence: the first cell names it, the heads name the others where there are several. */
function rows(lines) {
  const cells = lines.map((line) => line.replace(/^\||\|\s*$/g, '').split(/(?<!\\)\|/).map((cell) => plain(cell.replaceAll('\\|', '|')).trim()))
  const [heads, , ...body] = cells
  return body.map(([name, ...others]) => {
    const told = others.map((text, index) => ({ head: heads[index + 1] ?? '', text })).filter(({ text }) => text !== '')
    const values = told.map(({ head, text }) => (told.length > 1 && head !== '' && !plainHeads.test(head) ? `${small(head)}: ${text}` : text))
    return values.length > 0 ? `${emphasised(name)}: ${values.join('; ')}` : emphasised(name)
  })
}

function small(head) {
  return /`/.test(head) ? head : head.charAt(0).toLowerCase() + head.slice(1)
}

function emphasised(name) {
  return name === '' || /[`*]/.test(name) ? name : `**${name}**`
}

function items(lines) {
  const found = []
  for (const line of lines) {
    const [, number, text] = /^\s*(?:[-*]|(\d+)\.)\s+(.*)$/.exec(line) ?? []
    if (text !== undefined) found.push(number ? { kind: 'step', text, number: Number(number) } : { kind: 'item', text })
    else if (found.length > 0) found.at(-1).text += ` ${line.trim()}`
  }
  return found.map((item) => ({ ...item, text: plain(item.text) }))
}

/** Links as their words: an answer is read away from the file that they lead out of. */
function plain(text) {
  return text.replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/\s+/g, ' ').trim()
}

/** A full stop within code, a version or a file name ends no sentence; emphasis that spans several keeps them together. */
function sentences(text) {
  const code = []
  const masked = text.replace(/`[^`]*`/g, (match) => `\u0001${code.push(match) - 1}\u0002`)
  const parts = masked.split(/(?<=[.!?]\)?(?:\*\*)?)\s+(?=[\p{Lu}\u0001*"(])/u)
  const whole = []
  for (const part of parts) {
    const open = whole.length > 0 && (whole.at(-1).split('**').length - 1) % 2 === 1
    if (open) whole.push(`${whole.pop()} ${part}`)
    else whole.push(part)
  }
  return whole.map((sentence) => sentence.replace(/\u0001(\d+)\u0002/g, (_, index) => code[Number(index)]))
}
