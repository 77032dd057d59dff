// What the suites of raw changes share: commands as lists of words, and ways into an outage whose server goes on.

import type { Instance, InstanceOptions } from '../cache/stores'
import type { RedisServerOptions } from '../support/redis-server'
import type { RespReply } from '../support/resp-client'
import { Scene } from './outage'

export type Command = readonly [name: string, ...args: (string | number)[]]

export const merge = (fallback: InstanceOptions['fallback'] = {}): InstanceOptions => ({ fallback: { ...fallback, rawChanges: 'merge' } })

export async function run({ redisClient }: Instance, commands: readonly Command[]): Promise<unknown[]> {
  const client = redisClient.getClient()
  const answers: unknown[] = []
  for (const [name, ...args] of commands) answers.push(await client.call(name, ...args))
  return answers
}

/** What each call answered, or the code of its error. */
export async function settled(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  const answers = await Promise.allSettled(calls)
  return answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : (answer.reason as { code: string }).code))
}

/** What the server holds, read without the package. */
export const held = (scene: Scene, ...questions: Command[]): Promise<RespReply[]> =>
  scene.outside((outside) => outside.pipeline(questions.map(([name, key, ...rest]) => [name, `${scene.keyPrefix}${key}`, ...rest])))

export async function start(options: InstanceOptions = merge(), server: RedisServerOptions = {}): Promise<Scene> {
  const scene = await Scene.start(options, server)
  await scene.cache.set('probe', 1)
  return scene
}

/** Our way to the server is cut. Others have theirs. */
export async function leave(scene: Scene): Promise<void> {
  await scene.proxy.set('refuse')
  await scene.degraded()
}

export async function comeBack(scene: Scene): Promise<void> {
  await scene.proxy.set('pass')
  await scene.healed()
}

/** Another process to the server, which it reaches. */
export async function another(scene: Scene, options: InstanceOptions = {}): Promise<Instance> {
  const other = scene.open({ url: scene.server.url, ...options })
  await other.cacheManager.set('probe', 1)
  return other
}
