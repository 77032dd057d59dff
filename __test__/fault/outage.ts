// What the fault suites share: an instance behind a proxy, the ways into an outage and out of it, and
// a judge who reads the server without the package.

import { randomUUID } from 'node:crypto'

import { opener, type Instance, type InstanceOptions } from '../cache/stores'
import { FaultProxy } from '../support/fault-proxy'
import { RedisServer, type RedisServerOptions } from '../support/redis-server'
import { RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'

/** The bytes in front of a stored value; docs/decisions/0004 has their meaning. */
const HEADER_BYTES = 42

export class Scene implements AsyncDisposable {
  readonly events: string[] = []

  private constructor(
    readonly server: RedisServer,
    readonly proxy: FaultProxy,
    readonly keyPrefix: string,
    readonly open: (options?: InstanceOptions) => Instance,
    private readonly closeAll: () => Promise<void>,
    /** Behind the proxy. */
    readonly holdfast: Instance,
  ) {
    for (const name of ['backend-connected', 'backend-disconnected', 'backend-degraded', 'backend-recovered'] as const)
      holdfast.on(name, () => this.events.push(name))
  }

  static async start(options: InstanceOptions = {}, serverOptions: RedisServerOptions = {}): Promise<Scene> {
    const server = await RedisServer.start(serverOptions)
    const proxy = await FaultProxy.start({ port: server.port })
    const keyPrefix = `fault:${randomUUID()}:`
    const { open, closeAll } = opener({ url: proxy.url, keyPrefix, ...options })
    return new Scene(server, proxy, keyPrefix, open, closeAll, open())
  }

  /** The first contact. On a busy machine it may take so long that memory answers before it. */
  async connected(): Promise<void> {
    await waitFor('the first contact', async () => {
      await this.cache.exists('probe')
      return this.holdfast.isRedisAvailable()
    })
  }

  get cache(): Instance['cacheManager'] {
    return this.holdfast.cacheManager
  }

  /** The name of a cache entry on the server. */
  name(key: string): string {
    return `${this.keyPrefix}cache:${key}`
  }

  /** Memory answers from now on. */
  async degraded(): Promise<void> {
    const { cacheManager, fallbackManager } = this.holdfast
    await waitFor('the outage to be noticed', async () => {
      await cacheManager.exists('probe')
      return fallbackManager.getStats().isUsingFallback
    })
  }

  /** Redis answers, and the journal has been replayed. */
  async healed(withinMs = 15_000): Promise<void> {
    const { fallbackManager, isRedisAvailable } = this.holdfast
    const healed = (): boolean => {
      const { isUsingFallback, journalDepth, syncStatus } = fallbackManager.getStats()
      return isRedisAvailable() && !isUsingFallback && journalDepth === 0 && syncStatus !== 'syncing'
    }
    await waitFor('Redis to answer and the journal to be replayed', healed, { withinMs }).catch((error: Error) => {
      const { redisClient } = this.holdfast
      error.message += `\n${JSON.stringify([fallbackManager.getStats(), redisClient.getConnectionState(), this.proxy.counts, this.events])}`
      throw error
    })
  }

  /** What the server holds under these keys of the cache: values, or null where there is nothing. */
  async stored(keys: readonly string[]): Promise<unknown[]> {
    using outside = await this.server.client()
    outside.encoding = 'latin1'
    const replies = await outside.pipeline(keys.map((key) => ['GET', this.name(key)]))
    return replies.map((reply) => {
      if (reply === null) return null
      if (typeof reply !== 'string') throw new Error(`not a stored value: ${String(reply)}`)
      return JSON.parse(Buffer.from(reply, 'latin1').toString('utf8', HEADER_BYTES)) as unknown
    })
  }

  async outside<Result>(work: (client: RespClient) => Promise<Result>): Promise<Result> {
    using client = await this.server.client()
    return await work(client)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.thaw()
    // What is held back would make the instance wait for its answers.
    await this.proxy.close()
    await this.closeAll()
    await this.server.dispose()
  }
}

/**
 * Long enough for two processes to agree which of two writes is the later one: each knows the server's clock
 * up to half of the round trip in which it asked for it.
 */
export async function apart(ms = 100): Promise<void> {
  const end = performance.now() + ms
  await waitFor('some time to pass', () => performance.now() > end)
}

/** Rejections that nobody handles while `work` runs, and for a turn of the event loop afterwards. */
export async function unhandledDuring(work: () => Promise<void>): Promise<unknown[]> {
  const unhandled: unknown[] = []
  const note = (reason: unknown): number => unhandled.push(reason)
  process.on('unhandledRejection', note)
  try {
    await work()
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.off('unhandledRejection', note)
  }
  return unhandled
}
