// A foreign publisher: so many messages of a million bytes, each when the one before was answered.
import { once } from 'node:events'
import { connect } from 'node:net'

const [port, channel, count] = process.argv.slice(2)
const text = 'x'.repeat(1_000_000)
const socket = connect({ port: Number(port), host: '127.0.0.1' })
for (let n = 0; n < Number(count); n++) {
  socket.write(`*3\r\n$7\r\nPUBLISH\r\n$${channel.length}\r\n${channel}\r\n$${text.length}\r\n${text}\r\n`)
  await once(socket, 'data')
  await new Promise((resolve) => setTimeout(resolve, 5))
}
socket.destroy()
