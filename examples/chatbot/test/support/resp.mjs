// A raw Redis client: what is judged with it shares no line with what is being judged.

import { connect } from 'node:net'

/** { call(...command), close() }. Texts come as Buffers, errors reject. */
export async function rawClient(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const waiting = []
  let seen = Buffer.alloc(0)
  const fail = (error) => {
    for (const { reject } of waiting.splice(0)) reject(error)
  }
  socket.removeAllListeners('error')
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the connection to Redis was closed')))
  socket.on('data', (chunk) => {
    seen = Buffer.concat([seen, chunk])
    for (let reply = parse(seen, 0); reply !== undefined; reply = parse(seen, 0)) {
      seen = seen.subarray(reply.end)
      const { resolve, reject } = waiting.shift()
      if (reply.value instanceof Error) reject(reply.value)
      else resolve(reply.value)
    }
  })
  return {
    call(...command) {
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject })
        const parts = command.map((part) => Buffer.from(String(part)))
        socket.write(Buffer.concat([
          Buffer.from(`*${parts.length}\r\n`),
          ...parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')]),
        ]))
      })
    },
    close: () => socket.destroy(),
  }
}

/** { value, end }, or undefined while the reply is not whole. */
function parse(data, at) {
  const lineEnd = data.indexOf('\r\n', at)
  if (lineEnd === -1) return undefined
  const line = data.toString('utf8', at + 1, lineEnd)
  const after = lineEnd + 2
  switch (String.fromCharCode(data[at])) {
    case '+':
      return { value: line, end: after }
    case '-':
      return { value: new Error(line), end: after }
    case ':':
      return { value: Number(line), end: after }
    case '$': {
      const length = Number(line)
      if (length === -1) return { value: null, end: after }
      if (data.length < after + length + 2) return undefined
      return { value: Buffer.from(data.subarray(after, after + length)), end: after + length + 2 }
    }
    case '*': {
      const value = []
      let end = after
      for (let count = Number(line); count > 0; count--) {
        const part = parse(data, end)
        if (part === undefined) return undefined
        value.push(part.value)
        end = part.end
      }
      return { value, end }
    }
    default:
      throw new Error(`no reply begins with ${JSON.stringify(line)}`)
  }
}
