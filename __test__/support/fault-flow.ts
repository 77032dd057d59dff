// What the fault proxy does to the bytes of one connection: two flows, each a queue that is worked off
// as the proxy's mode says.

import type { Socket } from 'node:net'

import type { FaultProxy } from './fault-proxy'

type Direction = 'toServer' | 'toClient'

/** On a slow link so much of one connection is sent before it is the next one's turn. */
const TURN_BYTES = 8 * 1024
/** A slow link takes so much of a sender that it can't deliver yet. */
const ROOM_BYTES = 64 * 1024

/** One client's connection and its counterpart to the server. */
export class Pair {
  readonly #proxy: FaultProxy
  readonly #client: Socket
  readonly #server: Socket
  readonly #toServer: Flow
  readonly #toClient: Flow
  readonly #onEnd: () => void
  #standing: 'open' | 'held' | 'ended' = 'open'

  constructor(proxy: FaultProxy, client: Socket, server: Socket, onEnd: () => void) {
    this.#proxy = proxy
    this.#client = client
    this.#server = server
    this.#onEnd = onEnd
    this.#toServer = new Flow(proxy, 'toServer', this, client, server)
    this.#toClient = new Flow(proxy, 'toClient', this, server, client)
    proxy.counts.open++
    client.on('end', () => {
      if (this.#holds()) this.abandon()
    })
    client.on('error', () => {
      if (this.#holds()) this.abandon()
      else if (!this.isHeld) this.reset()
    })
    server.on('end', () => {
      if (this.isHeld) this.reset()
    })
    server.on('error', () => this.reset())
    for (const socket of [client, server]) {
      socket.on('close', (failed) => {
        if (this.isHeld) return
        if (failed) this.reset()
        else if (client.destroyed && server.destroyed) this.#end()
      })
    }
  }

  /** Whether the client is gone and its bytes wait. */
  get isHeld(): boolean {
    return this.#standing === 'held'
  }

  /** Bytes for the server that were not handed on. */
  get waiting(): number {
    return this.#standing === 'ended' ? 0 : this.#toServer.waiting
  }

  pump(): void {
    if (this.#standing !== 'open') return
    this.#toServer.pump()
    this.#toClient.pump()
  }

  reset(): void {
    this.#stop()
    for (const socket of [this.#client, this.#server]) {
      if (socket.destroyed) continue
      // A socket that is still connecting can't be reset; it has sent nothing anyway.
      if (socket.connecting) socket.destroy()
      else socket.resetAndDestroy()
    }
    this.#end()
  }

  /** Ends the connection behind what was handed on. */
  cut(): void {
    this.#stop()
    this.#client.end()
    this.#server.end()
  }

  /** The client's side is reset, the server's side stays. */
  abandon(): void {
    if (this.#standing !== 'open') return
    this.#standing = 'held'
    this.#proxy.counts.open--
    this.#proxy.counts.held++
    this.#stop()
    if (!this.#client.destroyed) this.#client.resetAndDestroy()
    if (this.#server.destroyed || this.#server.readableEnded) this.reset()
  }

  release(): number {
    if (this.#standing !== 'held') return 0
    const bytes = this.#toServer.handOver()
    this.#server.end()
    this.#end()
    return bytes
  }

  #holds(): boolean {
    return this.#standing === 'open' && this.#proxy.behaviour('toServer') === 'hold'
  }

  #stop(): void {
    this.#toServer.stop()
    this.#toClient.stop()
  }

  #end(): void {
    if (this.#standing === 'ended') return
    this.#proxy.counts[this.#standing]--
    this.#standing = 'ended'
    this.#onEnd()
  }
}

/** One direction of one connection. */
export class Flow {
  readonly #proxy: FaultProxy
  readonly #direction: Direction
  readonly #pair: Pair
  readonly #from: Socket
  readonly #to: Socket
  readonly #queue: { bytes: Buffer; at: number; luck: number }[] = []
  /** Bytes handed on since the cut was set, and the setting they count for. */
  #passed = 0
  #cutting: unknown
  #ended = false
  #waiting: ReturnType<typeof setTimeout> | ReturnType<typeof setImmediate> | undefined
  #stopped = false

  constructor(proxy: FaultProxy, direction: Direction, pair: Pair, from: Socket, to: Socket) {
    this.#proxy = proxy
    this.#direction = direction
    this.#pair = pair
    this.#from = from
    this.#to = to
    from.on('data', (bytes: Buffer) => {
      if (this.#stopped) return
      this.#queue.push({ bytes, at: performance.now(), luck: proxy.random() })
      this.pump()
    })
    from.on('end', () => {
      this.#ended = true
      this.pump()
    })
  }

  get waiting(): number {
    return this.#queue.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
    // What still arrives is read and forgotten, so that the end is seen.
    this.#from.resume()
  }

  /** Everything that waits, at once. Answers how many bytes that were. */
  handOver(): number {
    const bytes = Buffer.concat(this.#queue.splice(0).map((piece) => piece.bytes))
    this.#send(bytes)
    return bytes.length
  }

  /** Hands on what may be handed on now, and comes back for the rest. */
  pump(): void {
    this.#cancel()
    while (!this.#stopped) {
      const mode = this.#proxy.behaviour(this.#direction)
      const limited = typeof mode === 'object' && 'bytesPerSecond' in mode
      if (!limited) this.#from.resume()
      if (mode === 'blackhole' || mode === 'hold') return
      const head = this.#queue[0]
      if (!head) {
        if (this.#ended && !this.#to.writableEnded) this.#to.end()
        return
      }
      if (limited) {
        if (this.waiting > ROOM_BYTES) this.#from.pause()
        this.#proxy.throttle(this.#direction).join(this, mode.bytesPerSecond)
        return
      }
      if (typeof mode === 'object' && 'delay' in mode) {
        const left = head.at + mode.delay + head.luck * (mode.jitter ?? 0) - performance.now()
        if (left > 0) {
          this.#waiting = setTimeout(() => this.pump(), left)
          return
        }
      }
      if (typeof mode === 'object' && 'slice' in mode && head.bytes.length > mode.slice) {
        this.#sendFirst(mode.slice)
        // The next piece leaves in a later turn, so that the kernel sees two writes.
        this.#waiting = setImmediate(() => this.pump())
        return
      }
      if (typeof mode === 'object' && 'cutAfter' in mode) {
        if (this.#cutting !== mode) this.#passed = 0
        this.#cutting = mode
        const sent = this.#sendFirst(mode.cutAfter - this.#passed)
        this.#passed += sent
        if (this.#passed < mode.cutAfter) continue
        this.#pair.cut()
        return
      }
      this.#queue.shift()
      this.#send(changed(head.bytes, mode))
    }
  }

  /** A turn on a slow link. Answers how many bytes went. */
  takeTurn(): number {
    if (this.#stopped) return 0
    const sent = this.#sendFirst(TURN_BYTES)
    if (this.waiting <= ROOM_BYTES) this.#from.resume()
    // The end that follows the last bytes, or the next turn.
    this.pump()
    return sent
  }

  /** Hands on so much of the first piece. */
  #sendFirst(most: number): number {
    const head = this.#queue[0]
    if (!head) return 0
    const part = head.bytes.subarray(0, most)
    if (part.length === head.bytes.length) this.#queue.shift()
    else head.bytes = head.bytes.subarray(most)
    this.#send(part)
    return part.length
  }

  #send(bytes: Buffer): void {
    if (bytes.length === 0 || this.#to.destroyed || this.#to.writableEnded) return
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

function changed(bytes: Buffer, mode: ReturnType<FaultProxy['behaviour']>): Buffer {
  if (typeof mode !== 'object') return bytes
  if ('rewrite' in mode) return mode.rewrite(bytes)
  if (!('garbage' in mode) || mode.times === 0) return bytes
  if (mode.times !== undefined) mode.times--
  return Buffer.from(mode.garbage)
}

/** One direction of a slow link: its connections take turns, so that nobody is starved. */
export class Throttle {
  readonly #turns: Flow[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  #freeAt = 0
  #rate = 1
  #stopped = false

  /** Queues up for a turn; what is sent counts against so many bytes a second. */
  join(flow: Flow, rate: number): void {
    this.#rate = rate
    if (!this.#turns.includes(flow)) this.#turns.push(flow)
    this.#schedule()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#stopped || this.#turns.length === 0) return
    this.#timer = setTimeout(() => this.#run(), Math.max(0, this.#freeAt - performance.now()))
  }

  #run(): void {
    const now = performance.now()
    // What a late timer left unused may be made up for, within bounds.
    this.#freeAt = Math.max(this.#freeAt, now - 20)
    while (this.#freeAt <= now) {
      const flow = this.#turns.shift()
      if (flow === undefined) break
      this.#freeAt += (flow.takeTurn() / this.#rate) * 1000
    }
    this.#timer = undefined
    this.#schedule()
  }
}
