// A TCP proxy on loopback whose behaviour is switched while it runs: the faults of a network,
// for tests. It knows nothing of Redis.

import { createServer, connect, type Server, type Socket } from 'node:net'

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
  /** Every piece arrives this much later, in order. */
  | { delay: number }
  /** Bytes arrive in pieces of this size, each in a packet of its own. */
  | { slice: number }

export type FaultDirection = 'both' | 'toServer' | 'toClient'

export interface FaultProxyCounts {
  /** Connections accepted since the start, those reset at once included. */
  connections: number
  /** Connections open now. */
  open: number
  /** Bytes handed on to the server. */
  toServer: number
  /** Bytes handed on to the client. */
  toClient: number
}

export class FaultProxy {
  readonly host = '127.0.0.1'
  readonly counts: FaultProxyCounts = { connections: 0, open: 0, toServer: 0, toClient: 0 }
  readonly #target: { host: string; port: number }
  readonly #pairs = new Set<Pair>()
  #server: Server | undefined
  #port = 0
  #mode: FaultMode = 'pass'
  #direction: FaultDirection = 'both'

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

  /** Resolves when the new behaviour is in force. `direction` matters to blackhole, delay and slice. */
  async set(mode: FaultMode, direction: FaultDirection = 'both'): Promise<void> {
    this.#mode = mode
    this.#direction = direction
    if (mode === 'refuse' || mode === 'reset') this.resetConnections()
    if (mode === 'refuse') await this.#unlisten()
    else await this.#listen()
    for (const pair of this.#pairs) pair.pump()
  }

  /** Resets the connections that stand now; the mode stays. */
  resetConnections(): void {
    for (const pair of [...this.#pairs]) pair.reset()
  }

  /** What `direction` of a connection is to suffer now. */
  behaviour(direction: 'toServer' | 'toClient'): FaultMode {
    return this.#direction === 'both' || this.#direction === direction ? this.#mode : 'pass'
  }

  async close(): Promise<void> {
    this.resetConnections()
    await this.#unlisten()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
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
    this.counts.open++
    const server = connect({ ...this.#target, noDelay: true, allowHalfOpen: true })
    const pair = new Pair(this, client, server, () => {
      if (this.#pairs.delete(pair)) this.counts.open--
    })
    this.#pairs.add(pair)
  }
}

/** One client's connection and its counterpart to the server. */
class Pair {
  readonly #flows: readonly Flow[]
  readonly #sockets: readonly Socket[]
  readonly #onEnd: () => void

  constructor(proxy: FaultProxy, client: Socket, server: Socket, onEnd: () => void) {
    this.#sockets = [client, server]
    this.#onEnd = onEnd
    this.#flows = [new Flow(proxy, 'toServer', client, server), new Flow(proxy, 'toClient', server, client)]
    for (const socket of this.#sockets) {
      socket.on('error', () => this.reset())
      socket.on('close', (failed) => {
        if (failed) this.reset()
        else if (this.#sockets.every(({ destroyed }) => destroyed)) this.#onEnd()
      })
    }
  }

  pump(): void {
    for (const flow of this.#flows) flow.pump()
  }

  reset(): void {
    for (const flow of this.#flows) flow.stop()
    for (const socket of this.#sockets) {
      if (socket.destroyed) continue
      // A socket that is still connecting can't be reset; it has sent nothing anyway.
      if (socket.connecting) socket.destroy()
      else socket.resetAndDestroy()
    }
    this.#onEnd()
  }
}

/** One direction of one connection: a queue that the proxy's mode works off. */
class Flow {
  readonly #proxy: FaultProxy
  readonly #direction: 'toServer' | 'toClient'
  readonly #to: Socket
  readonly #queue: { bytes: Buffer; at: number }[] = []
  #ended = false
  #waiting: ReturnType<typeof setTimeout> | ReturnType<typeof setImmediate> | undefined
  #stopped = false

  constructor(proxy: FaultProxy, direction: 'toServer' | 'toClient', from: Socket, to: Socket) {
    this.#proxy = proxy
    this.#direction = direction
    this.#to = to
    from.on('data', (bytes: Buffer) => {
      this.#queue.push({ bytes, at: performance.now() })
      this.pump()
    })
    from.on('end', () => {
      this.#ended = true
      this.pump()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  /** Hands on what may be handed on now, and comes back for the rest. */
  pump(): void {
    this.#cancel()
    while (!this.#stopped) {
      const mode = this.#proxy.behaviour(this.#direction)
      if (mode === 'blackhole') return
      const head = this.#queue[0]
      if (!head) {
        if (this.#ended && !this.#to.writableEnded) this.#to.end()
        return
      }
      if (typeof mode === 'object' && 'delay' in mode) {
        const left = head.at + mode.delay - performance.now()
        if (left > 0) {
          this.#waiting = setTimeout(() => this.pump(), left)
          return
        }
      }
      if (typeof mode === 'object' && 'slice' in mode && head.bytes.length > mode.slice) {
        this.#send(head.bytes.subarray(0, mode.slice))
        head.bytes = head.bytes.subarray(mode.slice)
        // The next piece leaves in a later turn, so that the kernel sees two writes.
        this.#waiting = setImmediate(() => this.pump())
        return
      }
      this.#queue.shift()
      this.#send(head.bytes)
    }
  }

  #send(bytes: Buffer): void {
    if (this.#to.destroyed || this.#to.writableEnded) return
    this.#proxy.counts[this.#direction] += bytes.length
    this.#to.write(bytes)
  }

  #cancel(): void {
    if (this.#waiting === undefined) return
    // Node's timers and immediates are told apart by how they are cleared.
    clearTimeout(this.#waiting as ReturnType<typeof setTimeout>)
    clearImmediate(this.#waiting as ReturnType<typeof setImmediate>)
    this.#waiting = undefined
  }
}
