// The Redis that suffers: killed, started again on the same port with its data or without, frozen.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { freePort } from '../lib/ports.mjs'
import { start } from '../lib/processes.mjs'
import { now, pause } from './clock.mjs'
import { testSupport } from './support.mjs'

const { RespClient } = await testSupport('resp-client')

// Below the range from which systems take the ports of outgoing connections: whoever dials a port of that range
// while nobody listens may be connected to himself, and then holds the port.
const FIRST_PORT = 21_000

export class Server {
  #binary
  #process
  #folder = mkdtempSync(join(tmpdir(), 'holdfast-soak-'))
  #remove = () => rmSync(this.#folder, { recursive: true, force: true })

  static async start(binary) {
    const server = new Server(binary, await freePort(FIRST_PORT + Math.floor(Math.random() * 5_000)))
    await server.start()
    return server
  }

  constructor(binary, port) {
    this.#binary = binary
    this.port = port
    process.once('exit', this.#remove)
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Every write is on the disk before it is answered, so that what is kept is all that was acknowledged. */
  async start() {
    const server = start(this.#binary, [
      ...['--bind', '127.0.0.1', '--port', String(this.port), '--dir', this.#folder, '--loglevel', 'warning'],
      ...['--save', '', '--appendonly', 'yes', '--appendfsync', 'always'],
      // A child that rewrites the log would outlive a server that is killed.
      ...['--auto-aof-rewrite-percentage', '0'],
    ])
    this.#process = server
    const bound = now() + 30_000
    while (!(await this.#answers())) {
      if (!server.running || now() > bound) throw new Error(`the server did not start:\n${server.output()}`)
      await pause(5)
    }
  }

  /** kill -9. Resolves with the moment before it and one at which the process was gone. */
  async kill({ keepsData }) {
    const killed = now()
    await this.#process.stop('SIGKILL')
    const dead = now()
    if (!keepsData) rmSync(join(this.#folder, 'appendonlydir'), { recursive: true, force: true })
    return { killed, dead }
  }

  /** Gone, with all it wrote. */
  async end() {
    await this.#process.stop('SIGKILL')
    this.#remove()
    process.removeListener('exit', this.#remove)
  }

  freeze() {
    process.kill(this.#process.pid, 'SIGSTOP')
  }

  thaw() {
    process.kill(this.#process.pid, 'SIGCONT')
  }

  async #answers() {
    try {
      const client = await RespClient.connect({ port: this.port })
      try {
        return (await client.call('PING')) === 'PONG'
      } finally {
        client.close()
      }
    } catch {
      return false
    }
  }
}
