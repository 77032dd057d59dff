// How each library is opened for these measurements, so that every part opens it alike.
import { createRequire } from 'node:module'
import { info } from '../lib/asker.mjs'

// Resolved from the package's root, so that the entry of `exports` is what gets loaded.
const require = createRequire(new URL('../../package.json', import.meta.url))

export const holdfast = { package: 'holdfast', ours: true }

/** An instance that is connected; without a port in memory alone. */
export async function openHoldfast({ port }) {
  const { createHoldfast } = require('holdfast')
  const url = port === null ? 'memory:' : `redis://127.0.0.1:${port}`
  const instance = createHoldfast({ url, env: {} })
  await instance.initializeRedisSystem()
  if (port !== null && !instance.isRedisAvailable()) throw new Error('Holdfast is not connected.')
  return instance
}

/** With its defaults, or with its automatic pipelines. */
export async function openIoredis({ port, ...options }) {
  const { Redis } = await import('ioredis')
  return new Redis({ host: '127.0.0.1', port, ...options })
}

/** It gathers the commands of one tick by itself. */
export async function openNodeRedis({ port }) {
  const { createClient } = await import('redis')
  const client = createClient({ socket: { host: '127.0.0.1', port } })
  client.on('error', (error) => console.error(error))
  await client.connect()
  return client
}

/** {[command]: how often the server has run it}, those that scripts ran among them. */
export async function commandsOf(port) {
  const lines = (await info(port, 'commandstats')).matchAll(/^cmdstat_([^:|]+)[^:]*:calls=(\d+)/gm)
  const found = {}
  for (const [, name, calls] of lines) found[name] = (found[name] ?? 0) + Number(calls)
  return found
}

/** How often these ran between two answers of `commandsOf`. */
export const ranBetween = (before, after, names) =>
  names.reduce((sum, name) => sum + (after[name] ?? 0) - (before[name] ?? 0), 0)
