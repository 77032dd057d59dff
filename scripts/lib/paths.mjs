// Where things are. `.cache` is git-ignored: everything the commands fetch or build for themselves.

import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const cache = join(root, '.cache')

/** A folder under .cache, made if need be. */
export function cacheFolder(...parts) {
  const folder = join(cache, ...parts)
  mkdirSync(folder, { recursive: true })
  return folder
}
