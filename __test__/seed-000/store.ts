// Runs a block of the seed on the embedded memory store and on a real Redis, configured as an app
// is: by the environment. The singletons read it when the system is initialised.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, inject } from 'vitest'
import { initializeRedisSystem, shutdownRedisSystem } from '@/lib/cache'
import { RespClient } from '../support/resp-client'

export type Store = 'memory' | 'redis'

export const stores: Store[] = ['memory', 'redis']

export interface Surroundings {
  keyPrefix: string
  /** The server itself, to judge from outside; null on memory. */
  outside: () => RespClient
}

/** Sets the environment for a store; `initialize: false` leaves that call to the block itself. */
export function onStore(store: Store, { initialize = true } = {}): Surroundings {
  const keyPrefix = `seed-000:${randomUUID()}:`
  const before = { ...process.env }
  let client: RespClient | undefined

  beforeAll(async () => {
    for (const name of Object.keys(process.env)) {
      if (name.includes('REDIS')) delete process.env[name]
    }
    const port = inject('redisPort')
    process.env['REDIS_KEY_PREFIX'] = keyPrefix
    if (store === 'memory') process.env['REDIS_URL'] = 'memory:'
    else {
      process.env['REDIS_HOST'] = '127.0.0.1'
      process.env['REDIS_PORT'] = String(port)
      client = await RespClient.connect({ port })
    }
    if (initialize) await initializeRedisSystem()
  })

  afterAll(async () => {
    await shutdownRedisSystem()
    client?.close()
    for (const name of Object.keys(process.env)) delete process.env[name]
    Object.assign(process.env, before)
  })

  return {
    keyPrefix,
    outside: () => {
      if (client === undefined) throw new Error('only the redis store has an outside')
      return client
    },
  }
}
