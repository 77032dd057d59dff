// Finds the sections of the documents that answer a question: BM25 (Robertson and Zaragoza, "The
// Probabilistic Relevance Framework", 2009) over sections, a heading's words counting more than others.

import documents from './documents.json'
import { stem, stems, subjects, synonyms } from './words'

/** What an answer may quote. */
export interface Piece {
  kind: 'sentence' | 'item' | 'step' | 'code'
  text: string
  /** Pieces of the same paragraph, list or table have the same number. */
  paragraph: number
  /** Of a step. */
  number?: number
}

export interface Section {
  file: string
  /** The document's title. */
  title: string
  heading: string
  pieces: Piece[]
}

export interface Found {
  section: Section
  score: number
  /** How much of what the question asks about the section mentions, 0 to 1, rare words weighing more. */
  coverage: number
}

/** A subject of the question with the weight of each stem that stands for it. */
export interface Term {
  weight: number
  stems: Map<string, number>
}

const k1 = 1.2
const b = 0.6
const headingWeight = 4
const titleWeight = 2
/** Another word for the same thing counts less than the word itself. */
const synonymWeight = 0.7
/** Words of an example are often only examples. */
const codeWeight = 0.3
/** Who asks wants to use the package, more often than to know why it is as it is. */
const backgroundWeight = 0.8
/** A section that says what the thing is, where that is asked. */
const definitionWeight = 3

interface Indexed {
  section: Section
  /** How often each stem occurs, weighted. */
  counts: Map<string, number>
  length: number
  /** The stems of the heading, and of the name that begins each item of a list or a table. */
  names: Set<string>[]
  /** The stems of each piece of text, without the examples, with those of the headings above it. */
  pieces: Set<string>[]
}

const sections = documents.sections as Section[]

/** Changes with every change of the documents. */
export const documentsVersion: string = documents.version

const indexed: Indexed[] = sections.map((section) => {
  const counts = new Map<string, number>()
  let length = 0
  const add = (roots: string[], weight: number) => {
    for (const root of roots) {
      counts.set(root, (counts.get(root) ?? 0) + weight)
      length += weight
    }
  }
  const heading = stems(section.heading)
  const above = [...heading, ...stems(section.title), ...stems(section.file.replace(/\.md$/, ''))]
  add(heading, headingWeight)
  add(stems(section.title), titleWeight)
  const names = [new Set(heading)]
  const pieces: Set<string>[] = []
  for (const { kind, text } of section.pieces) {
    const roots = stems(text)
    add(roots, kind === 'code' ? codeWeight : 1)
    if (kind !== 'code') pieces.push(new Set([...above, ...roots]))
    const name = kind === 'item' ? /^.{1,60}?(?=:\s)/.exec(text)?.[0] : undefined
    if (name !== undefined) names.push(new Set(stems(name)))
  }
  return { section, counts, length, names, pieces }
})

const averageLength = indexed.reduce((sum, { length }) => sum + length, 0) / Math.max(indexed.length, 1)

const holders = new Map<string, number>()
for (const { counts } of indexed) for (const root of counts.keys()) holders.set(root, (holders.get(root) ?? 0) + 1)

function rarity(root: string): number {
  const count = holders.get(root) ?? 0
  return Math.log(1 + (indexed.length - count + 0.5) / (count + 0.5))
}

/** What a question asks about. A word that no document has weighs most: who leaves it out answers something else. */
export function terms(question: string): Term[] {
  const found = new Map<string, Term>()
  for (const word of subjects(question)) {
    const root = stem(word.toLowerCase())
    const others = synonyms(root)
    // "Environment variable" is one subject in two words.
    const same = [...others].map((other) => found.get(other)).find((term) => term !== undefined)
    if (same !== undefined) {
      same.stems.set(root, 1)
      same.weight = Math.min(same.weight, rarity(root))
      continue
    }
    const known = new Map<string, number>([[root, 1]])
    for (const other of others) known.set(other, synonymWeight)
    found.set(root, { weight: rarity(root), stems: known })
  }
  return [...found.values()]
}

/** What a sentence looks like that says what something is, when the question asks just that. */
export function definition(question: string): RegExp | undefined {
  const subject = /^\s*what(?:’s|'s|\s+is|\s+are)\s+(?:an?\s+|the\s+)?([\p{L}\p{N}_ -]+?)s?\s*\?*\s*$/iu.exec(question)?.[1]
  return subject === undefined ? undefined : new RegExp(`(^|\\b(an?|the) )[*\`]*${subject.replaceAll(' ', '[ -]')}s?[*\`]* (means|(is|are) (an?|the|one|what|where)) `, 'i')
}

/** How strongly a text with these words speaks of the question's subjects. */
export function relevance(wanted: readonly Term[], counts: ReadonlyMap<string, number>, length: number, usualLength: number): number {
  let score = 0
  for (const { weight, stems: alternatives } of wanted) {
    let count = 0
    for (const [root, share] of alternatives) count += (counts.get(root) ?? 0) * share
    score += (weight * count * (k1 + 1)) / (count + k1 * (1 - b + (b * length) / usualLength))
  }
  return score
}

/** The share of the question's subjects that these stems name, rare words weighing more. */
export function coverage(wanted: readonly Term[], has: (root: string) => boolean): number {
  let covered = 0
  let total = 0
  for (const { weight, stems: alternatives } of wanted) {
    total += weight
    covered += weight * Math.max(0, ...[...alternatives].map(([root, share]) => (has(root) ? share : 0)))
  }
  return total === 0 ? 0 : covered / total
}

/** The sections that speak of the question's subjects, the best first. */
export function retrieve(question: string, limit: number): Found[] {
  const wanted = terms(question)
  const defines = definition(question)
  return indexed
    .map(({ section, counts, length, names, pieces }) => {
      const whole = coverage(wanted, (root) => pieces.some((piece) => piece.has(root)))
      const closest = Math.max(...pieces.map((piece) => coverage(wanted, (root) => piece.has(root))))
      const named = Math.max(...names.map((name) => coverage(wanted, (root) => name.has(root))))
      // Words that stand together in a sentence, or name something, belong together; the same words scattered over
      // a section are often chance.
      const together = 0.2 + 0.3 * whole + 0.5 * closest + 0.6 * named
      const background = /^(docs\/decisions\/|ARCHITECTURE|CONTRIBUTING)/.test(section.file) ? backgroundWeight : 1
      const told = defines !== undefined && section.pieces.some(({ text }) => defines.test(text)) ? definitionWeight : 1
      const score = relevance(wanted, counts, length, averageLength) * together * background * told
      return { section, score, coverage: whole }
    })
    .filter(({ score }) => score > 0)
    .sort((first, second) => second.score - first.score)
    .slice(0, limit)
}
