// Words as the retrieval compares them: without endings, without words that say nothing, and with the
// parts of the names that programmers put together.

/** Words of questions that name no subject. */
const empty = new Set(
  `a about an and any are as at be been but by can could did do does doing explain for from get gets give happen happened happens
  has have holdfast how i if in into is it its itself just know like long may me mean means might my need no not of on or our
  out please possible should show so some support supported supports sure tell than that the their them then there these they this those to too up us use used using want was
  way we were what whats when where whether which while who whose why will with work works would you your`.split(/\s+/),
)

/** Words that the documents use for one another. Each line is one meaning. */
const meanings = [
  'down away unavailable outage dies died crash crashes killed offline unreachable goes fails',
  'expire expires expiry expiration ttl lifetime live lives',
  'delete remove removal erase',
  'env environment variable',
  'configure configuration settings setting options option',
  'start run begin',
  'back recover recovered return returns replayed resync',
  'bound limit maximum max size largest large big huge bytes',
  'differ different difference compared compare comparison',
  'statistics stats counts metrics',
  'credentials password auth acl username',
  'tls ssl rediss encrypted',
  'concurrent parallel same simultaneous simultaneously once',
  'stampede thundering flight single',
  'streams stream streaming',
  'alpine musl',
  'docker container image',
  'compress compression compressed zstd',
  'throw throws threw error errors reject rejects',
  'install installs installed setup',
  'test tests testing',
  'vercel lambda serverless',
  'loader factory load loads loading',
  'simulate provoke purpose',
  'request caller call',
]

/** Every word of a text, in order, as its stem. */
export function stems(text: string): string[] {
  const found: string[] = []
  for (const [word] of text.matchAll(/[\p{L}\p{N}_]+/gu)) {
    const parts = word.split(/_+|(?<=\p{Ll})(?=\p{Lu})/u).filter((part) => part !== '')
    found.push(stem(word.toLowerCase()))
    // `getOrSet` is found by its parts and by its whole.
    if (parts.length > 1) for (const part of parts) found.push(stem(part.toLowerCase()))
    // The documents name variables without calling them so.
    if (/^[A-Z]{2,}(_[A-Z0-9]+)+$/.test(word)) found.push(stem('variable'))
  }
  return found
}

/** The subjects of a question: the words as they are written, without repetition. */
export function subjects(question: string): string[] {
  const words = [...question.matchAll(/[\p{L}\p{N}_]+/gu)].map(([word]) => word)
  const found = new Set(words.filter((word) => word.length > 1 && !empty.has(word.toLowerCase())))
  // All documents are about the package; its name is a subject only where there is no other.
  return found.size > 0 ? [...found] : words.filter((word) => /^holdfast$/i.test(word)).slice(0, 1)
}

/** A word without its ending. Crude, and the same for documents and questions. */
export function stem(word: string): string {
  if (word.length <= 3 || /[\d_]/.test(word)) return word
  let root = word
  if (root.endsWith('ies')) root = root.slice(0, -3)
  else if (root.endsWith('sses')) root = root.slice(0, -2)
  else if (/[^suis]s$/.test(root) || /[aeou]ses$/.test(root)) root = root.slice(0, -1)
  if (root.length > 5 && root.endsWith('ing')) root = single(root.slice(0, -3))
  else if (root.length > 4 && root.endsWith('ed')) root = single(root.slice(0, -2))
  else if (root.length > 7 && root.endsWith('ation')) root = root.slice(0, -5)
  else if (root.length > 6 && /[st]ion$/.test(root)) root = root.slice(0, -3)
  else if (root.length > 6 && root.endsWith('ment')) root = root.slice(0, -4)
  return root.length > 3 ? root.replace(/[eyi]$/, '') : root
}

// "dropped" is "drop", "falling" is "fall".
function single(root: string): string {
  return /([bdgmnprt])\1$/.test(root) ? root.slice(0, -1) : root
}

const related = new Map<string, Set<string>>()
for (const meaning of meanings) {
  const roots = meaning.split(' ').map(stem)
  for (const root of roots) {
    const others = related.get(root) ?? new Set<string>()
    for (const other of roots) if (other !== root) others.add(other)
    related.set(root, others)
  }
}

/** Stems of other words for the same thing. */
export function synonyms(root: string): ReadonlySet<string> {
  return related.get(root) ?? new Set()
}
