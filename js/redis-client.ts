// `holdfast/redis-client`: the connection of the shared instance.

import { root } from './root.js'
import type { RedisClient } from './managers/client.js'

/** The Redis client of the shared instance. */
export const redisClient: RedisClient = root.redisClient

/** Whether Redis answers now. False until the first attempt succeeded, which this starts. */
export const isRedisAvailable = root.isRedisAvailable

/** How the server is. Never rejects. */
export const getRedisHealth = root.getRedisHealth

export type { CommandArgument, PipelineCommand } from './arguments.js'
export type { RawClient, RedisClient, RedisConnectionState, RedisHealth } from './managers/client.js'

export default redisClient
