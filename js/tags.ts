// What may be a tag, and how tags and namespaces are told apart as names of markers.

import { describe, invalid, type HoldfastError } from './errors.js'
import { NAMESPACE_END } from './keys.js'

const MOST_TAGS = 64
const MOST_CHARACTERS = 256

/** Throws `E_INVALID` naming `path[i]` unless these are tags. Answers each once. */
export function checkTags(tags: unknown, path: string, operation: string): readonly string[] {
  if (!Array.isArray(tags)) {
    throw invalid(path, `${path} is ${describe(tags)}; allowed: an array of texts`, operation)
  }
  if (tags.length > MOST_TAGS) {
    throw invalid(path, `${path} has ${tags.length} tags; allowed: at most ${MOST_TAGS}`, operation)
  }
  // Not by forEach, which passes over holes.
  for (let index = 0; index < tags.length; index++) {
    if (!isTag(tags[index])) throw noTag(tags[index], `${path}[${index}]`, operation)
  }
  return areDistinct(tags) ? tags : [...new Set(tags as string[])]
}

/** Few are compared faster than they are put into a set. */
function areDistinct(tags: readonly string[]): boolean {
  if (tags.length > 8) return new Set(tags).size === tags.length
  for (let index = 1; index < tags.length; index++) if (tags.indexOf(tags[index] as string) < index) return false
  return true
}

export function checkTag(tag: unknown, path: string, operation: string): asserts tag is string {
  if (!isTag(tag)) throw noTag(tag, path, operation)
}

function isTag(tag: unknown): tag is string {
  return typeof tag === 'string' && tag !== '' && tag.length <= MOST_CHARACTERS && tag.isWellFormed()
}

function noTag(tag: unknown, path: string, operation: string): HoldfastError {
  const shown =
    typeof tag !== 'string'
      ? describe(tag)
      : tag === ''
        ? 'empty'
        : tag.length > MOST_CHARACTERS
          ? `a text of ${tag.length} characters`
          : 'a text with a lone surrogate, half of a character'
  return invalid(path, `${path} is ${shown}; allowed: a text of 1 to ${MOST_CHARACTERS} characters`, operation)
}

/** The marker of a user's tag. */
export function tagName(tag: string): string {
  return `t:${tag}`
}

/** The marker of a namespace: clearing it invalidates everything in it at once. */
export function namespaceName(family: string, path: string): string {
  return `n:${family}${NAMESPACE_END}${path}`
}
