// The limiters that are ready to use: their numbers, the paths they belong to, and the functions beside them.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { range } from '../boundary/inside'
import { onStore, stores } from '../cache/stores'
import { allowedOf, fresh, from, headerNames, limiterOf, namesOf, newAddress, url } from './limiters'

const presets = [
  ['ai', 30, 300],
  ['api', 100, 900],
  ['auth', 5, 900],
  ['upload', 10, 3_600],
  ['strict', 1, 60],
  ['chat', 20, 60],
  ['search', 30, 60],
] as const

const paths: [path: string, limiter: (typeof presets)[number][0] | null][] = [
  ['/api/auth', 'auth'],
  ['/api/auth/login?next=/api/ai', 'auth'],
  ['/api/ai', 'ai'],
  ['/api/claude/messages', 'ai'],
  ['/api/upload', 'upload'],
  ['/artifacts/save', 'upload'],
  ['/api/x/artifacts/save/7', 'upload'],
  ['/api/admin/users', 'strict'],
  ['/api', 'api'],
  ['/api/anything', 'api'],
  ['/api/authors', 'api'],
  ['/api/aid', 'api'],
  ['/api/administration', 'api'],
  ['/apis', null],
  ['/', null],
  ['/about?next=/api/auth', null],
  ['/xapi/auth', null],
]

