// A Redis (or Valkey) of a test's own: on a free port, in a temporary folder, ended by process id.
// Faults of the server itself are done to the real process: kill -9, SIGSTOP, an emptied disk.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { freePort } from './ports'
import { RespClient, type RespClientOptions } from './resp-client'
import { waitFor } from './wait-for'

export interface RedisServerOptions {
  /** An address of this machine. Default: 127.0.0.1. */
  host?: string
  /** A fixed port; otherwise a free one. It stays the same over restarts. */
  port?: number
  /** Every write is on the disk before it is answered, so that kill -9 loses nothing. */
  persistent?: boolean
  /** Password of the default user. */
  password?: string
  /** More settings, as on the command line: ['--maxmemory', '10mb']. */
  args?: readonly string[]
}

export interface StartOptions {
  /** Settings of this start alone. */
  args?: readonly string[]
  /** Resolves when the server is up, although it may still be loading its data. */
  loading?: boolean
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class RedisServer {
  readonly host: string
  readonly port: number
  /** Where its data lies; its working directory. */
  readonly directory = mkdtempSync(join(tmpdir(), 'holdfast-redis-'))
  readonly #options: RedisServerOptions
  #child: ChildProcess | undefined
  #output = ''

  /** Resolves when the server answers PING. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const attempts = options.port === undefined ? 5 : 1
    for (let attempt = 1; ; attempt++) {
      const server = new RedisServer(options.port ?? (await freePort()), options)
      try {
        await server.start()
        return server
      } catch (error) {
        await server.dispose()
        // Between asking for a free port and taking it another process may have been quicker.
        if (attempt >= attempts) throw error
      }
    }
  }

  private constructor(port: number, options: RedisServerOptions) {
    this.port = port
    this.host = options.host ?? '127.0.0.1'
    this.#options = options
  }

  get url(): string {
    const { password } = this.#options
    const user = password === undefined ? '' : `:${encodeURIComponent(password)}@`
    return `redis://${user}${this.host}:${this.port}`
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  /** Starts a stopped server again on the same port, with whatever its folder holds. */
  async start({ args: more = [], loading = false }: StartOptions = {}): Promise<void> {
    if (this.#child) return
    const { password, persistent = false, args = [] } = this.#options
    const child = spawn(
      redisBinary(),
      [
        ...['--bind', this.host, '--port', String(this.port), '--dir', this.directory],
        ...['--save', '', '--appendonly', persistent ? 'yes' : 'no', '--appendfsync', 'always'],
        ...(password === undefined ? [] : ['--requirepass', password]),
        ...args,
        ...more,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    this.#child = child
    this.#output = ''
    running.add(child)
    child.once('error', (error) => (this.#output += error.message))
    child.once('exit', () => {
      running.delete(child)
      if (this.#child === child) this.#child = undefined
    })
    child.stdout.on('data', (text: Buffer) => (this.#output += text.toString()))
    child.stderr.on('data', (text: Buffer) => (this.#output += text.toString()))

    const answered = await waitFor('PONG from the server that was started', async () => {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return 'ended'
      const client = await this.client()
      try {
        // INFO instead of PING alone: the port might have been taken by somebody else's server.
        const [pong, info] = await client.pipeline([['PING'], ['INFO', 'server']])
        return (loading || pong === 'PONG') && String(info).includes(`process_id:${child.pid}\r`) ? 'ready' : ''
      } finally {
        client.close()
      }
    })
    if (answered === 'ended') throw new Error(`the server ended at once:\n${this.#output}`)
  }

  /** An orderly end (SIGTERM). */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** kill -9: connections break, whatever was not on the disk is gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** SIGSTOP: the host is there, its kernel acknowledges, nobody answers. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  /** SIGCONT: everything sent meanwhile is worked off. */
  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  /**
   * Ends the server and starts it on the same port. `keepData: true` needs `persistent`; `false`
   * empties the disk, as when an instance is replaced by a new one.
   */
  async restart({ keepData, force = false }: { keepData: boolean; force?: boolean }): Promise<void> {
    if (keepData && !this.#options.persistent) throw new Error('keepData needs a server that is persistent')
    await (force ? this.kill() : this.stop())
    if (!keepData) this.wipe()
    await this.start()
  }

  /** Empties a stopped server's disk. */
  wipe(): void {
    if (this.#child) throw new Error('only a stopped server can be wiped')
    rmSync(join(this.directory, 'appendonlydir'), { recursive: true, force: true })
    rmSync(join(this.directory, 'dump.rdb'), { force: true })
  }

  /** A raw connection to judge from outside with. */
  client(options: Partial<RespClientOptions> = {}): Promise<RespClient> {
    const { password } = this.#options
    return RespClient.connect({ host: this.host, port: this.port, ...(password === undefined ? {} : { password }), ...options })
  }

  /** The server's own log, for messages of failing tests. */
  get log(): string {
    return this.#output
  }

  async dispose(): Promise<void> {
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (!child || child.pid === undefined) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    // A frozen process does not take SIGTERM until it is let go on.
    child.kill('SIGCONT')
    child.kill(signal)
    await ended
  }
}

let binary: string | undefined

/** The test command names the server it found; a suite run by hand takes the one on the PATH. */
export function redisBinary(): string {
  binary ??= [process.env['HOLDFAST_REDIS_SERVER'], 'redis-server', 'valkey-server'].find(
    (name) => name !== undefined && name !== '' && spawnSync(name, ['--version']).status === 0,
  )
  if (binary === undefined) {
    throw new Error('no Redis server: install redis-server or valkey-server, or run the suite with npm test')
  }
  return binary
}
