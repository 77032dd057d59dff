// What need not be done again: results newer than what they are made from.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ignored = new Set(['node_modules', 'target', 'dist', '.next', '.cache', '.git'])

/** Newest modification time (ms) under the given files and folders. */
export function newest(...paths) {
  let time = 0
  for (const path of paths) {
    if (!existsSync(path)) continue
    const stat = statSync(path)
    time = Math.max(time, stat.mtimeMs)
    if (!stat.isDirectory()) continue
    for (const name of readdirSync(path)) {
      if (!ignored.has(name)) time = Math.max(time, newest(join(path, name)))
    }
  }
  return time
}

/** True when every result exists and none is older than any source. */
export function upToDate({ results, sources }) {
  if (!results.every((path) => existsSync(path))) return false
  return Math.min(...results.map((path) => statSync(path).mtimeMs)) >= newest(...sources)
}

/** One hash over the contents of the given files. */
export function hashOf(...paths) {
  const hash = createHash('sha256')
  for (const path of paths) hash.update(existsSync(path) ? readFileSync(path) : '').update('\0')
  return hash.digest('hex')
}
