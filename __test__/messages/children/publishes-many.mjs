// A process that publishes so many numbers on a channel, and ends by itself without closing anything.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, channel, count, from] = process.argv.slice(2)
const { publish } = createHoldfast({ url, keyPrefix, env: {} })
for (let n = 0; n < Number(count); n++) await publish(channel, `${from}:${n}`, { persistent: true })
