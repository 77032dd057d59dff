// Reads docs/bad-input.md: the one table that says what each bad input is answered with.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Row {
  input: string
  call: string
  /** A code such as E_INVALID, or the documented meaning. */
  answer: string
  /** The field that the error names; '' where there is none. */
  path: string
}

const file = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs', 'bad-input.md')

/** A pipe inside a cell is written `\|`. */
export function readRows(): Row[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter((line) => line.startsWith('|'))
  const cells = lines.map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll(String.raw`\|`, '|')))
  const [head, rule, ...rows] = cells
  if (head?.join() !== 'input,call,answer,field' || rule?.some((cell) => !/^-+$/.test(cell)) !== false) {
    throw new Error('docs/bad-input.md must hold one table: input | call | answer | field')
  }
  return rows.map((row) => {
    const [input, call, answer, path] = row
    if (row.length !== 4 || !input || !call || !answer || path === undefined) throw new Error(`a row of the table is incomplete: ${row.join(' | ')}`)
    return { input, call, answer: answer.replaceAll('`', ''), path: path.replaceAll('`', '') }
  })
}

export function codeOf(row: Row): string | undefined {
  return /^E_[A-Z]+/.exec(row.answer)?.[0]
}
