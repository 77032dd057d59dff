// What a limiter says in HTTP: headers of the draft and of the older convention, and bodies that say why.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { onStore, stores } from '../cache/stores'
import { fresh, from, headerNames, newAddress, type LimiterOptions } from './limiters'

type HeaderOptions = LimiterOptions['headers']

const legacy = ['x-ratelimit-backend', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']
const standard = ['ratelimit', 'ratelimit-policy']

describe.each(stores)('responses on %s', (store) => {
  const { holdfast } = onStore(store)
  const backend = store === 'redis' ? 'redis' : 'memory'
  const create = (options: LimiterOptions = {}) => holdfast.createRateLimiter({ name: fresh('said'), maxRequests: 1, windowMs: 60_400, ...options })
  /** What a limiter with room for one answers: to the first request, and to the next. */
  const both = async (options: LimiterOptions = {}, headers: Record<string, string> = {}) => {
    const limiter = create(options)
    const address = newAddress()
    return [await limiter(from(address, headers)), await limiter(from(address, headers))] as const
  }
  /** The names of what is said of limits. */
  const names = (response: Response): string[] => headerNames(response).filter((name) => name.includes('ratelimit') || name === 'retry-after').sort()

  it('that allow are 200 without a body, with the headers of both kinds', async () => {
    const [allowed] = await both({ name: 'plain', maxRequests: 1 })
    expect([allowed.status, await allowed.text(), names(allowed)]).toEqual([200, '', [...standard, ...legacy].sort()])
  })

  it('that refuse are 429 with the body of the seeds, and say when to come again', async () => {
    const [, refused] = await both({ message: 'Slow down, please.' })
    expect([refused.status, names(refused), refused.headers.get('content-type')]).toEqual([429, ['ratelimit', 'ratelimit-policy', 'retry-after', ...legacy], 'application/json'])
    const retryAfter = Number(refused.headers.get('Retry-After'))
    expect(retryAfter).toBeGreaterThan(1)
    expect(retryAfter).toBeLessThanOrEqual(61)
    expect(await refused.json()).toEqual({ error: 'Too Many Requests', message: 'Slow down, please.', retryAfter })
    const [, unsaid] = await both()
    expect(await unsaid.json()).toEqual({ error: 'Too Many Requests', message: expect.stringMatching(/\w/) as string, retryAfter: expect.any(Number) as number })
  })

  it('say in X-RateLimit headers how the tightest limit stands', async () => {
    const before = Date.now()
    const [allowed, refused] = await both({ maxRequests: 2, cost: 2 })
    for (const { headers } of [allowed, refused]) {
      expect([headers.get('X-RateLimit-Limit'), headers.get('X-RateLimit-Remaining')]).toEqual(['2', '0'])
      const reset = headers.get('X-RateLimit-Reset') ?? ''
      expect(reset).toBe(new Date(reset).toISOString())
      expect(Date.parse(reset)).toBeGreaterThan(before)
      expect(Date.parse(reset)).toBeLessThanOrEqual(Date.now() + 60_400)
    }
    expect(allowed.headers.get('X-RateLimit-Backend')).toBe(backend)
    expect(refused.headers.get('X-RateLimit-Backend')).toBe(backend)
    const [epoch] = await both({ headers: { legacyReset: 'epoch' } })
    const seconds = Number(epoch.headers.get('X-RateLimit-Reset'))
    expect(Number.isInteger(seconds)).toBe(true)
    expect(seconds * 1000).toBeGreaterThanOrEqual(before + 60_000)
    expect(seconds * 1000).toBeLessThanOrEqual(Date.now() + 61_400)
  })

  it('say in RateLimit and RateLimit-Policy how each limit stands', async () => {
    const limiter = holdfast.createRateLimiter({
      name: fresh('policies'),
      limits: [
        { name: 'burst', limit: 2, window: 10 },
        { name: 'daily', limit: 1_000, window: '1d', algorithm: 'fixed-window' },
        { name: 'half', limit: 5, window: 0.5, algorithm: 'token-bucket' },
        { name: 'running', limit: 3, algorithm: 'concurrency' },
      ],
    })
    const response = await limiter.wrap(() => new Response())(from(newAddress()))
    expect(response.headers.get('RateLimit-Policy')).toBe('"burst";q=2;w=10, "daily";q=1000;w=86400, "half";q=5;w=1, "running";q=3;qu="concurrent-requests"')
    expect(response.headers.get('RateLimit')).toBe('"burst";r=1;t=10, "daily";r=999;t=86400, "half";r=4;t=1, "running";r=2;t=30')
  })

  it('of a refusal name as t of the limit that refuses the time until it fits', async () => {
    const [, refused] = await both({ limits: [{ name: 'one', limit: 1, window: '1h' }, { name: 'many', limit: 9, window: '2h' }], maxRequests: undefined, windowMs: undefined })
    const [one, many] = (refused.headers.get('RateLimit') ?? '').split(', ')
    expect(one).toMatch(/^"one";r=0;t=3(600|59\d)$/)
    expect(many).toMatch(/^"many";r=8;t=7(200|19\d)$/)
    expect(Number(refused.headers.get('Retry-After'))).toBe(Number(one?.split('t=')[1]))
  })

  it.each<[string, HeaderOptions, string[], boolean]>([
    ['false', false, [], false],
    ['true', true, [...standard, ...legacy], true],
    ['no legacy ones', { legacy: false }, standard, true],
    ['no standard ones', { standard: false }, legacy, true],
    ['no Retry-After', { retryAfter: false }, [...standard, ...legacy], false],
    ['none by name', { standard: false, legacy: false, retryAfter: false }, [], false],
    ['everything undefined', { standard: undefined, legacy: undefined }, [...standard, ...legacy], true],
  ])('carry what the headers option says: %s', async (_, headers, said, retries) => {
    const [allowed, refused] = await both({ headers })
    expect(names(allowed)).toEqual([...said].sort())
    expect(names(refused)).toEqual([...said, ...(retries ? ['retry-after'] : [])].sort())
    expect(((await refused.json()) as { retryAfter: number }).retryAfter).toBeGreaterThan(0)
  })

  it('quote names, so that nothing in them ends them', async () => {
    const name = String.raw`a "b";q=1, \ c`
    const [allowed] = await both({ limits: [{ name, limit: 1, window: 60 }], maxRequests: undefined, windowMs: undefined })
    const quoted = String.raw`"a \"b\";q=1, \\ c"`
    expect(allowed.headers.get('RateLimit-Policy')).toBe(`${quoted};q=1;w=60`)
    expect(allowed.headers.get('RateLimit')).toBe(`${quoted};r=0;t=60`)
  })

  it('tell counts apart by a hash of the key, where that is asked for', async () => {
    const limiter = create({ maxRequests: 5, headers: { partitionKey: true } })
    const [one, other] = [newAddress(), newAddress()]
    const responses = [await limiter(from(one)), await limiter(from(one)), await limiter(from(other))]
    const keys = responses.map(({ headers }) => [...`${headers.get('RateLimit-Policy')} ${headers.get('RateLimit')}`.matchAll(/;pk=:([\w+/=]+):/g)].map(([, key]) => key))
    const hash = (key: string): string => createHash('sha256').update(key).digest().subarray(0, 12).toString('base64')
    expect(keys).toEqual([one, one, other].map((address) => [hash(address), hash(address)]))
    const status = await limiter.status(one)
    expect(limiter.headers(status, one)['RateLimit']).toContain(`;pk=:${hash(one)}:`)
    expect(limiter.respond(status, undefined, one).headers.get('RateLimit')).toContain(`;pk=:${hash(one)}:`)
    // Of whom nobody knows there is no hash.
    expect(limiter.headers(status)['RateLimit']).not.toContain('pk=')
  })

  it('are problem+json for who accepts it, or always, or never', async () => {
    const limits = { limits: [{ name: 'first', limit: 9, window: 60 }, { name: 'second', limit: 1, window: 60 }], maxRequests: undefined, windowMs: undefined }
    const problem = {
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too Many Requests',
      status: 429,
      detail: 'Later.',
      'violated-policies': ['second'],
    }
    const accept = { accept: 'application/problem+json, application/json;q=0.5' }
    for (const [options, headers, is] of [[{}, accept, true], [{}, {}, false], [{ problem: true }, {}, true], [{ problem: false }, accept, false], [{ problem: 'accept' }, accept, true]] as const) {
      const [allowed, refused] = await both({ ...limits, ...options, message: 'Later.' }, headers)
      expect([allowed.status, refused.status]).toEqual([200, 429])
      expect(refused.headers.get('content-type')).toBe(is ? 'application/problem+json' : 'application/json')
      expect(await refused.json()).toEqual(is ? problem : { error: 'Too Many Requests', message: 'Later.', retryAfter: expect.any(Number) as number })
    }
  })

  it('of a cost that never fits are 429 that name no time', async () => {
    const limiter = create({ cost: 5 })
    const refused = await limiter(from(newAddress()))
    expect([refused.status, refused.headers.get('Retry-After')]).toEqual([429, null])
    expect(await refused.json()).toEqual({ error: 'Too Many Requests', message: expect.stringMatching(/larger/) as string })
    const problem = await create({ cost: 5, problem: true, name: 'small' })(from(newAddress()))
    expect(await problem.json()).toMatchObject({ status: 429, 'violated-policies': ['small'] })
  })

  it('and headers can be made of any result', async () => {
    const limiter = create()
    const address = newAddress()
    const [allowed, refused] = [await limiter.consume(from(address)), await limiter.consume(from(address))]
    expect(limiter.respond(allowed).status).toBe(200)
    const response = limiter.respond(refused, from(address, { accept: 'application/problem+json' }))
    expect([response.status, response.headers.get('content-type')]).toEqual([429, 'application/problem+json'])
    expect(limiter.headers(refused)).toEqual(Object.fromEntries(Object.entries(limiter.headers(refused)).map(([name]) => [name, limiter.respond(refused).headers.get(name)])))
    expect(limiter.headers(refused)).toHaveProperty('Retry-After', String(refused.retryAfter))
    expect(limiter.headers(allowed)).not.toHaveProperty('Retry-After')
  })
})
