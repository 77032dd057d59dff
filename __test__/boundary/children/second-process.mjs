// Another process with an instance of its own, which does what it is given: [['set', key, value], ['delete', key]].
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, text] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {} })
for (const [what, ...args] of JSON.parse(text)) await holdfast.cacheManager[what](...args)
if (!holdfast.isRedisAvailable()) throw new Error('there was no server')
await holdfast.close()
