// TLS, users and databases: on a real server, with certificates made for the run.

import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { opener, type Instance, type InstanceOptions } from '../cache/stores'
import { makeCertificates } from '../support/certificates'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

const keyPrefix = `tls:${randomUUID()}:`
const { open, closeAll } = opener({ keyPrefix })
afterEach(closeAll)

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'))
  let server: RedisServer
  let tlsPort: number
  let caFile: string

  beforeAll(async () => {
    const { ca, cert, key } = makeCertificates(folder)
    caFile = ca
    tlsPort = await freePort()
    const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca]
    const args = ['--tls-port', String(tlsPort), '--tls-auth-clients', 'no', ...files]
    server = await RedisServer.start({ args }).catch((cause: unknown) => {
      throw new Error('the TLS tests need a Redis server that was built with TLS', { cause })
    })
  })
  afterAll(async () => {
    await server.dispose()
    rmSync(folder, { recursive: true })
  })

  const works = async ({ cacheManager, redisClient }: Instance): Promise<void> => {
    const text = 'ü'.repeat(20_000)
    expect(await cacheManager.set('secret', { text })).toBe(true)
    expect(await cacheManager.getEntry('secret')).toMatchObject({ value: { text }, source: 'redis' })
    expect(await redisClient.execute('PING')).toBe('PONG')
  }
  const answersFromMemory = async ({ cacheManager, redisClient, isRedisAvailable }: Instance): Promise<Error> => {
    expect(await cacheManager.set('secret', 'kept')).toBe(true)
    expect(await cacheManager.getEntry('secret')).toMatchObject({ value: 'kept', source: 'memory' })
    expect(isRedisAvailable()).toBe(false)
    const { lastError } = redisClient.getConnectionState()
    expect(lastError).toMatchObject({ name: 'HoldfastError' })
    return lastError as Error
  }

  it('works with the authority of the certificate, by rediss:// and by options', async () => {
    await works(open({ url: `rediss://127.0.0.1:${tlsPort}`, tls: { caFile } }))
    await works(open({ url: `rediss://localhost:${tlsPort}`, tls: { caFile } }))
    await works(open({ host: '127.0.0.1', port: tlsPort, tls: { caFile } }))
    await works(open({ host: '127.0.0.1', port: tlsPort, tls: { caFile, serverName: 'redis.test' } }))
  })

  it('works on every connection: large values, and after a reconnect', async () => {
    const holdfast = open({ url: `rediss://127.0.0.1:${tlsPort}`, tls: { caFile } })
    await works(holdfast)
    const large = 'x'.repeat(3_000_000)
    expect(await holdfast.cacheManager.set('large', large)).toBe(true)
    expect((await holdfast.cacheManager.get('large')) === large).toBe(true)
    await holdfast.redisClient.reconnect()
    await waitFor('the connection', () => holdfast.isRedisAvailable())
    await works(holdfast)
  })

  it.each<[string, () => InstanceOptions]>([
    ['without the authority', () => ({ url: `rediss://127.0.0.1:${tlsPort}` })],
    ['with an authority and another name', () => ({ url: `rediss://127.0.0.1:${tlsPort}`, tls: { caFile, serverName: 'other.test' } })],
  ])('%s says that the certificate is not trusted, and memory answers', async (_, options) => {
    const error = await answersFromMemory(open(options()))
    expect(error).toMatchObject({ code: 'E_UNAVAILABLE' })
    expect(`${error.message} ${String(error.cause)}`).toMatch(/certificate/i)
  })

  it('with a file that is not there says so', async () => {
    const missing = join(folder, 'missing.pem')
    const said: unknown = await Promise.resolve()
      .then(() => answersFromMemory(open({ url: `rediss://127.0.0.1:${tlsPort}`, tls: { caFile: missing } })))
      .catch((error: unknown) => error)
    const { code, message, cause } = said as { code: string; message: string; cause?: unknown }
    expect(['E_INVALID', 'E_UNAVAILABLE']).toContain(code)
    expect(`${message} ${String(cause)}`).toContain('missing.pem')
  })

  it('asked of a server without it, or forgotten for one with it, leaves memory to answer', async () => {
    await answersFromMemory(open({ url: `rediss://127.0.0.1:${server.port}`, tls: { caFile } }))
    await answersFromMemory(open({ url: `redis://127.0.0.1:${tlsPort}` }))
  })
})

