// An app whose Redis is away: it publishes so many messages, says that they were taken, and waits to be killed.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, journalPath, count, persistent] = process.argv.slice(2)
const { publish } = createHoldfast({ env: {}, url, keyPrefix, fallback: { journalPath, journalSync: 'always' } })
for (let n = 0; n < Number(count); n++) await publish('room', n, { persistent: persistent === 'true' })
console.log('taken')
setInterval(() => {}, 1_000)