describe.each(stores)('presets on %s', (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const backend = store === 'redis' ? 'redis' : 'memory'
  afterEach(() => void vi.unstubAllEnvs())

  it.each(presets)('%s allows %i in %i s, and refuses the next', async (name, limit, seconds) => {
    const limiter = holdfast.rateLimiters[name]
    expect(limiter.limiterName).toBe(name)
    const address = newAddress()
    const responses = await Promise.all(range(limit + 3).map(() => limiter(from(address))))
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(limit)
    expect(responses.filter(({ status }) => status === 429)).toHaveLength(3)
    expect(responses[0]?.headers.get('RateLimit-Policy')).toBe(`"${name}";q=${limit};w=${seconds}`)
    expect(await limiter(from(newAddress()))).toMatchObject({ status: 200 })
    expect(await allowedOf(limiter, address, 1)).toBe(0)
  })

  it.each(paths)('applyRateLimit takes %s to %s', async (path, name) => {
    const address = newAddress()
    const response = await holdfast.applyRateLimit(from(address, {}, `https://app.example${path}`))
    expect(response.status).toBe(200)
    const limits = Object.values(holdfast.rateLimiters)
    const charged = await Promise.all(limits.map(async (limiter) => ((await holdfast.getRateLimitStats(address, limiter))?.count === 1 ? limiter.limiterName : null)))
    expect(charged.filter((each) => each !== null)).toEqual(name === null ? [] : [name])
    expect(response.headers.get('X-RateLimit-Limit')).toBe(name === null ? null : String(presets.find(([each]) => each === name)?.[1]))
  })

  it('applyRateLimit refuses who has no more, and takes a request whose url is a path', async () => {
    const address = newAddress()
    const plain = { url: '/api/admin/x', headers: new Headers({ 'x-forwarded-for': address }) }
    expect((await holdfast.applyRateLimit(plain)).status).toBe(200)
    expect((await holdfast.applyRateLimit(from(address, {}, 'https://app.example/api/admin'))).status).toBe(429)
  })

  it('rateLimit counts by 100 in 15 minutes, or by what its options say; the same options are the same count', async () => {
    const address = newAddress()
    const first = await holdfast.rateLimit(from(address))
    expect(first.headers.get('RateLimit-Policy')).toBe('"default";q=100;w=900')
    for (const expected of [200, 200, 429]) expect((await holdfast.rateLimit(from(address), { windowMs: 60_000, maxRequests: 2 })).status).toBe(expected)
    // Also with a function in them, new each time.
    const keyGenerator = (): (() => string) => () => address
    for (const expected of [200, 429]) expect((await holdfast.rateLimit(from(newAddress()), { windowMs: 70_000, maxRequests: 1, keyGenerator: keyGenerator() })).status).toBe(expected)
    expect(await holdfast.getRateLimitStats(address)).toMatchObject({ count: 1, remaining: 99, backend })
  })

  it('getRateLimitStats says how a key stands at a limiter, and null where nothing counts', async () => {
    const limiter = limiterOf(holdfast, 10)
    expect(await holdfast.getRateLimitStats('key', limiter)).toBeNull()
    await limiter.check('key', { cost: 4 })
    const before = Date.now()
    const stats = await holdfast.getRateLimitStats('key', limiter)
    expect(stats).toEqual({ count: 4, remaining: 6, resetTime: expect.any(Number) as number, backend })
    expect(stats?.resetTime).toBeGreaterThan(before + 3_500_000)
    expect(stats?.resetTime).toBeLessThanOrEqual(Date.now() + 3_600_000)
    await limiter.reset('key')
    expect(await holdfast.getRateLimitStats('key', limiter)).toBeNull()
  })

  it('getRateLimitBackend says who decides', async () => {
    await holdfast.rateLimiters.api.check('anybody')
    expect(holdfast.getRateLimitBackend()).toBe(backend)
  })

  it('are switched off by NEXT_PUBLIC_ENABLE_RATE_LIMIT=false, at once, and by nothing else', async () => {
    const [one, other] = [newAddress(), newAddress()]
    const strict = (address: string): Promise<Response> => holdfast.rateLimiters.strict(from(address))
    vi.stubEnv('NEXT_PUBLIC_ENABLE_RATE_LIMIT', 'false')
    for (const _ of range(3)) {
      const response = await strict(one)
      expect([response.status, headerNames(response)]).toEqual([200, []])
      expect((await holdfast.applyRateLimit(from(one, {}, 'https://app.example/api/admin'))).status).toBe(200)
      expect((await holdfast.rateLimit(from(one), { windowMs: 80_000, maxRequests: 1 })).status).toBe(200)
      expect(await holdfast.rateLimiters.strict.consume(from(one))).toMatchObject({ success: true, remaining: 1 })
    }
    expect(await holdfast.getRateLimitStats(one, holdfast.rateLimiters.strict)).toBeNull()
    // Who asks for a key is answered all the same.
    expect([await allowedOf(holdfast.rateLimiters.strict, other, 2)]).toEqual([1])
    for (const value of ['true', '', '0', 'no']) {
      vi.stubEnv('NEXT_PUBLIC_ENABLE_RATE_LIMIT', value)
      const address = newAddress()
      expect([(await strict(address)).status, (await strict(address)).status], value).toEqual([200, 429])
    }
  })

  it('take their defaults from RATE_LIMIT_MAX and RATE_LIMIT_WINDOW, where options say nothing', async () => {
    vi.stubEnv('RATE_LIMIT_MAX', '2')
    vi.stubEnv('RATE_LIMIT_WINDOW', '120000')
    const own = open({ keyPrefix: `${keyPrefix}environment:` })
    const address = newAddress()
    const responses = [await own.rateLimit(from(address)), await own.rateLimit(from(address)), await own.rateLimit(from(address))]
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 429])
    expect(responses[0]?.headers.get('RateLimit-Policy')).toBe('"default";q=2;w=120')
    expect((await own.createRateLimiter({ maxRequests: 7 }).check('key')).limits).toMatchObject([{ limit: 7 }])
    expect((await own.createRateLimiter({ windowMs: 5_000 }).check('key')).limits).toMatchObject([{ limit: 2, resetMs: 5_000 }])
    // The presets have numbers of their own.
    expect((await own.rateLimiters.ai(from(newAddress()))).headers.get('RateLimit-Policy')).toBe('"ai";q=30;w=300')
  })

  if (store === 'redis') it('keep their counts under REDIS_RATE_LIMIT_PREFIX, with or without colons at its end', async () => {
    for (const prefix of ['limits', 'limits:', 'limits::']) {
      vi.stubEnv('REDIS_RATE_LIMIT_PREFIX', prefix)
      const own = open({ keyPrefix: `${keyPrefix}family:` })
      const name = fresh('named')
      await own.createRateLimiter({ name, maxRequests: 3, windowMs: 60_000 }).check('key')
      const names = (await outside().call('KEYS', `${keyPrefix}family:limits:*:${name}:key`)) as string[]
      expect(names, prefix).toHaveLength(1)
      expect(await namesOf(outside(), `${keyPrefix}family:`)).toEqual([])
    }
  })

  it('answer objects that have headers and no more, and take the key that keyGenerator gives', async () => {
    const limiter = holdfast.createRateLimiter<Request & { user?: string }>({
      name: fresh('by user'),
      maxRequests: 1,
      windowMs: 60_000,
      keyGenerator: async ({ user = 'nobody' }) => `user:${user}`,
    })
    const by = (user: string): Request & { user?: string } => Object.assign(new Request(url), { user })
    expect([(await limiter(by('a'))).status, (await limiter(by('b'))).status, (await limiter(by('a'))).status]).toEqual([200, 200, 429])
    expect(await allowedOf(limiter, 'user:b', 1)).toBe(0)
  })

  it('count by the address of whom keyGenerator says nothing', async () => {
    const limiter = holdfast.createRateLimiter({ name: fresh('perhaps'), maxRequests: 1, windowMs: 60_000, keyGenerator: (request) => request.headers.get('x-user') })
    const [one, other] = [newAddress(), newAddress()]
    const status = async (address: string, headers = {}): Promise<number> => (await limiter(from(address, headers))).status
    expect([await status(one), await status(one), await status(other), await status(one, { 'x-user': 'a' }), await status(other, { 'x-user': 'a' })]).toEqual([200, 429, 200, 200, 429])
  })

  it('charge what the cost of a request is', async () => {
    const limiter = holdfast.createRateLimiter({
      name: fresh('priced'),
      limits: [{ name: 'requests', limit: 10, window: '1h', cost: 1 }, { name: 'tokens', limit: 100, window: '1h' }],
      cost: async (request) => ({ tokens: Number(request.headers.get('x-tokens')) }),
    })
    const address = newAddress()
    expect(await limiter.consume(from(address, { 'x-tokens': '70' }))).toMatchObject({ success: true, limits: [{ remaining: 9 }, { remaining: 30 }] })
    expect((await limiter(from(address, { 'x-tokens': '40' }))).status).toBe(429)
    expect((await limiter(from(address, { 'x-tokens': '30' }))).status).toBe(200)
    const fixed = holdfast.createRateLimiter({ name: fresh('fixed'), maxRequests: 10, windowMs: 60_000, cost: 4 })
    const other = newAddress()
    for (const status of [200, 200, 429]) expect((await fixed(from(other))).status).toBe(status)
  })
})
