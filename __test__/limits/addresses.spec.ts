// Who a client is: what trusted proxies say of him, and nothing that he writes himself.
import { describe, expect, it } from 'vitest'
import { onStore } from '../cache/stores'
import { fresh, type LimiterOptions } from './limiters'

type AddressOptions = NonNullable<LimiterOptions['address']>

const { holdfast } = onStore('memory')

/** Whether a limiter counts a request for this key: it is used up by it. */
async function isCountedFor(key: string, options: AddressOptions, headers: Record<string, string>, ip?: string): Promise<boolean> {
  const limiter = holdfast.createRateLimiter({ name: fresh('addressed'), maxRequests: 1, windowMs: 60_000, address: options })
  expect((await limiter({ headers: new Headers(headers), ip })).status).toBe(200)
  return !(await limiter.check(key)).success
}

const xff = (list: string): Record<string, string> => ({ 'x-forwarded-for': list })

type Case = [what: string, key: string, options: AddressOptions, headers: Record<string, string>, ip?: string]

const cases: Record<string, Case[]> = {
  'by default': [
    ['the only entry', '203.0.113.7', {}, xff('203.0.113.7')],
    ['the rightmost of many, whatever stands left of it', '203.0.113.7', {}, xff('1.1.1.1, 2.2.2.2 ,203.0.113.7')],
    ['the rightmost, where the client wrote one himself', '203.0.113.7', {}, xff('127.0.0.1, 203.0.113.7')],
    ['no other header', '203.0.113.7', {}, { ...xff('203.0.113.7'), 'x-real-ip': '1.1.1.1', 'cf-connecting-ip': '1.1.1.1', 'x-vercel-forwarded-for': '1.1.1.1', forwarded: 'for=1.1.1.1' }],
    ['request.ip where no header says it', '203.0.113.7', {}, {}, '203.0.113.7'],
    ['the header before request.ip', '203.0.113.7', {}, xff('203.0.113.7'), '1.1.1.1'],
    ['request.ip where the rightmost is no address', '203.0.113.7', {}, xff('1.1.1.1, unknown'), '203.0.113.7'],
    ['request.ip where the rightmost is empty', '203.0.113.7', {}, xff('1.1.1.1, '), '203.0.113.7'],
  ],
  'by trustedHops': [
    ['so many from the right', '203.0.113.7', { trustedHops: 2 }, xff('1.1.1.1, 203.0.113.7, 10.0.0.1')],
    ['three from the right', '203.0.113.7', { trustedHops: 3 }, xff('1.1.1.1, 203.0.113.7, 10.0.0.2, 10.0.0.1')],
    ['the leftmost of fewer', '203.0.113.7', { trustedHops: 3 }, xff('203.0.113.7, 10.0.0.1')],
    ['one hop is the default', '10.0.0.1', { trustedHops: 1 }, xff('203.0.113.7, 10.0.0.1')],
  ],
  'by trustedProxies': [
    ['the first from the right that is none of them', '203.0.113.7', { trustedProxies: ['10.0.0.0/8'] }, xff('1.1.1.1, 203.0.113.7, 10.9.9.9, 10.0.0.1')],
    ['the rightmost where it is none of them', '203.0.113.7', { trustedProxies: ['10.0.0.0/8'] }, xff('10.0.0.1, 203.0.113.7')],
    ['a trusted address left of it is not passed over', '203.0.113.7', { trustedProxies: ['10.0.0.0/8'] }, xff('10.0.0.5, 203.0.113.7, 10.0.0.1')],
    ['single addresses beside networks', '203.0.113.7', { trustedProxies: ['192.0.2.1', '10.0.0.0/8'] }, xff('203.0.113.7, 192.0.2.1, 10.0.0.1')],
    ['an address beside a trusted one', '192.0.2.2', { trustedProxies: ['192.0.2.1'] }, xff('203.0.113.7, 192.0.2.2, 192.0.2.1')],
    ['the edge of a network', '10.2.0.0', { trustedProxies: ['10.0.0.0/15'] }, xff('203.0.113.7, 10.2.0.0, 10.1.255.255')],
    ['IPv6 networks', '203.0.113.7', { trustedProxies: ['2001:db8::/32', 'fd00::1'] }, xff('203.0.113.7, 2001:db8:ffff::1, fd00::1')],
    ['an IPv6 client behind IPv4 proxies', '2001:db8:1:2:0:0:0:0/64', { trustedProxies: ['10.0.0.0/8'] }, xff('2001:db8:1:2::9, 10.0.0.1')],
    ['proxies as IPv4 in IPv6', '203.0.113.7', { trustedProxies: ['10.0.0.0/8'] }, xff('203.0.113.7, ::ffff:10.0.0.1')],
    ['proxies that are named as IPv4 in IPv6', '203.0.113.7', { trustedProxies: ['::ffff:10.0.0.0/104'] }, xff('203.0.113.7, 10.0.0.1, ::ffff:10.0.0.2')],
    ['the leftmost where all are trusted', '10.0.0.9', { trustedProxies: ['10.0.0.0/8'] }, xff('10.0.0.9, 10.0.0.1')],
    ['the last that can be read', '10.0.0.1', { trustedProxies: ['10.0.0.0/8'] }, xff('1.1.1.1, nonsense, 10.0.0.1')],
    ['nobody trusted: the rightmost', '203.0.113.7', { trustedProxies: [] }, xff('1.1.1.1, 203.0.113.7')],
    ['request.ip where no header says it', '203.0.113.7', { trustedProxies: ['10.0.0.0/8'] }, {}, '203.0.113.7'],
  ],
  'by preset': [
    ['vercel', '203.0.113.7', { preset: 'vercel' }, { 'x-vercel-forwarded-for': '203.0.113.7', 'x-real-ip': '2.2.2.2', ...xff('1.1.1.1') }],
    ['vercel, by the second header', '203.0.113.7', { preset: 'vercel' }, { 'x-real-ip': '203.0.113.7', ...xff('1.1.1.1') }],
    ['cloudflare', '203.0.113.7', { preset: 'cloudflare' }, { 'cf-connecting-ip': '203.0.113.7', 'x-real-ip': '2.2.2.2', ...xff('1.1.1.1') }],
    ['nginx', '203.0.113.7', { preset: 'nginx' }, { 'x-real-ip': '203.0.113.7', 'cf-connecting-ip': '2.2.2.2', ...xff('1.1.1.1') }],
    ['none believes no header', '203.0.113.7', { preset: 'none' }, { 'x-real-ip': '1.1.1.1', 'cf-connecting-ip': '1.1.1.1', 'x-vercel-forwarded-for': '1.1.1.1', ...xff('1.1.1.1') }, '203.0.113.7'],
    ['cloudflare without its header: request.ip', '203.0.113.7', { preset: 'cloudflare' }, xff('1.1.1.1'), '203.0.113.7'],
  ],
  'of an address as it is written': [
    ['with a port', '203.0.113.7', {}, xff('203.0.113.7:4711')],
    ['with quotes', '203.0.113.7', {}, xff('"203.0.113.7"')],
    ['with quotes and a port', '203.0.113.7', {}, xff('"203.0.113.7:4711"')],
    ['IPv6', '2001:db8:1:2:0:0:0:0/64', {}, xff('2001:db8:1:2:3:4:5:6')],
    ['IPv6 in other letters, and shortened', '2001:db8:0:0:0:0:0:0/64', {}, xff('2001:DB8::A')],
    ['IPv6 in brackets', '2001:db8:1:2:0:0:0:0/64', {}, xff('[2001:db8:1:2::7]')],
    ['IPv6 in brackets, with a port', '2001:db8:1:2:0:0:0:0/64', {}, xff('[2001:db8:1:2::7]:4711')],
    ['IPv6 in brackets, quotes, with a port', '2001:db8:1:2:0:0:0:0/64', {}, xff('"[2001:db8:1:2::7]:4711"')],
    ['IPv6 with a zone', 'fe80:0:0:0:0:0:0:0/64', {}, xff('fe80::1%eth0')],
    ['the shortest IPv6', '0:0:0:0:0:0:0:0/64', {}, xff('::1')],
    ['IPv4 in IPv6', '203.0.113.7', {}, xff('::ffff:203.0.113.7')],
    ['IPv4 in IPv6, as hexadecimal digits', '203.0.113.7', {}, xff('::FFFF:cb00:7107')],
    ['IPv4 in IPv6, written in full, in brackets, with a port', '203.0.113.7', {}, xff('[0:0:0:0:0:ffff:203.0.113.7]:443')],
    ['IPv4 at the end of another IPv6', '64:ff9b:0:0:0:0:0:0/64', {}, xff('64:ff9b::203.0.113.7')],
    ['a port of request.ip', '203.0.113.7', {}, {}, '203.0.113.7:4711'],
    ['a network of 48 bits', '2001:db8:1:0:0:0:0:0/48', { ipv6Prefix: 48 }, xff('2001:db8:1:2::7')],
    ['a network of 56 bits', '2001:db8:1:ff00:0:0:0:0/56', { ipv6Prefix: 56 }, xff('2001:db8:1:ff12::7')],
    ['a network of 32 bits', '2001:db8:0:0:0:0:0:0/32', { ipv6Prefix: 32 }, xff('2001:db8:1:2::7')],
    ['a single IPv6 address', '2001:db8:1:2:0:0:0:7/128', { ipv6Prefix: 128 }, xff('2001:db8:1:2::7')],
  ],
  'of nobody': [
    ['no header at all', 'unknown', {}, {}],
    ['an empty header', 'unknown', {}, xff('')],
    ['what is no address', 'unknown', {}, xff('unknown')],
    ['a name of a host', 'unknown', {}, xff('localhost')],
    ['an address with too many parts', 'unknown', {}, xff('1.2.3.4.5')],
    ['an address with leading zeros', 'unknown', {}, xff('010.0.0.1')],
    ['IPv6 that is none', 'unknown', {}, xff('2001:db8:::1')],
    ['a port alone', 'unknown', {}, xff(':80')],
    ['an empty pair of brackets', 'unknown', {}, xff('[]:80')],
  ],
}

