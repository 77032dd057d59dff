// Imports everything, constructs everything, takes it apart, and calls nothing that needs a server.
import { createRequire } from 'node:module'
import * as holdfast from 'holdfast'
import client from 'holdfast/redis-client'
import { cacheManager } from 'holdfast/cache-manager'
import { fallbackManager } from 'holdfast/fallback-manager'

const required = createRequire(import.meta.url)('holdfast')
const { createHoldfast } = holdfast
const [url] = process.argv.slice(2)
const instance = createHoldfast({ url })
instance.on('state-change', () => {})
const { get, set } = instance.cacheManager
const memoized = instance.FallbackCache.memoize(() => 1)
fallbackManager.on('redis:connected', () => {})
const parts = [client, cacheManager, get, set, memoized, required.cacheManager, ...Object.values(holdfast)]
await new Promise((resolve) => setImmediate(resolve))
console.log(parts.every((part) => part !== undefined) ? 'looked' : 'something is missing')