describe('users and databases', () => {
  let server: RedisServer
  const password = 'p@ss/w:rd?#%'
  beforeAll(async () => {
    server = await RedisServer.start({ password: 'of-the-default-user' })
    using outside = await server.client()
    const rights = ['~tls:*', '&*', '+@all', '-@admin', '-@dangerous', '+info', '+client|id', '+client|setname']
    await outside.call('ACL', 'SETUSER', 'app', 'on', `>${password}`, ...rights)
  })
  afterAll(() => server.dispose())

  const url = (db: number): string => `redis://app:${encodeURIComponent(password)}@127.0.0.1:${server.port}/${db}`

  it('of the ACL work by URL and by options, within what they may do', async () => {
    const byOptions = { host: '127.0.0.1', port: server.port, username: 'app', password }
    for (const options of [{ url: url(0) }, byOptions]) {
      const { cacheManager, redisClient } = open(options)
      expect(await cacheManager.set('allowed', 1)).toBe(true)
      expect(await cacheManager.getEntry('allowed')).toMatchObject({ value: 1, source: 'redis' })
      expect(await redisClient.execute('ACL', 'WHOAMI')).toBe('app')
      const denied: unknown = await redisClient.getClient().call('CONFIG', 'GET', 'dir').catch((error: unknown) => error)
      expect(denied).toMatchObject({ name: 'HoldfastError', applied: 'no' })
      await closeAll()
    }
  })

  it('of the ACL that may not kill connections still come back after an outage', async () => {
    const holdfast = open({ url: url(0) })
    const { cacheManager, fallbackManager } = holdfast
    await cacheManager.set('kept', 'before')
    await server.kill()
    await waitFor('the outage', async () => (await cacheManager.exists('kept'), fallbackManager.getStats().isUsingFallback))
    await cacheManager.set('kept', 'during')
    await server.start()
    using outside = await server.client()
    const rights = ['~tls:*', '&*', '+@all', '-client|kill']
    await outside.call('ACL', 'SETUSER', 'app', 'on', `>${password}`, ...rights)
    await waitFor('the return', () => holdfast.isRedisAvailable() && fallbackManager.getStats().journalDepth === 0)
    expect(await cacheManager.getEntry('kept')).toMatchObject({ value: 'during', source: 'redis' })
  })

  it('that have a wrong password are told apart from a server that is away', async () => {
    const { cacheManager, redisClient } = open({ host: '127.0.0.1', port: server.port, username: 'app', password: 'wrong' })
    expect(await cacheManager.set('a', 1)).toBe(true)
    await expect(redisClient.getClient().call('PING')).rejects.toMatchObject({ code: 'E_AUTH' })
  })

  it('by number keep their keys apart, by URL and by option', async () => {
    await using plain = await RedisServer.start()
    const three = open({ url: `${plain.url}/3` })
    const five = open({ host: '127.0.0.1', port: plain.port, db: 5 })
    await Promise.all([three.cacheManager.set('where', 'three'), five.cacheManager.set('where', 'five')])
    expect(await Promise.all([three.cacheManager.get('where'), five.cacheManager.get('where')])).toEqual(['three', 'five'])
    for (const [db, count] of [
      [0, 0],
      [3, 1],
      [5, 1],
    ] as const) {
      using outside = await plain.client({ db })
      expect(await outside.call('EXISTS', `${keyPrefix}cache:where`), `database ${db}`).toBe(count)
    }
  })
})
