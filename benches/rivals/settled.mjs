// How a call ended, as something that can be sent, counted and said.

/** { how: 'answer', value } | { how: 'nothing' } | { how: 'error', error }; never rejects. */
export async function settled(call) {
  try {
    const value = await call
    return value === undefined || value === null ? { how: 'nothing' } : { how: 'answer', value }
  } catch (error) {
    return { how: 'error', error: String(error?.message ?? error).split('\n')[0] }
  }
}

/** In words: what was answered, nothing, or which error. */
export function said(outcome) {
  if (outcome.how === 'answer') return JSON.stringify(outcome.value)
  return outcome.how === 'nothing' ? 'nothing' : `the error "${outcome.error}"`
}

/** Many outcomes in words: `50 × "a", 1 × nothing`. */
export function counted(outcomes) {
  const counts = new Map()
  for (const words of outcomes.map(said)) counts.set(words, (counts.get(words) ?? 0) + 1)
  return [...counts].map(([words, count]) => `${count} × ${words}`).join(', ')
}
