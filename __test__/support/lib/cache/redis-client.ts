export * from 'holdfast/redis-client'
