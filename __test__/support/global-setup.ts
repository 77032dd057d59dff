// One Redis for the whole run. Its port reaches the tests through `inject('redisPort')`; a test that
// kills, freezes or fills its server starts one of its own.

import type { TestProject } from 'vitest/node'

import { RedisServer } from './redis-server'

declare module 'vitest' {
  export interface ProvidedContext {
    redisPort: number
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await RedisServer.start()
  project.provide('redisPort', server.port)
  return () => server.dispose()
}
