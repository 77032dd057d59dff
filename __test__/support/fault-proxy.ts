// A TCP proxy on loopback whose behaviour is switched while it runs: the faults of a network,
// for tests. It knows nothing of Redis. fault-flow.ts does to the bytes what is set here.

import { createServer, connect, type Server, type Socket } from 'node:net'

import { Pair, Throttle } from './fault-flow'

export type FaultMode =
  /** Everything goes through. */
  | 'pass'
  /** Nobody listens: new connections are refused, standing ones are reset. */
  | 'refuse'
  /**
   * A partition: connections open and stay, bytes are held. Back in another mode they are delivered
   * late, as TCP delivers them after a partition.
   */
  | 'blackhole'
  /** Standing connections are reset now, new ones as soon as they open. */
  | 'reset'
  /**
   * What clients send is held; replies pass. Where a client gives its connection up meanwhile, the
   * server's side of it stays, and the bytes wait for `release`, whatever the mode is by then.
   */
  | 'hold'
  /** Every piece arrives this many milliseconds later, and up to `jitter` more, in order. */
  | { delay: number; jitter?: number }
  /** Bytes arrive in pieces of this size, each in a packet of its own. */
  | { slice: number }
  /** A slow link: all connections share so much in each direction, by turns, and senders are held back. */
  | { bytesPerSecond: number }
  /** Each connection ends after so many more bytes, which arrive. */
  | { cutAfter: number }
  /** In place of every piece, or of the next `times` pieces, these bytes arrive. */
  | { garbage: Uint8Array; times?: number }
  /** Every piece arrives as this function returns it. */
  | { rewrite: (bytes: Buffer) => Buffer }

export type FaultDirection = 'both' | 'toServer' | 'toClient'

export interface FaultProxyCounts {
  /** Connections accepted since the start, those reset at once included. */
  connections: number
  /** Connections open now. */
  open: number
  /** Connections that their clients gave up, and whose bytes wait for `release`. */
  held: number
  /** Bytes handed on to the server. */
  toServer: number
  /** Bytes handed on to the client. */
  toClient: number
}

export class FaultProxy {
  readonly host = '127.0.0.1'
  readonly counts: FaultProxyCounts = { connections: 0, open: 0, held: 0, toServer: 0, toClient: 0 }
  readonly #target: { host: string; port: number }
  readonly #pairs = new Set<Pair>()
  #throttles = { toServer: new Throttle(), toClient: new Throttle() }
  #server: Server | undefined
  #port = 0
  #mode: FaultMode = 'pass'
  #direction: FaultDirection = 'both'
  #seed = 1

  static async start(target: { host?: string; port: number }): Promise<FaultProxy> {
    const proxy = new FaultProxy({ host: target.host ?? '127.0.0.1', port: target.port })
    await proxy.#listen()
    return proxy
  }

  private constructor(target: { host: string; port: number }) {
    this.#target = target
  }

  /** The same over the proxy's whole life, after 'refuse' too. */
  get port(): number {
    return this.#port
  }

  get url(): string {
    return `redis://${this.host}:${this.#port}`
  }

  get mode(): FaultMode {
    return this.#mode
  }

  /** Bytes for the server that are held back now. */
  get waiting(): number {
    return [...this.#pairs].reduce((sum, pair) => sum + pair.waiting, 0)
  }

  /**
   * Resolves when the new behaviour is in force. Without a direction both suffer, or the replies alone
   * where bytes are cut or changed. 'refuse', 'reset' and 'hold' know no direction.
   */
  async set(mode: FaultMode, direction?: FaultDirection): Promise<void> {
    this.#mode = typeof mode === 'object' ? { ...mode } : mode
    const changes = typeof mode === 'object' && ('cutAfter' in mode || 'garbage' in mode || 'rewrite' in mode)
    this.#direction = mode === 'hold' ? 'toServer' : (direction ?? (changes ? 'toClient' : 'both'))
    for (const throttle of Object.values(this.#throttles)) throttle.stop()
    this.#throttles = { toServer: new Throttle(), toClient: new Throttle() }
    if (mode === 'refuse' || mode === 'reset') this.resetConnections()
    if (mode === 'refuse') await this.#unlisten()
    else await this.#listen()
    for (const pair of this.#pairs) pair.pump()
  }

  /** Resets the connections that stand now; the mode stays. */
  resetConnections(): void {
    for (const pair of [...this.#pairs]) if (!pair.isHeld) pair.reset()
  }

  /**
   * Resets the clients' sides of the connections that stand now. What was held back of their bytes waits
   * for `release`; the server knows nothing of it.
   */
  abandon(): void {
    for (const pair of this.#pairs) pair.abandon()
  }

  /**
   * Delivers what clients that are gone had sent. Answers how many bytes that were: a connection that the
   * server closed meanwhile takes none.
   */
  release(): number {
    let bytes = 0
    for (const pair of [...this.#pairs]) bytes += pair.release()
    return bytes
  }

  async close(): Promise<void> {
    for (const throttle of Object.values(this.#throttles)) throttle.stop()
    for (const pair of [...this.#pairs]) pair.reset()
    await this.#unlisten()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** What `direction` of a connection is to suffer now. For fault-flow.ts, as is all below. */
  behaviour(direction: 'toServer' | 'toClient'): FaultMode {
    return this.#direction === 'both' || this.#direction === direction ? this.#mode : 'pass'
  }

  throttle(direction: 'toServer' | 'toClient'): Throttle {
    return this.#throttles[direction]
  }

  /** A number from 0 to 1 that looks random, and is the same in every run. */
  random(): number {
    this.#seed = (this.#seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return this.#seed / 2_147_483_648
  }

  async #listen(): Promise<void> {
    if (this.#server) return
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#accept(client))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, this.host, resolve)
    })
    const address = server.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
  }

  async #unlisten(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  #accept(client: Socket): void {
    this.counts.connections++
    if (this.#mode === 'reset' || this.#mode === 'refuse') {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const server = connect({ ...this.#target, noDelay: true, allowHalfOpen: true })
    const pair = new Pair(this, client, server, () => this.#pairs.delete(pair))
    this.#pairs.add(pair)
  }
}