describe.each(Object.entries(cases))('a client is told %s', (_, rows) => {
  it.each(rows)('%s', async (_what, key, options, headers, ip) => {
    expect(await isCountedFor(key, options, headers, ip)).toBe(true)
  })
})

describe('a client', () => {
  const limited = (options: AddressOptions = {}) => holdfast.createRateLimiter({ name: fresh('client'), maxRequests: 2, windowMs: 60_000, address: options })
  const statuses = async (limiter: ReturnType<typeof limited>, lists: readonly string[]): Promise<number[]> => {
    const answers: number[] = []
    for (const list of lists) answers.push((await limiter({ headers: new Headers(xff(list)) })).status)
    return answers
  }

  it('who writes another address in front each time is the same client', async () => {
    expect(await statuses(limited(), ['1.1.1.1, 203.0.113.7', '2.2.2.2, 203.0.113.7', '3.3.3.3, 203.0.113.7', '203.0.113.7'])).toEqual([200, 200, 429, 429])
    const hops = ['1.1.1.1, 203.0.113.7, 10.0.0.1', '2.2.2.2, 203.0.113.7, 10.0.0.1', '3.3.3.3, 203.0.113.7, 10.0.0.1']
    expect(await statuses(limited({ trustedHops: 2 }), hops)).toEqual([200, 200, 429])
    expect(await statuses(limited({ trustedProxies: ['10.0.0.0/8'] }), hops)).toEqual([200, 200, 429])
  })

  it('who can not take the quota of another one by writing his address in front', async () => {
    const limiter = limited()
    expect(await statuses(limiter, ['203.0.113.7, 6.6.6.6', '203.0.113.7, 6.6.6.6', '203.0.113.7, 6.6.6.6'])).toEqual([200, 200, 429])
    expect(await statuses(limiter, ['203.0.113.7'])).toEqual([200])
  })

  it('who changes the lower half of his IPv6 address is the same client, who has another network is another', async () => {
    expect(await statuses(limited(), ['2001:db8:1:2::1', '2001:db8:1:2::2', '2001:db8:1:2:ffff::3', '2001:db8:1:3::1'])).toEqual([200, 200, 429, 200])
  })

  it('who comes by IPv4 and by IPv4 in IPv6 is the same client', async () => {
    expect(await statuses(limited(), ['203.0.113.7', '::ffff:203.0.113.7', '[::ffff:cb00:7107]:1', '203.0.113.8'])).toEqual([200, 200, 429, 200])
  })

  it('who names another user agent is the same client', async () => {
    const limiter = limited()
    const by = (agent: string) => limiter({ headers: new Headers({ ...xff('203.0.113.7'), 'user-agent': agent }) })
    expect([(await by('a')).status, (await by('b')).status, (await by('c')).status]).toEqual([200, 200, 429])
  })
})

