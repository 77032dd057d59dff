// What looks wrong with how limits are set up is said once in a process, by a code.
import { describe, expect, it } from 'vitest'
import { clean, run } from '../boundary/child'
import { freePort } from '../support/ports'
import type { InstanceOptions } from '../cache/stores'
import type { LimiterOptions } from './limiters'

type Asked = [options: LimiterOptions, headers: Record<string, string>, ip?: string]

interface Warning {
  name: string
  code: string
  message: string
}

const script = new URL('children/warnings.mjs', import.meta.url).pathname

async function warningsOf(requests: Asked[], env: Record<string, string> = {}, instance: InstanceOptions = { url: 'memory:' }): Promise<Warning[]> {
  const { stdout, ...ending } = await run(script, { args: [JSON.stringify(instance), JSON.stringify(requests)], node: ['--no-warnings'], env })
  expect(ending).toEqual(clean)
  return JSON.parse(stdout) as Warning[]
}

const codesOf = async (...args: Parameters<typeof warningsOf>): Promise<string[]> => (await warningsOf(...args)).map(({ code }) => code)

const production = { NODE_ENV: 'production' }
const xff = (list: string): Record<string, string> => ({ 'x-forwarded-for': list })
const somebody: Asked = [{}, xff('203.0.113.7')]

// Side by side: most of it is the start of processes.
describe.concurrent('a warning', () => {
  it('is of the type HoldfastWarning, says what to do, and comes once, whoever asks', async () => {
    const requests: Asked[] = [[{}, {}], [{}, {}], [{ message: 'another limiter' }, {}], [{}, xff('nonsense')]]
    const warnings = await warningsOf(requests)
    expect(warnings).toEqual([{ name: 'HoldfastWarning', code: 'HOLDFAST_ADDRESS_MISSING', message: expect.stringMatching(/address.*missing: 'reject' or 'allow'/) as string }])
  })

  it.each<[string, Asked[]]>([
    ['who has an address', [somebody]],
    ['a choice of what becomes of requests without one', [[{ address: { missing: 'allow' } }, {}], [{ address: { missing: 'reject' } }, {}]]],
    ['whatever is told apart outside of production', [[{}, { ...xff('10.0.0.1'), 'cf-connecting-ip': '203.0.113.7' }]]],
  ])('does not come of %s', async (_, requests) => {
    expect(await codesOf(requests)).toEqual([])
  })

  it('also comes where missing is shared by choice', async () => {
    expect(await codesOf([[{ address: { missing: 'shared', trustedHops: 1 } }, {}]])).toEqual(['HOLDFAST_ADDRESS_MISSING'])
  })

  it.each<[string, string, Asked[]]>([
    ['HOLDFAST_ADDRESS_UNCHOSEN', 'nobody chose how clients are told apart', [somebody, somebody]],
    ['HOLDFAST_ADDRESS_PRIVATE', 'the client has a private address', [[{}, xff('203.0.113.7, 10.0.0.1')], [{}, xff('192.168.1.1')]]],
    ['HOLDFAST_ADDRESS_PRIVATE', 'the client has a private IPv6 address', [[{}, xff('fd12::1')], [{}, xff('::1')]]],
    ['HOLDFAST_ADDRESS_PRIVATE', 'the client is request.ip, and private', [[{}, {}, '172.16.0.1']]],
    ['HOLDFAST_ADDRESS_PRESET', 'requests come through Cloudflare', [[{}, { ...xff('203.0.113.7'), 'cf-connecting-ip': '198.51.100.1' }]]],
    ['HOLDFAST_ADDRESS_PRESET', 'requests come through Vercel', [[{}, { ...xff('10.0.0.1'), 'x-vercel-forwarded-for': '198.51.100.1' }]]],
  ])('%s comes in production where %s', async (code, _, requests) => {
    expect(await codesOf(requests, production)).toEqual([code])
    expect(await codesOf(requests, { NODE_ENV: 'test' })).toEqual([])
  })

  it.each<[string, LimiterOptions]>([
    ['trustedHops', { address: { trustedHops: 1 } }],
    ['trustedProxies', { address: { trustedProxies: ['10.0.0.0/8'] } }],
    ['preset', { address: { preset: 'nginx' } }],
  ])('does not come in production where %s was chosen', async (_, options) => {
    const headers = { ...xff('10.0.0.1'), 'x-real-ip': '10.0.0.1', 'cf-connecting-ip': '198.51.100.1' }
    expect(await codesOf([[options, headers]], production)).toEqual([])
  })

  it('of each kind comes once, and one kind does not hide another', async () => {
    const requests: Asked[] = [somebody, [{}, {}], [{}, xff('10.0.0.1')], [{}, { 'cf-connecting-ip': '1.1.1.1', ...xff('1.1.1.1') }]]
    expect((await codesOf([...requests, ...requests], production)).sort()).toEqual([
      'HOLDFAST_ADDRESS_MISSING', 'HOLDFAST_ADDRESS_PRESET', 'HOLDFAST_ADDRESS_PRIVATE', 'HOLDFAST_ADDRESS_UNCHOSEN',
    ])
  })

  it('HOLDFAST_INSTANCES_UNSET comes once when a limit is decided here for a server that does not answer, unless instances says how many share it', async () => {
    const away = { url: `redis://127.0.0.1:${await freePort()}` }
    const warnings = await warningsOf([somebody, somebody, [{ message: 'another' }, xff('203.0.113.8')]], {}, away)
    expect(warnings).toEqual([{ name: 'HoldfastWarning', code: 'HOLDFAST_INSTANCES_UNSET', message: expect.stringContaining('instances') as string }])
    expect(await codesOf([somebody], {}, { ...away, instances: 1 })).toEqual([])
    expect(await codesOf([somebody], {}, { ...away, env: { HOLDFAST_INSTANCES: '3' } })).toEqual([])
    expect(await codesOf([somebody], {}, { url: 'memory:' })).toEqual([])
  })
})
