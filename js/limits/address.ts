// Who asks: the client's address, from what proxies say that are trusted, and from nobody else.
//
// Each proxy adds on the right of X-Forwarded-For whom it heard from, so only what stands right of the last trusted one
// was written by somebody who can be believed; what stands left of it, the client may have written himself.

import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'

import { named } from '../checks.js'
import { describe, invalid, shown } from '../errors.js'

/** A platform whose own header says who asks, and which overwrites what clients send of it. */
export type AddressPreset = 'vercel' | 'cloudflare' | 'nginx' | 'none'

/** How the client's address is found. */
export interface AddressOptions {
  /**
   * `'vercel'`: `x-vercel-forwarded-for`, `x-real-ip`. `'cloudflare'`: `cf-connecting-ip`. `'nginx'`: `x-real-ip`, as
   * `proxy_set_header X-Real-IP $remote_addr` sets it. `'none'`: no header is believed, only `request.ip`.
   */
  preset?: AddressPreset | undefined
  /** How many proxies stand before the app: the client is so many entries from the right. Default: 1. */
  trustedHops?: number | undefined
  /** Addresses and CIDRs of proxies: the client is the first from the right that is none of them. */
  trustedProxies?: readonly string[] | undefined
  /** IPv6 clients are told apart by so many bits: a household has a /64 at least. Default: 64; 32 to 128. */
  ipv6Prefix?: number | undefined
  /**
   * What becomes of a request of which nobody says where it comes from: all of them share one count, are refused (400), or
   * are let through uncounted. Default: `'shared'`, with a warning.
   */
  missing?: 'shared' | 'reject' | 'allow' | undefined
}

/** What is read of a request. */
export interface AddressedRequest {
  readonly headers: { get(name: string): string | null }
  readonly ip?: string | undefined
}

const NAMES: readonly string[] = ['preset', 'trustedHops', 'trustedProxies', 'ipv6Prefix', 'missing']
const PRESETS: Readonly<Record<AddressPreset, readonly string[]>> = {
  vercel: ['x-vercel-forwarded-for', 'x-real-ip'],
  cloudflare: ['cf-connecting-ip'],
  nginx: ['x-real-ip'],
  none: [],
}
/** Headers by which platforms say who asks; seen without their preset, they hint at a choice that was not made. */
const HINTS: readonly (readonly [header: string, preset: AddressPreset])[] = [
  ['x-vercel-forwarded-for', 'vercel'],
  ['cf-connecting-ip', 'cloudflare'],
]

/** Finds addresses by one choice of options, and says once each what looks wrong with it. */
export class Addresses {
  readonly missing: 'shared' | 'reject' | 'allow'
  private readonly hops: number
  private readonly proxies: BlockList | null
  private readonly headers: readonly string[] | null
  private readonly prefix: number
  private readonly isChosen: boolean

  constructor(
    options: AddressOptions,
    private readonly warn: (code: string, text: string) => void,
    operation: string,
  ) {
    const path = 'options.address'
    named(options, path, NAMES, operation)
    const { preset, trustedHops, trustedProxies, ipv6Prefix = 64, missing = 'shared' } = options
    const chosen = [preset, trustedHops, trustedProxies].filter((choice) => choice !== undefined)
    if (chosen.length > 1)
      throw invalid(path, `${path} has more than one of preset, trustedHops and trustedProxies; allowed: one`, operation)
    if (preset !== undefined && !(typeof preset === 'string' && Object.hasOwn(PRESETS, preset)))
      throw invalid(`${path}.preset`, `${path}.preset is ${describe(preset)}; allowed: 'vercel', 'cloudflare', 'nginx', 'none'`, operation)
    if (trustedHops !== undefined && !(Number.isInteger(trustedHops) && trustedHops >= 1 && trustedHops <= 32))
      throw invalid(`${path}.trustedHops`, `${path}.trustedHops is ${shown(trustedHops)}; allowed: 1 to 32`, operation)
    if (!(Number.isInteger(ipv6Prefix) && ipv6Prefix >= 32 && ipv6Prefix <= 128))
      throw invalid(`${path}.ipv6Prefix`, `${path}.ipv6Prefix is ${shown(ipv6Prefix)}; allowed: 32 to 128`, operation)
    if (!['shared', 'reject', 'allow'].includes(missing))
      throw invalid(`${path}.missing`, `${path}.missing is ${describe(missing)}; allowed: 'shared', 'reject', 'allow'`, operation)
    this.hops = trustedHops ?? 1
    this.proxies = trustedProxies === undefined ? null : blockList(trustedProxies, `${path}.trustedProxies`, operation)
    this.headers = preset === undefined ? null : PRESETS[preset]
    this.prefix = ipv6Prefix
    this.missing = missing
    this.isChosen = chosen.length > 0
  }

  /** The address by which a client is told apart: IPv4 as it is, IPv6 as its network; null when nobody says. */
  of(request: AddressedRequest): string | null {
    const found = this.find(request)
    const key = found === null ? null : clientKey(found, this.prefix)
    this.check(request, found, key)
    return key
  }

