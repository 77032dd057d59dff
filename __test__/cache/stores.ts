// Instances for suites that run on the embedded memory store and on a real Redis, where every suite has a key prefix
// of its own, and for suites with a server of their own. Everything is closed when the suite ends.
import { randomUUID } from 'node:crypto'
import { createHoldfast } from 'holdfast'
import { afterAll, beforeAll, inject } from 'vitest'
import { RedisServer } from '../support/redis-server'
import { RespClient } from '../support/resp-client'

export type Store = 'memory' | 'redis'
export type Instance = ReturnType<typeof createHoldfast>
export type InstanceOptions = NonNullable<Parameters<typeof createHoldfast>[0]>

export const stores: Store[] = ['memory', 'redis']

export interface Surroundings {
  keyPrefix: string
  /** The suite's instance. */
  holdfast: Instance
  /** One more, which ends with the suite. */
  open: (options?: InstanceOptions) => Instance
  /** The server, to judge from outside; only on redis. */
  outside: () => RespClient
}

/** `env: {}` keeps the environment of whoever runs the tests out of them. */
export function onStore(store: Store, options: InstanceOptions = {}): Surroundings {
  const keyPrefix = `test:${randomUUID()}:`
  const port = inject('redisPort')
  const url = store === 'memory' ? 'memory:' : `redis://127.0.0.1:${port}`
  const { open, closeAll } = opener({ url, keyPrefix, ...patient, ...options })
  let client: RespClient | undefined

  beforeAll(async () => {
    if (store === 'redis') client = await RespClient.connect({ port })
  })
  afterAll(async () => {
    await closeAll()
    client?.close()
  })
  return {
    keyPrefix,
    holdfast: open(),
    open,
    outside: () => {
      if (client === undefined) throw new Error('only the redis store has an outside')
      return client
    },
  }
}

export interface OwnServer {
  server: () => RedisServer
  /** The server, to judge from outside. */
  outside: () => RespClient
  /** An instance of it, which ends with the suite. */
  open: (options?: InstanceOptions) => Instance
}

/** For what the suites of the shared server would disturb, or be disturbed by: its counts, its users, its being emptied. */
export function onOwnServer(): OwnServer {
  const { open, closeAll } = opener(patient)
  let server: RedisServer
  let client: RespClient

  beforeAll(async () => {
    server = await RedisServer.start()
    client = await server.client()
  })
  afterAll(async () => {
    await closeAll()
    client.close()
    await server.dispose()
  })
  return { server: () => server, outside: () => client, open: (options = {}) => open({ url: server.url, ...options }) }
}

/** Makes another core, with a connection and copies of its own, as another process has. */
export const asAnother: InstanceOptions = { commandTimeoutMs: 59_000 }

/** So patient that a server which others keep busy is late and nothing else. */
export const patient: InstanceOptions = { silenceMs: 60_000, commandTimeoutMs: 60_000 }

/** Opens instances with common options, and closes them all. */
export function opener(common: InstanceOptions): { open: (options?: InstanceOptions) => Instance; closeAll: () => Promise<void> } {
  const opened: Instance[] = []
  return {
    open: (options = {}) => {
      const instance = createHoldfast({ env: {}, ...common, ...options })
      opened.push(instance)
      return instance
    },
    closeAll: async () => {
      await Promise.all(opened.splice(0).map((instance) => instance.close()))
    },
  }
}

/** A promise with its handles outside: the gates of a test. */
export function gate<T = void>(): { opened: Promise<T>; open: (value: T) => void; fail: (error: unknown) => void } {
  let open!: (value: T) => void
  let fail!: (error: unknown) => void
  const opened = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { opened, open, fail }
}
