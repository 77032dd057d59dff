// A Redis of a command's own, on a free port of loopback, ended with the command.

import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'

import { freePort } from './ports.mjs'
import { start } from './processes.mjs'

/** { port, url, pid, stop(), connections(), accepted() }; `directory` keeps its data, without one nothing is kept. */
export async function startRedis(binary, { directory, port } = {}) {
  const at = port ?? (await freePort())
  if (directory) mkdirSync(directory, { recursive: true })
  const server = start(binary, [
    ...['--bind', '127.0.0.1', '--port', String(at), '--loglevel', 'warning'],
    ...(directory
      ? ['--dir', directory, '--appendonly', 'yes', '--save', '']
      : ['--appendonly', 'no', '--save', '']),
  ])
  const bound = Date.now() + 15_000
  while (!(await answersPing(at))) {
    if (!server.running || Date.now() > bound) {
      await server.stop('SIGKILL')
      throw new Error(`${binary} did not start:\n${server.output()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    port: at,
    url: `redis://127.0.0.1:${at}`,
    pid: server.pid,
    stop: (signal) => server.stop(signal),
    connections: () => connections(at),
    accepted: () => accepted(at),
  }
}

function answersPing(port) {
  return ask(port, 'PING\r\n', (text) => text.startsWith('+PONG')).then(
    () => true,
    () => false,
  )
}

/** The lines of CLIENT LIST without the asking connection's own. */
async function connections(port) {
  const text = await ask(port, 'CLIENT ID\r\nCLIENT LIST\r\n', (seen) => {
    const match = /^:\d+\r\n\$(\d+)\r\n/.exec(seen)
    return match !== null && seen.length >= match[0].length + Number(match[1]) + 2
  })
  const own = /^:(\d+)/.exec(text)[1]
  return text.split('\n').filter((line) => line.startsWith('id=') && !line.startsWith(`id=${own} `))
}

/** How many connections the server has accepted since its start, the asking one included. */
async function accepted(port) {
  const text = await ask(port, 'INFO stats\r\n', (seen) => /instantaneous_ops_per_sec/.test(seen))
  return Number(/total_connections_received:(\d+)/.exec(text)[1])
}

// Inline commands over a bare socket: whatever is judged with this shares no code with a client.
function ask(port, command, isComplete) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(command))
    let seen = ''
    socket.setEncoding('latin1')
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer within 5 s')))
    socket.on('data', (text) => {
      seen += text
      if (!isComplete(seen)) return
      socket.destroy()
      resolve(seen)
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(seen)}`)))
  })
}
