// Names: a host that nobody knows, and one that moves to another address. The name is looked up on every
// dial. To move a name, a process is given an /etc/hosts of its own, where Linux lets users do that.

import { spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { describe, expect, it } from 'vitest'

import { opener } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

describe('a host name that nobody knows', () => {
  it('leaves memory to answer, says which name it is, and is looked up again', async () => {
    const { open, closeAll } = opener({ url: 'redis://nobody-knows.invalid:6379' })
    const { cacheManager, redisClient, isRedisAvailable } = open()
    expect(await cacheManager.set('first', 1)).toBe(true)
    expect(await cacheManager.getEntry('first')).toMatchObject({ value: 1, source: 'memory' })
    expect(isRedisAvailable()).toBe(false)
    const refused: unknown = await redisClient.getClient().call('PING').catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'E_UNAVAILABLE', applied: 'no' })
    await waitFor('the look-up to fail again', () => redisClient.getConnectionState().connectionAttempts > 2)
    expect(redisClient.getConnectionState().lastError).toMatchObject({
      code: 'E_UNAVAILABLE',
      message: expect.stringContaining('nobody-knows.invalid'),
    })
    await closeAll()
  })
})

/** Runs a command that sees this file as /etc/hosts. */
const withHosts = (file: string, ...command: string[]): string[] => [
  ...['--map-root-user', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"'],
  ...[file, ...command],
]

function canMoveNames(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-hosts-'))
  const file = join(folder, 'hosts')
  writeFileSync(file, '127.0.0.2 moves.test\n')
  const { status, stdout } = spawnSync('unshare', withHosts(file, 'cat', '/etc/hosts'), { encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  return status === 0 && stdout.includes('moves.test')
}

/** An instance in a process with an /etc/hosts of its own. */
class Elsewhere implements AsyncDisposable {
  readonly keyPrefix = `moves:${randomUUID()}:`
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-hosts-'))
  readonly #process
  readonly #ended: Promise<unknown>
  readonly #answers: string[] = []

  constructor(port: number, address?: string) {
    this.point(address)
    const script = fileURLToPath(new URL('./children/instance.mjs', import.meta.url))
    const command = withHosts(this.#file, process.execPath, script, `redis://moves.test:${port}`, this.keyPrefix)
    this.#process = spawn('unshare', command, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#ended = new Promise((resolve) => this.#process.once('exit', resolve))
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#answers.push(line))
  }

  get #file(): string {
    return join(this.#folder, 'hosts')
  }

  /** Where the name leads from now on. */
  point(address?: string): void {
    writeFileSync(this.#file, `127.0.0.1 localhost\n${address === undefined ? '' : `${address} moves.test\n`}`)
  }

  async call(part: 'cacheManager' | 'fallbackManager' | 'redisClient', method: string, ...args: unknown[]): Promise<unknown> {
    this.#process.stdin.write(`${JSON.stringify([part, method, ...args])}\n`)
    const line = await waitFor(`the answer to ${method}`, () => this.#answers.shift())
    return (JSON.parse(line) as { value?: unknown }).value
  }

  async healed(): Promise<void> {
    await waitFor('the replay', async () => {
      const stats = (await this.call('fallbackManager', 'getStats')) as { isUsingFallback: boolean; journalDepth: number }
      return !stats.isUsingFallback && stats.journalDepth === 0
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end()
    const hung = setTimeout(() => this.#process.kill('SIGKILL'), 10_000)
    await this.#ended
    clearTimeout(hung)
    rmSync(this.#folder, { recursive: true })
  }
}

describe.skipIf(!canMoveNames())('a host name that moves to another address', () => {
  const holds = async (server: RedisServer, key: string): Promise<boolean> => {
    using outside = await server.client()
    return (await outside.call('EXISTS', key)) === 1
  }

  it('is followed there, with what was written meanwhile, and the old address is left alone', async () => {
    await using old = await RedisServer.start()
    await using elsewhere = new Elsewhere(old.port, '127.0.0.1')
    expect(await elsewhere.call('cacheManager', 'set', 'before', 1)).toBe(true)
    expect(await holds(old, `${elsewhere.keyPrefix}cache:before`)).toBe(true)

    await old.kill()
    expect(await elsewhere.call('cacheManager', 'set', 'during', 2)).toBe(true)
    expect(await elsewhere.call('cacheManager', 'getEntry', 'during')).toMatchObject({ source: 'memory' })
    elsewhere.point('127.0.0.2')
    await using moved = await RedisServer.start({ host: '127.0.0.2', port: old.port })
    await elsewhere.healed()
    expect(await holds(moved, `${elsewhere.keyPrefix}cache:during`)).toBe(true)
    await old.start()
    expect(await elsewhere.call('cacheManager', 'set', 'since', 3)).toBe(true)
    expect(await holds(moved, `${elsewhere.keyPrefix}cache:since`)).toBe(true)
    for (const key of ['before', 'during', 'since']) expect(await holds(old, `${elsewhere.keyPrefix}cache:${key}`)).toBe(false)
  })

  it('is followed when only the connection ends, because the old server closed it', async () => {
    await using old = await RedisServer.start()
    await using moved = await RedisServer.start({ host: '127.0.0.2', port: old.port })
    await using elsewhere = new Elsewhere(old.port, '127.0.0.1')
    expect(await elsewhere.call('cacheManager', 'set', 'before', 1)).toBe(true)
    elsewhere.point('127.0.0.2')
    using outside = await old.client()
    await outside.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await waitFor('the new server to get what is set', async () => {
      expect(await elsewhere.call('cacheManager', 'set', 'since', 2)).toBe(true)
      return holds(moved, `${elsewhere.keyPrefix}cache:since`)
    })
  })

  it('and is unknown at first is found when it is known', async () => {
    await using server = await RedisServer.start({ host: '127.0.0.2' })
    await using elsewhere = new Elsewhere(server.port)
    expect(await elsewhere.call('cacheManager', 'set', 'first', 1)).toBe(true)
    expect(await elsewhere.call('cacheManager', 'getEntry', 'first')).toMatchObject({ source: 'memory' })
    elsewhere.point('127.0.0.2')
    await elsewhere.healed()
    expect(await holds(server, `${elsewhere.keyPrefix}cache:first`)).toBe(true)
  })
})
