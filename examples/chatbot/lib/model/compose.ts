// Puts an answer together from the pieces of the documents that fit a question best.

import type { Citation } from '@/lib/chat/events'

import { coverage, definition, relevance, retrieve, terms, type Piece, type Section, type Term } from './retrieval'
import { stems } from './words'

interface Answer {
  /** Markdown. */
  text: string
  sources: Citation[]
}

const unanswered: Answer = { text: 'The documentation does not answer this.', sources: [] }

/** A section must speak of more than this share of the question's subjects. */
const enough = 0.6
/** Characters of text that the best section and each further one may give. */
const share = 640
const furtherShare = 280
/** A further section must be nearly as good as the best one. */
const nearly = 0.68
/** What a section says beside the point: less than this share of what its best piece says. */
const beside = 0.45
/** The longest example that is quoted. */
const exampleLength = 560
/** A list of steps is quoted whole up to this length. */
const stepsLength = 1_100

const definitionBonus = 8

const usualPieceLength = 18

/** The best answer that the documents give. Deterministic. */
export function compose(question: string): Answer {
  const wanted = terms(question)
  const defines = definition(question)
  const found = retrieve(question, 8)
  const best = found.find(({ coverage }) => coverage > enough)
  if (best === undefined) return unanswered
  // Two documents that have a heading in common say much the same under it.
  const further = found.filter(({ section, coverage, score }) => section.heading !== best.section.heading && coverage > enough && score >= best.score * nearly)

  const parts: string[] = []
  const sources: Citation[] = []
  for (const [index, { section }] of [best, ...further.slice(0, 2)].entries()) {
    const pieces = choose(section, wanted, defines, index === 0 ? share : furtherShare)
    if (pieces.length === 0) continue
    parts.push(render(pieces))
    sources.push({ file: section.file, heading: section.heading })
  }
  return { text: parts.join('\n\n'), sources }
}

/** The pieces of a section that say most about the question, in the order of the document. */
function choose(section: Section, wanted: readonly Term[], defines: RegExp | undefined, budget: number): Piece[] {
  // Under a heading that names the subject everything is about it.
  const subject = covers(section.heading, wanted)
  const rated = section.pieces
    .filter(({ kind }) => kind !== 'code')
    .map((piece, index) => ({
      piece,
      index,
      score: rate(piece.text, wanted) + rate(nameOf(piece), wanted) + (index === 0 && subject && piece.text.length > 40 ? 0.8 : 0) + (defines?.test(piece.text) ? definitionBonus : 0),
    }))
    .sort((first, second) => second.score - first.score || first.index - second.index)
  const bar = subject ? 0 : (rated[0]?.score ?? 0) * beside
  const chosen = new Set<Piece>()
  let length = 0
  for (const { piece, score } of rated) {
    if (chosen.size > 0 && (score < bar || (score === 0 && (piece.kind === 'sentence' || budget < share)) || length + piece.text.length > budget)) continue
    chosen.add(piece)
    length += piece.text.length
  }
  if (budget === share) completeSteps(section.pieces, chosen)
  addNeighbours(section.pieces, chosen, budget - length)
  addExample(section.pieces, chosen, budget === share)
  return section.pieces.filter((piece, index) => chosen.has(piece) && !leadsNowhere(section.pieces, index, chosen))
}

/** Whether a heading names most of what the question asks about. */
function covers(heading: string, wanted: readonly Term[]): boolean {
  const roots = new Set(stems(heading))
  return coverage(wanted, (root) => roots.has(root)) >= 0.5
}

/** What an item of a list or a row of a table is about. */
function nameOf({ kind, text }: Piece): string {
  return (kind === 'item' && text.split(': ', 1)[0]) || ''
}

function rate(text: string, wanted: readonly Term[]): number {
  const roots = stems(text)
  const counts = new Map<string, number>()
  for (const root of roots) counts.set(root, (counts.get(root) ?? 0) + 1)
  return relevance(wanted, counts, roots.length, usualPieceLength)
}

/** Some steps of a list make no sense without the others. */
function completeSteps(pieces: readonly Piece[], chosen: Set<Piece>): void {
  const begun = new Set([...chosen].filter(({ kind }) => kind === 'step').map(({ paragraph }) => paragraph))
  for (const paragraph of begun) {
    const steps = pieces.filter((piece) => piece.paragraph === paragraph)
    if (steps.reduce((sum, { text }) => sum + text.length, 0) <= stepsLength) for (const step of steps) chosen.add(step)
  }
}

/** What stands before a chosen sentence often says what it is about; what follows finishes its thought. */
function addNeighbours(pieces: readonly Piece[], chosen: Set<Piece>, room: number): void {
  let left = room
  const add = (piece: Piece | undefined, beside: Piece) => {
    if (piece?.kind !== 'sentence' || piece.paragraph !== beside.paragraph || chosen.has(piece) || piece.text.length > left) return
    chosen.add(piece)
    left -= piece.text.length
  }
  for (let index = pieces.length - 1; index > 0; index--) {
    const piece = pieces[index]
    if (piece !== undefined && chosen.has(piece)) add(pieces[index - 1], piece)
  }
  for (const [index, piece] of pieces.entries()) if (chosen.has(piece)) add(pieces[index + 1], piece)
}

/** The example that a chosen sentence announces; else, if there may be one, the first beside something chosen. */
function addExample(pieces: readonly Piece[], chosen: Set<Piece>, anyway: boolean): void {
  const examples = pieces.map((piece, index) => ({ piece, before: pieces[index - 1], after: pieces[index + 1] }))
    .filter(({ piece }) => piece.kind === 'code' && piece.text.length <= exampleLength)
  const announced = examples.find(({ before }) => before !== undefined && chosen.has(before) && before.text.endsWith(':'))
  const example = announced ?? (anyway ? examples.find(({ before, after }) => (before && chosen.has(before)) || (after && chosen.has(after))) : undefined)
  if (example !== undefined) chosen.add(example.piece)
}

/** A sentence that announces something that is not quoted. */
function leadsNowhere(pieces: readonly Piece[], index: number, chosen: ReadonlySet<Piece>): boolean {
  const piece = pieces[index]
  const next = pieces[index + 1]
  if (piece?.kind !== 'sentence' || !piece.text.endsWith(':') || next === undefined) return false
  return !pieces.some((other) => other.paragraph === next.paragraph && chosen.has(other))
}

function render(pieces: readonly Piece[]): string {
  let text = ''
  for (const [index, piece] of pieces.entries()) {
    const previous = pieces[index - 1]
    const together = previous !== undefined && previous.kind === piece.kind && previous.paragraph === piece.paragraph
    const between = previous === undefined ? '' : !together ? '\n\n' : piece.kind === 'sentence' ? ' ' : '\n'
    text += between + markOf(piece, pieces) + piece.text
  }
  return text
}

/** A step without the others has no number. */
function markOf(piece: Piece, pieces: readonly Piece[]): string {
  if (piece.kind === 'item') return '- '
  if (piece.kind !== 'step') return ''
  const alone = pieces.filter(({ paragraph }) => paragraph === piece.paragraph).length === 1
  return alone ? '- ' : `${piece.number ?? 1}. `
}
