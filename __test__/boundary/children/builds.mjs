// What code that runs while an app is built may do: everything.
import * as holdfast from 'holdfast'

const { cacheManager, fallbackManager, getRedisHealth, getSystemStatus, initializeRedisSystem, redisClient } = holdfast
const said = []
const { components } = await initializeRedisSystem()
said.push(components.redis)
said.push(await cacheManager.set('page', 1), await cacheManager.get('page'))
said.push(await cacheManager.getOrSet('loaded', () => 2))
said.push(await fallbackManager.set('kept', 3), await fallbackManager.get('kept'))
said.push(await redisClient.execute('NOSUCH'), holdfast.isRedisAvailable())
await redisClient.reconnect()
await fallbackManager.syncWithRedis()
said.push((await getRedisHealth()).status, (await getSystemStatus()).redis.available)
console.log(JSON.stringify(said))
