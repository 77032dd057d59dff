export { cacheManager, fallbackManager, getSystemStatus, initializeRedisSystem, redisClient } from 'holdfast'
