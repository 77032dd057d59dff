// The next process of an app: it finds what the last one left behind, and ends when that was sent.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, journalPath] = process.argv.slice(2)
const holdfast = createHoldfast({ env: {}, url, keyPrefix, fallback: { journalPath, journalSync: 'always' } })
await holdfast.publish('room', 'of the next')
while (holdfast.fallbackManager.getStats().journalDepth > 0) await new Promise((resolve) => setTimeout(resolve, 5))
await holdfast.close()
