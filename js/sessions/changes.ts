// What is to change in a session's data: fields by themselves, as they cross.

import { describe, invalid } from '../errors.js'
import { toJson } from '../values.js'
import type { SessionFields } from './options.js'
import type { Change, Told } from './store.js'

const MOST_NAME = 256
const MOST_DATA = 1024 * 1024

/** Whether a field may be called so. */
export function isName(name: string): boolean {
  return name !== '' && name.length <= MOST_NAME && name.isWellFormed()
}

/** What is to be set and removed, as it crosses. */
export function changesOf(data: unknown, path: string, operation: string): Change[] {
  if (Object.prototype.toString.call(data) !== '[object Object]')
    throw invalid(path, `${path} is ${describe(data)}; allowed: an object, of which each field is kept by itself`, operation)
  let size = 0
  const changes: Change[] = []
  for (const [name, value] of Object.entries(data as object) as [string, unknown][]) {
    const at = `${path}[${JSON.stringify(name)}]`
    if (!isName(name))
      throw invalid(at, `a name in ${path} is empty, too long or no well-formed text; allowed: 1 to ${MOST_NAME} characters`, operation)
    const text = value === undefined ? null : toJson(value, /^[A-Za-z_$][\w$]*$/.test(name) ? `${path}.${name}` : at, operation)
    size += name.length + (text?.length ?? 0)
    if (size > MOST_DATA)
      throw invalid(
        path,
        `${path} has more than ${MOST_DATA} characters; allowed: that many, since a session is read with every request`,
        operation,
      )
    changes.push([`:${name}`, text])
  }
  return changes
}

/** A function of the data. */
export function checkChange(change: unknown, operation: string): void {
  if (typeof change !== 'function')
    throw invalid('change', `change is ${describe(change)}; allowed: a function of the data`, operation)
}

/** What of the fields is new, and what is gone. */
export function differences(before: ReadonlyMap<string, string>, after: readonly Change[]): Change[] {
  const set = after.filter(([, text]) => text !== null)
  const changes = set.filter(([name, text]) => before.get(name) !== text)
  const kept = new Set(set.map(([name]) => name))
  for (const name of before.keys()) if (!kept.has(name)) changes.push([name, null])
  return changes
}

/** The data that these texts were made of. */
export function parsed(texts: ReadonlyMap<string, string>): SessionFields {
  return Object.fromEntries(Array.from(texts, ([name, text]) => [name.slice(1), JSON.parse(text) as unknown]))
}

/** All fields of a session as they cross. */
export function fieldsOf({ data, idleMs, createdAt, ip, agent }: Told): Change[] {
  const changes = Object.entries(data).map(([name, value]): Change => [`:${name}`, JSON.stringify(value)])
  changes.push(['.idle', String(idleMs)], ['.created', String(createdAt)])
  if (ip !== null) changes.push(['.ip', ip])
  if (agent !== null) changes.push(['.agent', agent])
  return changes
}
