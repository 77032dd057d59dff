// Point 9 of docs/boundary.md: one core per configuration and process, however often the package is
// loaded, judged by the server's own list of connections: one for commands, and, once something was read or
// written, one on which the server tells of changes.

import { createRequire } from 'node:module'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { opener, type Instance } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import type { RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'
import { range } from './inside'
import { startWorker } from './worker'

type Package = typeof import('holdfast')

let server: RedisServer
let outside: RespClient
let open: ReturnType<typeof opener>['open']
let closeAll: () => Promise<void>
beforeEach(async () => {
  server = await RedisServer.start()
  outside = await server.client()
  const made = opener({ url: server.url, keyPrefix: 'one:' })
  open = made.open
  closeAll = made.closeAll
})
afterEach(async () => {
  await closeAll()
  outside.close()
  await server.dispose()
})

/** It is used: the core has one connection of each kind. */
async function hasOneOfEach(): Promise<void> {
  await waitFor('the connection that tells of changes', async () => (await outside.links()) > 0)
  expect([await outside.otherConnections(), await outside.links()]).toEqual([1, 1])
}

/** The package evaluated anew, as a hot reload does it. */
function loadAgain(): Package {
  const require = createRequire(import.meta.url)
  for (const path of Object.keys(require.cache)) {
    if (/[/\\](dist[/\\][^/\\]+|native)\.js$/.test(path)) delete require.cache[path]
  }
  return require('holdfast') as Package
}

describe('the same configuration', () => {
  it('opened ten times makes one connection', async () => {
    const instances = range(10).map(() => open())
    await Promise.all(instances.map(({ cacheManager }, n) => cacheManager.set(`key:${n}`, n)))
    await hasOneOfEach()
    expect(await instances[3]?.cacheManager.get('key:7')).toBe(7)
    await hasOneOfEach()
  })

  it('opened from two worker threads makes one connection', async () => {
    await open().cacheManager.set('main', 1)
    const options = { url: server.url, keyPrefix: 'one:' }
    const workers = ['a', 'b'].map((key) => startWorker({ options, keys: [key], value: key, wait: true, stay: true }))
    expect(await Promise.all(workers.map(({ message }) => message))).toEqual([
      { kept: [true], read: ['a'] },
      { kept: [true], read: ['b'] },
    ])
    await hasOneOfEach()
    workers.forEach((worker) => worker.release())
    expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual([0, 0])
    expect(await open().cacheManager.get('b')).toBe('b')
    await hasOneOfEach()
  })

  it('opened by copies of the package that a hot reload evaluated makes one connection', async () => {
    const copies = range(5).map(loadAgain)
    expect(new Set(copies.map(({ createHoldfast }) => createHoldfast)).size).toBe(5)
    const instances: Instance[] = copies.map(({ createHoldfast }) =>
      createHoldfast({ url: server.url, keyPrefix: 'one:', env: {} }),
    )
    await Promise.all(instances.map(({ cacheManager }, n) => cacheManager.set(`copy:${n}`, n)))
    expect(await instances[0]?.cacheManager.get('copy:4')).toBe(4)
    await hasOneOfEach()
    // What one of them reads, and what fails, is the same for all.
    await outside.call('HSET', 'one:cache:hash', 'a', '1')
    const loader = vi.fn(() => 'loaded')
    for (const { cacheManager } of instances) {
      for (const options of [{}, { skipL1: true }]) {
        expect(await cacheManager.getOrSet('copy:4', loader, options)).toBe(4)
        expect(await cacheManager.getOrSet('loaded', loader, options)).toBe('loaded')
      }
      await expect(cacheManager.getMany(['hash'])).rejects.toMatchObject({ code: 'E_DATA' })
    }
    expect(loader).toHaveBeenCalledTimes(1)
    await Promise.all(instances.map((instance) => instance.close()))
  })

  it('has one memory too: what one instance writes in an outage another one reads', async () => {
    const [one, two] = [open(), open()]
    await one.cacheManager.set('before', 1)
    await server.kill()
    await waitFor('the outage', async () => (await one.cacheManager.get('before'), one.fallbackManager.getStats().isUsingFallback))
    expect(await one.cacheManager.set('shared', 'yes')).toBe(true)
    expect(await two.cacheManager.getEntry('shared')).toMatchObject({ value: 'yes', source: 'memory' })
  })

  it('keeps its connections until the last instance is closed', async () => {
    const [one, two] = [open(), open()]
    await Promise.all([one.cacheManager.set('a', 1), two.cacheManager.set('b', 2)])
    await one.close()
    expect(await two.cacheManager.getEntry('a')).toMatchObject({ value: 1, source: 'redis' })
    await hasOneOfEach()
    await two.close()
    const left = async (): Promise<number> => (await outside.otherConnections()) + (await outside.links())
    await waitFor('the connections to end', async () => (await left()) === 0)
  })
})

describe('another configuration', () => {
  it('has a connection of its own', async () => {
    await open().cacheManager.set('a', 1)
    await open({ keyPrefix: 'two:' }).cacheManager.set('a', 2)
    await waitFor('the connections that tell of changes', async () => (await outside.links()) === 2)
    expect(await outside.otherConnections()).toBe(2)
  })
})

describe('listeners', () => {
  it('belong to the instance that they were given to', async () => {
    const [one, two] = [open(), open()]
    const heard: string[] = []
    one.on('backend-connected', () => heard.push('one'))
    two.on('backend-connected', () => heard.push('two'))
    await two.close()
    await one.cacheManager.set('a', 1)
    await waitFor('the event', () => heard.length > 0)
    await one.cacheManager.get('a')
    expect(heard).toEqual(['one'])
  })
})