describe('a request without an address', () => {
  const create = (missing?: AddressOptions['missing']) => holdfast.createRateLimiter({ name: fresh('missing'), maxRequests: 1, windowMs: 60_000, address: { missing } })
  const nowhere = { headers: new Headers() }
  const handler = (): Response => new Response('handled')

  it('shares one count with its like by default, and with who has an address none', async () => {
    for (const limiter of [create(), create('shared')]) {
      expect([(await limiter(nowhere)).status, (await limiter({ headers: new Headers(xff('garbage')) })).status]).toEqual([200, 429])
      expect((await limiter({ headers: new Headers(xff('203.0.113.7')) })).status).toBe(200)
    }
  })

  it('is refused with 400 by reject, and charged to nobody', async () => {
    const limiter = create('reject')
    for (const answer of [await limiter(nowhere), await limiter.wrap(handler)(nowhere)]) {
      expect([answer.status, answer.headers.get('X-RateLimit-Limit')]).toEqual([400, null])
      expect(await answer.json()).toMatchObject({ error: 'Bad Request' })
    }
    await expect(limiter.consume(nowhere)).rejects.toMatchObject({ code: 'E_INVALID', path: 'request' })
    expect((await limiter({ headers: new Headers(xff('203.0.113.7')) })).status).toBe(200)
    expect(await limiter.check('unknown')).toMatchObject({ success: true })
  })

  it('is let through uncounted by allow', async () => {
    const limiter = create('allow')
    for (const _ of [1, 2, 3]) {
      expect((await limiter(nowhere)).status).toBe(200)
      expect(await (await limiter.wrap(handler)(nowhere)).text()).toBe('handled')
      expect(await limiter.consume(nowhere)).toMatchObject({ success: true, remaining: 1 })
    }
    expect(await limiter.check('unknown')).toMatchObject({ success: true })
  })
})
