// A process that is asked by these requests, and says which warnings came of it: their codes, types and texts.
import { createHoldfast } from 'holdfast'

const [instance, requests] = process.argv.slice(2).map((text) => JSON.parse(text))
const warnings = []
process.on('warning', ({ name, code, message }) => warnings.push({ name, code, message }))
const holdfast = createHoldfast({ env: {}, ...instance })
const limiters = new Map()
for (const [options, headers, ip] of requests) {
  const text = JSON.stringify(options)
  if (!limiters.has(text)) limiters.set(text, holdfast.createRateLimiter({ name: `warned ${limiters.size}`, maxRequests: 1_000, windowMs: 60_000, ...options }))
  const response = await limiters.get(text)({ headers: new Headers(headers), ip })
  if (response.status >= 500) throw new Error(`status ${response.status}`)
}
await holdfast.close()
// They are emitted on the next tick.
await new Promise((resolve) => setImmediate(resolve))
console.log(JSON.stringify(warnings))