  private find(request: AddressedRequest): string | null {
    const { headers, hops, proxies } = this
    if (headers !== null) {
      for (const name of headers) {
        const given = parsed(request.headers.get(name))
        if (given !== null) return given
      }
      return parsed(request.ip)
    }
    const forwarded = request.headers.get('x-forwarded-for')
    const chain = forwarded === null ? [] : forwarded.split(',')
    if (proxies === null) return parsed(chain[Math.max(0, chain.length - hops)]) ?? parsed(request.ip)
    let last: string | null = null
    for (let index = chain.length - 1; index >= 0; index--) {
      const address = parsed(chain[index])
      // What can't be read was written by somebody who is not to be believed: the one before it is all there is.
      if (address === null) break
      last = address
      if (!isIn(proxies, address)) break
    }
    return last ?? parsed(request.ip)
  }

  private check(request: AddressedRequest, found: string | null, key: string | null): void {
    if (key === null) {
      if (this.missing === 'shared')
        this.warn(
          'HOLDFAST_ADDRESS_MISSING',
          'a request says nothing of where it comes from, so all such requests share one rate limit. Set the address option: a preset, trustedHops or trustedProxies, or missing: \'reject\' or \'allow\'',
        )
      return
    }
    if (this.isChosen || process.env['NODE_ENV'] !== 'production') return
    const hint = HINTS.find(([header]) => request.headers.get(header) !== null)
    if (hint !== undefined)
      this.warn(
        'HOLDFAST_ADDRESS_PRESET',
        `requests carry ${hint[0]}, but the rightmost entry of x-forwarded-for decides who a client is. Behind ${hint[1]} set address: { preset: '${hint[1]}' }`,
      )
    else if (found !== null && isPrivate(found))
      this.warn(
        'HOLDFAST_ADDRESS_PRIVATE',
        'the address of a client is a private one: it is probably a proxy\'s, so that many clients share one rate limit. Set address: { trustedHops } to the number of proxies before the app',
      )
    else
      this.warn(
        'HOLDFAST_ADDRESS_UNCHOSEN',
        'rate limits tell clients apart by the rightmost entry of x-forwarded-for, which is right behind exactly one proxy. Say so with address: { trustedHops: 1 }, or choose a preset or trustedProxies',
      )
  }
}

/** An address without port, brackets or quotes, an IPv4 address in IPv6 as IPv4; null for what is none. */
export function parsed(given: string | null | undefined): string | null {
  if (given === null || given === undefined) return null
  let text = given.trim().replace(/^"|"$/g, '')
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text)
  if (bracketed !== null) text = bracketed[1] as string
  // Only one colon: an IPv4 address with its port.
  else if (/^[^:]*:\d+$/.test(text)) text = text.slice(0, text.indexOf(':'))
  const zone = text.indexOf('%')
  if (zone >= 0) text = text.slice(0, zone)
  if (isIPv4(text)) return text
  if (!isIPv6(text)) return null
  const groups = groupsOf(text)
  return isMapped(groups) ? mapped(groups) : text.toLowerCase()
}

/** By which a client is told apart. */
function clientKey(address: string, prefix: number): string {
  if (isIPv4(address)) return address
  const groups = groupsOf(address).map((group, index) => {
    const kept = Math.min(16, Math.max(0, prefix - index * 16))
    return group & (0xffff << (16 - kept))
  })
  return `${groups.map((group) => (group & 0xffff).toString(16)).join(':')}/${prefix}`
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  // An IPv4 address may stand at the end.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const text =
    dotted === null
      ? address
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
  const [head = '', tail] = text.split('::') as [string, string | undefined]
  const read = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  if (tail === undefined) return read(head)
  const [before, after] = [read(head), read(tail)]
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
}

function isMapped(groups: readonly number[]): boolean {
  return groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
}

function mapped(groups: readonly number[]): string {
  const [high = 0, low = 0] = groups.slice(6)
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

const PRIVATE = blockList(
  ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '127.0.0.0/8', '169.254.0.0/16', '100.64.0.0/10', '::1', 'fc00::/7', 'fe80::/10'],
  '',
  '',
)

function isPrivate(address: string): boolean {
  return isIn(PRIVATE, address)
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

function blockList(networks: readonly string[], path: string, operation: string): BlockList {
  if (!Array.isArray(networks)) throw invalid(path, `${path} is ${describe(networks)}; allowed: an array`, operation)
  const list = new BlockList()
  networks.forEach((network: unknown, index) => {
    const [address = '', bits, more] = typeof network === 'string' ? network.split('/') : []
    const version = isIP(address)
    const most = version === 4 ? 32 : 128
    const length = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
    if (version === 0 || more !== undefined || !(length <= most))
      throw invalid(
        `${path}[${index}]`,
        `${path}[${index}] is no address; allowed: an address or a CIDR such as '10.0.0.0/8'`,
        operation,
      )
    list.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6')
  })
  return list
}
