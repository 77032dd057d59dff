// A handler behind a limit: it runs when the limit allows, and what is not to be counted is given back.
import { describe, expect, it, vi } from 'vitest'
import { range } from '../boundary/inside'
import { gate, onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { fresh, from, left, newAddress, type LimiterOptions } from './limiters'

const settled = (answer: unknown): Promise<unknown> => Promise.allSettled([answer])

describe.each(stores)('a wrapped handler on %s', (store) => {
  const { holdfast } = onStore(store)
  const create = (options: LimiterOptions = {}) => holdfast.createRateLimiter({ name: fresh('wrapped'), maxRequests: 3, windowMs: 3_600_000, ...options })

  it('is called with all its arguments while the limit allows, and not at all when it does not', async () => {
    const handler = vi.fn(async (request: Request, context: { params: { id: string } }, more: number) =>
      Response.json({ method: request.method, id: context.params.id, more }, { status: 201, statusText: 'Made', headers: { 'x-own': 'yes', 'x-ratelimit-limit': 'mine' } }))
    const wrapped = create().wrap(handler)
    const address = newAddress()
    const context = { params: { id: '7' } }
    for (const n of range(3)) {
      const response = await wrapped(from(address), context, n)
      expect([response.status, response.statusText, response.headers.get('x-own'), await response.json()]).toEqual([201, 'Made', 'yes', { method: 'GET', id: '7', more: n }])
      expect([response.headers.get('X-RateLimit-Limit'), response.headers.get('X-RateLimit-Remaining')]).toEqual(['3', String(2 - n)])
    }
    const refused = await wrapped(from(address), context, 3)
    expect([refused.status, handler.mock.calls.length]).toEqual([429, 3])
    expect(await refused.json()).toMatchObject({ error: 'Too Many Requests' })
  })

  it('may answer with what can not be changed, and with what has no body', async () => {
    const wrapped = create({ maxRequests: 9 }).wrap((request: Request) =>
      request.url.endsWith('redirect') ? Response.redirect('https://app.example/elsewhere', 302) : new Response(null, { status: 204 }))
    const address = newAddress()
    const redirect = await wrapped(from(address, {}, 'https://app.example/redirect'))
    expect([redirect.status, redirect.headers.get('location'), redirect.headers.get('X-RateLimit-Remaining')]).toEqual([302, 'https://app.example/elsewhere', '8'])
    const empty = await wrapped(from(address))
    expect([empty.status, empty.body, empty.headers.get('X-RateLimit-Remaining')]).toEqual([204, null, '7'])
  })

  it('streams its body as it comes', async () => {
    const rest = gate()
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode('first'))
        await rest.opened
        controller.enqueue(new TextEncoder().encode('last'))
        controller.close()
      },
    })
    const response = await create().wrap(() => new Response(body))(from(newAddress()))
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('first')
    rest.open()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('last')
  })

  const outcomes: [string, () => Response | Promise<Response>, boolean][] = [
    ['200', () => new Response(), true],
    ['302', () => Response.redirect('https://app.example/', 302), true],
    ['399', () => new Response(null, { status: 399 }), true],
    ['400', () => new Response(null, { status: 400 }), false],
    ['503', () => new Response(null, { status: 503 }), false],
    ['a throw', () => Promise.reject(new Error('of the handler')), false],
    ['a throw at once', () => { throw new Error('of the handler') }, false],
  ]

  it.each(outcomes)('with skipSuccessfulRequests counts failures alone: %s', async (_, handler, succeeds) => {
    const limiter = create({ skipSuccessfulRequests: true, cost: 2 })
    const address = newAddress()
    await settled(limiter.wrap(handler)(from(address)))
    expect(await left(limiter, address)).toEqual([succeeds ? 3 : 1])
  })

  it.each(outcomes)('with skipFailedRequests counts successes alone: %s', async (_, handler, succeeds) => {
    const limiter = create({ skipFailedRequests: true, cost: 2 })
    const address = newAddress()
    await settled(limiter.wrap(handler)(from(address)))
    expect(await left(limiter, address)).toEqual([succeeds ? 1 : 3])
  })

  it.each(outcomes)('with neither counts everything, with both nothing: %s', async (_, handler) => {
    const [neither, both] = [create({ cost: 2 }), create({ cost: 2, skipFailedRequests: true, skipSuccessfulRequests: true })]
    const address = newAddress()
    for (const limiter of [neither, both]) await settled(limiter.wrap(handler)(from(address)))
    expect([await left(neither, address), await left(both, address)]).toEqual([[1], [3]])
  })

  it('that throws is told apart from a refusal: what it threw comes through', async () => {
    const thrown = new Error('of the handler')
    const wrapped = create({ skipFailedRequests: true }).wrap(async () => Promise.reject(thrown))
    await expect(wrapped(from(newAddress()))).rejects.toBe(thrown)
  })

  it('counts while it runs, also what is given back afterwards', async () => {
    const limiter = create({ maxRequests: 1, skipSuccessfulRequests: true })
    const address = newAddress()
    const [started, answer] = [gate(), gate()]
    const wrapped = limiter.wrap(async () => (started.open(), await answer.opened, new Response()))
    const first = wrapped(from(address))
    await started.opened
    expect((await wrapped(from(address))).status).toBe(429)
    answer.open()
    expect((await first).status).toBe(200)
    expect((await wrapped(from(address))).status).toBe(200)
  })

  it('gives back what it was charged at each limit', async () => {
    const limiter = create({
      maxRequests: undefined,
      windowMs: undefined,
      limits: [{ name: 'requests', limit: 5, window: '1h', cost: 1 }, { name: 'tokens', limit: 100, window: '1h' }, { name: 'bucket', limit: 50, window: '1h', algorithm: 'token-bucket' }],
      cost: (request) => ({ tokens: Number(request.headers.get('x-tokens')) }),
      skipFailedRequests: true,
    })
    const address = newAddress()
    await limiter.wrap(() => new Response())(from(address, { 'x-tokens': '10' }))
    await limiter.wrap(() => new Response(null, { status: 500 }))(from(address, { 'x-tokens': '60' }))
    expect(await left(limiter, address)).toEqual([4, 90, 49])
  })

  it('gives back its own charge and nobody else\'s, however late it ends', async () => {
    const windowMs = 300
    const limiter = create({ maxRequests: 1, windowMs, skipFailedRequests: true })
    const address = newAddress()
    const [started, answer] = [gate(), gate()]
    const slow = limiter.wrap(async () => (started.open(), await answer.opened, new Response(null, { status: 500 })))(from(address))
    await started.opened
    const quick = limiter.wrap(() => new Response())
    let taken = 0
    await waitFor('the window of the slow one to end', async () => {
      taken = performance.now()
      return (await quick(from(address))).status === 200
    })
    answer.open()
    expect((await slow).status).toBe(500)
    const { status } = await quick(from(address))
    // On a busy machine the window of the quick one may be over as well.
    if (performance.now() - taken < windowMs - 20) expect(status).toBe(429)
    expect([200, 429]).toContain(status)
  })
})
