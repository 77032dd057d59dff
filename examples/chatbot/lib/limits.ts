// How often a client may do what: counted in Redis, and by this process while Redis is away. A client is an address.

import { createRateLimiter } from '@/lib/cache'

// Next writes the socket's address into X-Forwarded-For where no proxy stands before it. With proxies: how many there are.
const address = { trustedHops: 1 }

/** Questions: a model costs money. */
export const questions = createRateLimiter({
  name: 'questions',
  maxRequests: perMinute(process.env.QUESTIONS_PER_MINUTE),
  windowMs: 60_000,
  address,
})

/** Log-ins: five in a quarter of an hour, as `rateLimiters.auth` has it for who need not say how addresses are found. */
export const logins = createRateLimiter({ name: 'logins', maxRequests: 5, windowMs: 15 * 60_000, address })

/** Everything small that the page does by itself. */
export const calls = createRateLimiter({ name: 'calls', maxRequests: 600, windowMs: 60_000, address })

function perMinute(text: string | undefined): number {
  const number = Number(text)
  return Number.isSafeInteger(number) && number > 0 ? number : 20
}
