// A raw RESP2 client over node:net. Tests judge from outside with it: it shares no line with what
// is being tested, sends exactly the bytes it is given and returns exactly what the server said.

import { connect, type Socket } from 'node:net'

export class RespError extends Error {
  override readonly name = 'RespError'
}

export type RespReply = string | number | null | RespError | RespReply[]

type Argument = string | number | Uint8Array

/** Whether a line of CLIENT LIST is of a connection that is told of changes: tracking, by broadcast. */
const isLink = (line: string): boolean => /\bflags=\w*[tB]/.test(line)

export interface RespClientOptions {
  host?: string
  port: number
  username?: string
  password?: string
  db?: number
}

interface Pending {
  resolve(reply: RespReply): void
  reject(error: Error): void
}

/** Replies are text decoded as `encoding`; 'latin1' keeps every byte apart. */
export class RespClient {
  encoding: 'utf8' | 'latin1' = 'utf8'
  readonly #socket: Socket
  readonly #pending: Pending[] = []
  #chunks: Buffer[] = []
  #length = 0
  #needed = 1
  #failure: Error | undefined

  static async connect({ host = '127.0.0.1', port, username, password, db }: RespClientOptions): Promise<RespClient> {
    const socket = connect({ host, port, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    const client = new RespClient(socket)
    if (password !== undefined) {
      await client.call('AUTH', ...(username === undefined ? [password] : [username, password]))
    }
    if (db !== undefined) await client.call('SELECT', db)
    return client
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.removeAllListeners('error')
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  /** One command; a server's error reply rejects. */
  async call(...command: Argument[]): Promise<RespReply> {
    const [reply] = await this.pipeline([command])
    if (reply instanceof RespError) throw reply
    return reply ?? null
  }

  /** Many commands in one write; error replies stand as values at their places. */
  pipeline(commands: readonly Argument[][]): Promise<RespReply[]> {
    if (this.#failure) return Promise.reject(this.#failure)
    const replies = commands.map(
      () => new Promise<RespReply>((resolve, reject) => this.#pending.push({ resolve, reject })),
    )
    this.#socket.write(Buffer.concat(commands.flatMap(encode)))
    return Promise.all(replies)
  }

  /** Bytes as they are, for tests of what no client would send. */
  write(bytes: Uint8Array | string): void {
    this.#socket.write(bytes)
  }

  /** How many connections for commands the server counts, without this one. */
  async otherConnections(): Promise<number> {
    return (await this.connections()).filter((line) => !isLink(line)).length - 1
  }

  /** How many connections it tells of changes on: near caches have one each, once something was read. */
  async links(): Promise<number> {
    return (await this.connections()).filter(isLink).length
  }

  /** The lines of CLIENT LIST, this connection's own included. */
  async connections(): Promise<string[]> {
    return String(await this.call('CLIENT', 'LIST', 'TYPE', 'normal'))
      .split('\n')
      .filter((line) => line !== '')
  }

  close(): void {
    this.#socket.destroy()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#pending.splice(0)) reject(this.#failure)
  }

  #read(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    // A large reply is joined once, when it is complete, not once per chunk.
    if (this.#length < this.#needed) return
    const data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length)
    let position = 0
    this.#needed = 1
    while (position < data.length) {
      const parsed = parse(data, position, this.encoding)
      if ('needed' in parsed) {
        this.#needed = parsed.needed - position
        break
      }
      position = parsed.end
      this.#pending.shift()?.resolve(parsed.reply)
    }
    const rest = data.subarray(position)
    this.#chunks = rest.length === 0 ? [] : [rest]
    this.#length = rest.length
  }
}

function encode(command: readonly Argument[]): Buffer[] {
  const parts = [Buffer.from(`*${command.length}\r\n`)]
  for (const argument of command) {
    const bytes = argument instanceof Uint8Array ? Buffer.from(argument) : Buffer.from(String(argument))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return parts
}

type Parsed = { reply: RespReply; end: number } | { needed: number }

function parse(data: Buffer, start: number, encoding: 'utf8' | 'latin1'): Parsed {
  const lineEnd = data.indexOf('\r\n', start)
  if (lineEnd < 0) return { needed: data.length + 1 }
  const line = data.toString('utf8', start + 1, lineEnd)
  const next = lineEnd + 2
  switch (data[start]) {
    case 0x2b: // +
      return { reply: line, end: next }
    case 0x2d: // -
      return { reply: new RespError(line), end: next }
    case 0x3a: // :
      return { reply: Number(line), end: next }
    case 0x24: {
      // $
      const size = Number(line)
      if (size < 0) return { reply: null, end: next }
      if (data.length < next + size + 2) return { needed: next + size + 2 }
      return { reply: data.toString(encoding, next, next + size), end: next + size + 2 }
    }
    case 0x2a: {
      // *
      const count = Number(line)
      if (count < 0) return { reply: null, end: next }
      const items: RespReply[] = []
      let position = next
      for (let index = 0; index < count; index++) {
        if (position >= data.length) return { needed: data.length + 1 }
        const item = parse(data, position, encoding)
        if ('needed' in item) return item
        items.push(item.reply)
        position = item.end
      }
      return { reply: items, end: position }
    }
    default:
      throw new Error(`not a RESP2 reply: ${JSON.stringify(line)}`)
  }
}
