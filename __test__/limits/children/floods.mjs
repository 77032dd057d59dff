// Asks for a million keys of which none comes twice, while it keeps one that is refused; says how much memory that took.
//   node floods.mjs URL KEYS
import { createHoldfast } from '../../../dist/index.mjs'

const [url, keys] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix: 'flood:', env: {}, instances: 1 })
const limiter = holdfast.createRateLimiter({ name: 'flood', maxRequests: 5, windowMs: 3_600_000 })
for (let n = 0; n < 5; n++) await limiter.check('refused')
const rss = () => {
  globalThis.gc()
  return process.memoryUsage().rss / 2 ** 20
}
const some = async (from, count) => {
  for (let at = from; at < from + count; at += 1_000) {
    const results = await Promise.all(Array.from({ length: 1_000 }, (_, n) => limiter.check(`client:${at + n}`)))
    if (!results.every(({ success, remaining }) => success && remaining === 4)) throw new Error('a key was known')
  }
}
// What every process needs, whatever the keys.
await some(-20_000, 20_000)
const before = rss()
let most = 0
for (let at = 0; at < Number(keys); at += 100_000) {
  await some(at, 100_000)
  if ((await limiter.check('refused')).success) throw new Error('who was refused is free')
  most = Math.max(most, rss() - before)
}
console.log(JSON.stringify({ most: Math.ceil(most) }))
await holdfast.close()
