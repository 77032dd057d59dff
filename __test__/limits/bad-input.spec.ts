// What is no limiter, no cost, no key and no request is refused with the path of what is wrong, and changes nothing.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { range } from '../boundary/inside'
import { areRefused } from '../cache/loads'
import { onStore, stores } from '../cache/stores'
import { fresh, from, left, limiterOf, newAddress, type Limiter } from './limiters'

const wrongNumbers = [0, -1, 1.5, 1e13, Number.NaN, Number.POSITIVE_INFINITY, '5', {}, [], true, 5n, Symbol('5')]
const wrongCosts = [-1, 0.5, 1e13, Number.NaN, Number.POSITIVE_INFINITY, '1', null, [1], true, 1n]
const wrongTexts = ['', 5, {}, [], true, 'ä', 'line\n', 'x'.repeat(129)]
const wrongWords = ['', 'sliding', 5, {}, true]
/** What every object has. */
const inherited = ['toString', 'constructor', '__proto__']
const wrongSwitches = ['yes', 1, 0, {}, []]
const wrongWindows = [-1, Number.NaN, Number.POSITIVE_INFINITY, '90', '1w', 'soon', {}, true]
const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value)).slice(0, 20)
const rule = { name: 'rule', limit: 5, window: '1m' }

describe('options of a limiter', () => {
  const { holdfast } = onStore('memory')
  const create = (options: object) => holdfast.createRateLimiter(options as never)

  it('must be an object', async () => {
    await areRefused('options', [null, undefined, 5, 'strict', [], true], (options) => holdfast.createRateLimiter(options))
  })

  const wrong: [path: string, values: readonly unknown[], options: (value: unknown) => object][] = [
    ['options.maxRequests', wrongNumbers, (maxRequests) => ({ maxRequests })],
    ['options.windowMs', wrongNumbers, (windowMs) => ({ windowMs })],
    ['options.name', wrongTexts, (name) => ({ name, limits: [rule] })],
    ['options.name', wrongTexts, (name) => ({ name })],
    ['options.algorithm', wrongWords, (algorithm) => ({ algorithm })],
    ['options.onUnavailable', wrongWords, (onUnavailable) => ({ onUnavailable })],
    ['options.denyCache', wrongSwitches, (denyCache) => ({ denyCache })],
    ['options.limits', [null, 5, 'burst', {}, [], true], (limits) => ({ limits })],
    ['options.limits[1]', [null, undefined, 5, 'burst'], (second) => ({ limits: [rule, second] })],
    ['options.limits[1].name', [...wrongTexts, undefined, null], (name) => ({ limits: [rule, { ...rule, name }] })],
    ['options.limits[1].limit', [...wrongNumbers, undefined, null], (limit) => ({ limits: [rule, { ...rule, name: 'other', limit }] })],
    ['options.limits[1].window', [...wrongWindows, undefined, null, 0], (window) => ({ limits: [rule, { ...rule, name: 'other', window }] })],
    ['options.limits[1].cost', wrongCosts, (cost) => ({ limits: [rule, { ...rule, name: 'other', cost }] })],
    ['options.limits[1].algorithm', wrongWords, (algorithm) => ({ limits: [rule, { ...rule, name: 'other', algorithm }] })],
    ['options.limits[1].onUnavailable', wrongWords, (onUnavailable) => ({ limits: [rule, { ...rule, name: 'other', onUnavailable }] })],
    ['options.maxRequests', [5], (maxRequests) => ({ limits: [rule], maxRequests })],
    ['options.windowMs', [5], (windowMs) => ({ limits: [rule], windowMs })],
    ['options.keyGenerator', [5, 'key', {}, null], (keyGenerator) => ({ keyGenerator })],
    ['options.headers', [5, 'all', null, []], (headers) => ({ headers })],
    ['options.headers.standard', wrongSwitches, (standard) => ({ headers: { standard } })],
    ['options.headers.legacy', wrongSwitches, (legacy) => ({ headers: { legacy } })],
    ['options.headers.retryAfter', wrongSwitches, (retryAfter) => ({ headers: { retryAfter } })],
    ['options.headers.partitionKey', wrongSwitches, (partitionKey) => ({ headers: { partitionKey } })],
    ['options.headers.legacyReset', ['', 'date', 5, null], (legacyReset) => ({ headers: { legacyReset } })],
    ['options.address', [5, 'vercel', true, null, []], (address) => ({ address })],
    ['options.address', [{ preset: 'none', trustedHops: 1 }, { trustedHops: 1, trustedProxies: [] }, { preset: 'none', trustedProxies: [] }], (address) => ({ address })],
    ['options.address.preset', wrongWords, (preset) => ({ address: { preset } })],
    ['options.address.trustedHops', [0, -1, 1.5, 33, Number.NaN, '1', null, {}], (trustedHops) => ({ address: { trustedHops } })],
    ['options.address.trustedProxies', ['10.0.0.0/8', 5, {}, null], (trustedProxies) => ({ address: { trustedProxies } })],
    ['options.address.trustedProxies[1]', ['', 'localhost', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8/8', '::/129', '10.0.0.1:80', 5, null], (second) => ({ address: { trustedProxies: ['10.0.0.0/8', second] } })],
    ['options.address.ipv6Prefix', [31, 129, 64.5, '64', null, {}], (ipv6Prefix) => ({ address: { ipv6Prefix } })],
    ['options.address.missing', ['', 'refuse', 'toString', 5, null, {}], (missing) => ({ address: { missing } })],
    ['options.algorithm', inherited, (algorithm) => ({ algorithm })],
    ['options.onUnavailable', inherited, (onUnavailable) => ({ onUnavailable })],
    ['options.address.missing', inherited, (missing) => ({ address: { missing } })],
    ['options.address.preset', inherited, (preset) => ({ address: { preset } })],
    ['options.problem', ['yes', 1, null, {}], (problem) => ({ problem })],
    ['options.message', [5, null, {}, []], (message) => ({ message })],
    ['options.cost', wrongCosts, (cost) => ({ cost })],
    ['options.cost.nobody', [1], (nobody) => ({ cost: { nobody } })],
    ['options.skipSuccessfulRequests', wrongSwitches, (skipSuccessfulRequests) => ({ skipSuccessfulRequests })],
    // Each would leave a default in force that nobody meant.
    ['options.limit', [5], (limit) => ({ limit, windowMs: 60_000 })],
    ['options.window', ['1m'], (window) => ({ maxRequests: 5, window })],
    ['options.limits[1].max', [5], (max) => ({ limits: [rule, { ...rule, name: 'other', max }] })],
    ['options.limits[1].windowMs', [60_000], (windowMs) => ({ limits: [rule, { ...rule, name: 'other', windowMs }] })],
    ['options.address.hops', [2], (hops) => ({ address: { hops } })],
    ['options.headers.ratelimit', [false], (ratelimit) => ({ headers: { ratelimit } })],
    ['options.skipFailedRequests', wrongSwitches, (skipFailedRequests) => ({ skipFailedRequests })],
  ]

  it.each(wrong.map(([path, values, options]) => [path, values.map(shown).join(', '), values, options] as const))('are refused by the path %s: %s', async (path, _, values, options) => {
    await areRefused(path, values, (value) => create(options(value)))
  })

  it('must give each limit a name of its own', async () => {
    await areRefused('options.limits[1].name', [[rule, rule]], (limits) => create({ limits }))
  })

  it.each<[string, object]>([
    ['options.limits[0].window', { limits: [{ ...rule, window: '500d' }] }],
    ['options.limits', { limits: range(17).map((n) => ({ ...rule, name: `rule ${n}` })) }],
    ['options.windowMs', { windowMs: 400 * 86_400_000 }],
  ])('beyond what can be counted are refused by the path %s', async (path, options) => {
    await areRefused(path, [options], create)
  })

  it('of a cost that is none are refused when a request comes, and it is charged nothing', async () => {
    for (const cost of wrongCosts) {
      const limiter = create({ name: fresh('wrong cost'), maxRequests: 5, windowMs: 60_000, cost: () => cost }) as Limiter
      const address = newAddress()
      await areRefused('options.cost', [address], (each: string) => limiter(from(each)))
      expect(await left(limiter, address)).toEqual([5])
    }
  })
})

describe('variables that are no numbers', () => {
  const { open } = onStore('memory')
  afterEach(() => void vi.unstubAllEnvs())

  it.each(['RATE_LIMIT_MAX', 'RATE_LIMIT_WINDOW'])('%s is refused where it is needed, and nowhere else', async (name) => {
    for (const value of ['soon', '-5', '0', '1.5']) {
      vi.stubEnv(name, value)
      const own = open()
      await areRefused(name, [{}], (options: object) => own.createRateLimiter(options))
      expect((await own.rateLimiters.ai(from(newAddress()))).status).toBe(200)
      expect((await own.createRateLimiter({ name: fresh('own'), maxRequests: 1, windowMs: 1_000 }).check('key')).success).toBe(true)
    }
  })
})

describe.each(stores)('what is asked of a limiter on %s', (store) => {
  const { holdfast } = onStore(store)
  const limiter = limiterOf(holdfast, 5)
  const calls: [string, (key: never) => Promise<unknown>][] = [
    ['check', (key) => limiter.check(key)],
    ['status', (key) => limiter.status(key)],
    ['reserve', (key) => limiter.reserve(key)],
    ['commit', (key) => limiter.commit(key, '0123456789abcdef', 1)],
    ['release', (key) => limiter.release(key, '0123456789abcdef')],
    ['refund', (key) => limiter.refund(key)],
    ['reset', (key) => limiter.reset(key)],
  ]

  it.each(calls)('by %s needs a key', async (_, call) => {
    await areRefused('key', ['', 5, null, undefined, {}, [], '\ud800', 'ä'.repeat(40_000)], call)
  })

  it.each(calls)('by %s is answered by a promise, also when it is wrong', async (_, call) => {
    let answer: Promise<unknown> | undefined
    expect(() => (answer = call(5 as never))).not.toThrow()
    await expect(answer).rejects.toMatchObject({ code: 'E_INVALID' })
  })

  const priced: [string, string, (cost: never) => Promise<unknown>][] = [
    ['check', 'options.cost', (cost) => limiter.check('priced', { cost })],
    ['reserve', 'options.estimate', (estimate) => limiter.reserve('priced', { estimate })],
    ['commit', 'actual', (actual) => limiter.commit('priced', '0123456789abcdef', actual)],
    ['refund', 'cost', (cost) => limiter.refund('priced', cost)],
  ]

  it.each(priced)('by %s must cost a whole number: %s', async (_, path, call) => {
    await areRefused(path, wrongCosts, call)
    await areRefused(`${path}.nobody`, [{ nobody: 1 }, { [limiter.limiterName]: 1, nobody: 1 }], call)
    await areRefused(`${path}.${limiter.limiterName}`, [-1, 0.5, Number.NaN, '1', null].map((cost) => ({ [limiter.limiterName]: cost })), call)
    expect(await left(limiter, 'priced')).toEqual([5])
  })

  it('by check and reserve has no options but theirs', async () => {
    await areRefused('options', [null, 5, 'all'], (options) => limiter.check('optioned', options))
    await areRefused('options.tokens', [5], (tokens) => limiter.check('optioned', { tokens } as object))
    await areRefused('options.cost', [5], (cost) => limiter.reserve('optioned', { cost } as object))
    expect(await left(limiter, 'optioned')).toEqual([5])
  })

  it('by reserve is held for a time that is one', async () => {
    await areRefused('options', [null, 5, 'long'], (options) => limiter.reserve('held', options))
    await areRefused('options.leaseMs', [0, 999, 86_400_001, Number.NaN, '5000', null, {}], (leaseMs) => limiter.reserve('held', { leaseMs }))
    await areRefused('options.maxHoldMs', [0, 29_999, 86_400_001, Number.NaN, '5000', null, {}], (maxHoldMs) => limiter.reserve('held', { maxHoldMs }))
    await areRefused('options.maxHoldMs', [4_999], (maxHoldMs) => limiter.reserve('held', { leaseMs: 5_000, maxHoldMs }))
    expect(await left(limiter, 'held')).toEqual([5])
  })

  it('by commit is told what it came to, and holds what it holds until then', async () => {
    const reservation = await limiter.reserve('unsaid', { estimate: 3 })
    await areRefused('actual', [undefined], (actual) => reservation.commit(actual as never))
    await areRefused('actual', [undefined], (actual) => limiter.commit('unsaid', reservation.id as string, actual as never))
    await areRefused(`actual.${limiter.limiterName}`, [undefined], (actual) => reservation.commit({ [limiter.limiterName]: actual } as never))
    expect(await left(limiter, 'unsaid')).toEqual([2])
    expect([await reservation.commit(1), await left(limiter, 'unsaid')]).toEqual([true, [4]])
  })

  it('by its helpers needs a result, a limiter and a handler', async () => {
    const wrong = [null, undefined, 5, {}, 'text']
    await areRefused('result', wrong, async (result) => limiter.headers(result as never))
    await areRefused('result', wrong, async (result) => limiter.respond(result as never))
    await areRefused('limiter', [null, 5, {}, 'text'], (other) => holdfast.getRateLimitStats('key', other as never))
    await areRefused('handler', wrong, async (handler) => limiter.wrap(handler as never))
    await areRefused('options', [null, 5, 'text'], (options) => holdfast.rateLimit(from(newAddress()), options as never))
  })

  it.each<[string, unknown]>([['text', 'text'], ['undefined', undefined], ['an object', { ok: true }], ['null', null]])('by a handler that answers %s is told, and its unit stays charged', async (_, answer) => {
    const own = limiterOf(holdfast, 5)
    const address = newAddress()
    await areRefused('handler', [answer], (wrong) => own.wrap(() => wrong as Response)(from(address)))
    expect(await left(own, address)).toEqual([4])
  })

  it('by a request needs its headers, and a url where the path decides', async () => {
    await areRefused('request', [null, undefined, 5, 'GET', {}, { headers: {} }, { headers: { 'x-forwarded-for': '203.0.113.7' } }], (request) => limiter(request))
    await areRefused('request', [null, undefined], (request) => holdfast.applyRateLimit(request))
    await areRefused('request', [null, {}], (request) => holdfast.rateLimit(request))
    await areRefused('request', [null, {}], (request) => limiter.consume(request))
    await areRefused('request', [null, {}], (request) => limiter.wrap(() => expect.unreachable('the handler ran'))(request) as Promise<Response>)
    await areRefused('request.url', [undefined, 5, null, '', 'http://:x'], (wrong) => holdfast.applyRateLimit({ headers: new Headers(), url: wrong }))
  })

  it('with options of rateLimit that are wrong is answered by a promise as well', async () => {
    let answer: Promise<unknown> | undefined
    expect(() => (answer = holdfast.rateLimit(from(newAddress()), { windowMs: -1 }))).not.toThrow()
    await expect(answer).rejects.toMatchObject({ code: 'E_INVALID', path: 'options.windowMs' })
  })

  it('for what keyGenerator answers needs a key', async () => {
    for (const wrong of ['', 5, {}, false, '\ud800']) {
      const generated = holdfast.createRateLimiter({ name: fresh('generated'), maxRequests: 1, windowMs: 60_000, keyGenerator: () => wrong as string })
      await areRefused('key', [newAddress()], (address: string) => generated(from(address)))
    }
  })
})
