// Seed 000, line 121: rate limiting. What is refused is answered by the limiter.
import { describe, expect, it } from 'vitest'
import { rateLimit, rateLimiters } from '@/lib/cache'
import { onStore, stores } from './store'

type NextRequest = Request

describe.each(stores)('seed 000, line 121, on %s', (store) => {
  const { keyPrefix, outside } = onStore(store)
  const from = (address: string): Request =>
    new Request('http://localhost/api/ai', { headers: { 'x-forwarded-for': address } })

  // Apply rate limiting middleware
  async function POST(request: NextRequest) {
    const rateLimitResult = await rateLimiters.ai(request);
    if (rateLimitResult.status === 429) {
      return rateLimitResult;
    }
    // ... handle request
    return new Response('handled')
  }

  it('lets 30 requests of a client through, and then answers 429', async () => {
    for (let call = 0; call < 30; call++) expect(await (await POST(from('192.0.2.1'))).text()).toBe('handled')
    const refused = await POST(from('192.0.2.1'))
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({ error: 'Too Many Requests', retryAfter: expect.any(Number) as number })
    expect(await (await POST(from('192.0.2.2'))).text()).toBe('handled')
    expect((await rateLimit(from('192.0.2.1'))).status).toBe(200)
  })

  if (store === 'redis') it('keeps a count in the rate_limit family, which ends by itself', async () => {
    await POST(from('192.0.2.3'))
    const keys = (await outside().call('KEYS', `${keyPrefix}rate_limit:*192.0.2.3`)) as string[]
    expect(keys).toHaveLength(1)
    expect(await outside().call('PTTL', keys[0]!)).toBeGreaterThan(0)
  })
})
