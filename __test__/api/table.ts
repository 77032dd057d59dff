// The table of promised names and the list of exceptions, as they stand in their files.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PromisedField {
  name: string
  type?: string
  fields?: PromisedField[]
  optional?: boolean
  rest?: boolean
  default?: string
  wider?: boolean
}

export interface PromisedRow {
  id: string
  name: string
  member?: string
  kind: 'function' | 'method' | 'object' | 'type'
  static?: boolean
  async?: boolean
  typeArguments?: string[]
  parameters?: PromisedField[]
  parameterNames?: string[]
  fields?: PromisedField[]
  result?: string
  use?: string[]
}

export interface PromisedTable {
  rows: Record<string, number>
  modules: Record<string, string[]>
  defaults: Record<string, string>
  promised: PromisedRow[]
}

export interface Exception {
  row: string
  name?: string
  member?: string
  field?: string
  heldBy?: string
  reason: string
}

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Rows that nobody answers for, and answers for rows that do not exist. */
export function uncoveredRows(table: PromisedTable, exceptions: Exception[]): string[] {
  const covered = new Set([...table.promised.map((row) => row.id), ...exceptions.map((one) => one.row)])
  const known = new Set<string>()
  for (const [family, count] of Object.entries(table.rows)) {
    for (let row = 1; row <= count; row += 1) known.add(`${family}-${String(row).padStart(2, '0')}`)
  }
  return [
    ...[...known].filter((row) => !covered.has(row)).map((row) => `${row}: neither promised nor an exception`),
    ...[...covered].filter((row) => !known.has(row)).map((row) => `${row}: no such row`),
  ]
}

export function readTable(): { table: PromisedTable; exceptions: Exception[] } {
  const read = (file: string): unknown => JSON.parse(readFileSync(join(root, '__test__', 'api', file), 'utf8'))
  const { exceptions } = read('exceptions.json') as { exceptions: Exception[] }
  return { table: read('promised.json') as PromisedTable, exceptions }
}
