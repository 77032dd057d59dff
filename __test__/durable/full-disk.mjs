// An app whose Redis is away and whose disk takes no more after a few writes. Prints what its calls answered.
import { createHoldfast } from 'holdfast'

const [url, journalPath, journalSync] = process.argv.slice(2)
const holdfast = createHoldfast({ env: {}, url, keyPrefix: 'full:', fallback: { journalPath, journalSync } })
const { cacheManager, fallbackManager } = holdfast

// Only against hanging.
setTimeout(() => process.exit(1), 25_000).unref()

const answered = (call) => call.then((value) => ({ value }), ({ code, applied }) => ({ code, applied }))

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const told = []
holdfast.on('journal-error', ({ reason }) => told.push(reason))

// In a family of its own, so that the clear below makes no room.
for (let n = 0; n < 1_000; n++) {
  const { code } = await answered(fallbackManager.set(`fill:${n}`, 'x'.repeat(100)))
  if (code !== undefined) break
}
await until(() => fallbackManager.getStats().journalProblem !== undefined)
const full = {
  set: await answered(cacheManager.set('a', 1)),
  delete: await answered(cacheManager.delete('b')),
  clear: await answered(cacheManager.clear()),
  loaded: await answered(cacheManager.getOrSet('c', () => 'from the factory')),
  read: await answered(fallbackManager.get('fill:0')),
  problem: fallbackManager.getStats().journalProblem,
}
await until(() => told.length > 0)
// What is owed becomes little: the file is written anew, and there is room.
fallbackManager.clearFallbackData()
await until(() => fallbackManager.getStats().journalProblem === undefined)
const healed = { set: await answered(cacheManager.set('d', 1)), delete: await answered(cacheManager.delete('a')) }
await until(() => told.length > 1)
process.stdout.write(JSON.stringify({ full, healed, told }), () => process.exit())
