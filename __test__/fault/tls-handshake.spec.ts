// TLS handshakes that fail or never end: each dial is bounded, memory answers meanwhile, and the instance
// heals when the certificate is renewed or the handshake goes on. tls.spec.ts has the wrong authority and
// the wrong name.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { opener, type Instance, type InstanceOptions } from '../cache/stores'
import { makeCertificates, type Certificates } from '../support/certificates'
import { FaultProxy } from '../support/fault-proxy'
import { freePort } from '../support/ports'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'))
let certificates: Certificates
beforeAll(() => void (certificates = makeCertificates(folder)))
afterAll(() => rmSync(folder, { recursive: true }))

interface Handshakes extends AsyncDisposable {
  server: RedisServer
  proxy: FaultProxy
  holdfast: Instance
}

/** A server with TLS, a proxy before it and an instance that speaks TLS with the proxy. */
async function start(cert: string, options: InstanceOptions = {}): Promise<Handshakes> {
  const port = await freePort()
  const files = ['--tls-cert-file', cert, '--tls-key-file', certificates.key, '--tls-ca-cert-file', certificates.ca]
  const server = await RedisServer.start({ args: ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files] })
  const proxy = await FaultProxy.start({ port })
  const tls = { caFile: certificates.ca }
  const { open, closeAll } = opener({ host: proxy.host, port: proxy.port, tls, ...options })
  const dispose = async (): Promise<void> => {
    await proxy.close()
    await closeAll()
    await server.dispose()
  }
  return { server, proxy, holdfast: open(), [Symbol.asyncDispose]: dispose }
}

async function heals({ cacheManager, fallbackManager, isRedisAvailable }: Instance): Promise<void> {
  await waitFor('the healing', () => isRedisAvailable() && fallbackManager.getStats().journalDepth === 0)
  expect(await cacheManager.getEntry('during')).toMatchObject({ value: 1, source: 'redis' })
}

describe('a TLS handshake', () => {
  it('with a certificate that expired is refused with the reason, until it is renewed', async () => {
    await using scene = await start(certificates.expired)
    const { cacheManager, redisClient } = scene.holdfast
    expect(await cacheManager.set('during', 1)).toBe(true)
    expect(await cacheManager.getEntry('during')).toMatchObject({ value: 1, source: 'memory' })
    const { lastError } = redisClient.getConnectionState()
    expect(lastError).toMatchObject({ name: 'HoldfastError', code: 'E_UNAVAILABLE' })
    expect(`${lastError?.message} ${String(lastError?.cause)}`).toMatch(/certificate.*expired/i)
    using outside = await scene.server.client()
    await outside.call('CONFIG', 'SET', 'tls-cert-file', certificates.cert)
    await heals(scene.holdfast)
  })

  it('that expires while connections stand hurts nobody before the next dial, and heals', async () => {
    await using scene = await start(certificates.cert)
    const { cacheManager, fallbackManager } = scene.holdfast
    await cacheManager.set('before', 1)
    using outside = await scene.server.client()
    await outside.call('CONFIG', 'SET', 'tls-cert-file', certificates.expired)
    expect(await cacheManager.getEntry('before')).toMatchObject({ value: 1, source: 'redis' })
    scene.proxy.resetConnections()
    expect(await cacheManager.set('during', 1)).toBe(true)
    await waitFor('the outage', () => fallbackManager.getStats().isUsingFallback)
    expect(await cacheManager.getEntry('during')).toMatchObject({ value: 1, source: 'memory' })
    await outside.call('CONFIG', 'SET', 'tls-cert-file', certificates.cert)
    await heals(scene.holdfast)
  })

  it('that never ends is given up after connectTimeoutMs, and tried again', async () => {
    await using scene = await start(certificates.cert, { connectTimeoutMs: 300 })
    const { cacheManager, redisClient } = scene.holdfast
    await scene.proxy.set('blackhole')
    expect(await cacheManager.set('during', 1)).toBe(true)
    expect(await cacheManager.getEntry('during')).toMatchObject({ value: 1, source: 'memory' })
    await expect(redisClient.getClient().call('PING')).rejects.toMatchObject({ applied: 'no' })
    // Each further dial says that the one before it was given up; nothing of theirs stays open.
    await waitFor('further dials', () => scene.proxy.counts.connections >= 3)
    expect(redisClient.getConnectionState().lastError).toMatchObject({ name: 'HoldfastError' })
    await scene.proxy.set('pass')
    await heals(scene.holdfast)
    await waitFor('one connection for commands and one that tells of changes', () => scene.proxy.counts.open === 2)
  })

  it.each([1, 100, 800])('that stops after %i bytes of the server is given up too', async (bytes) => {
    await using scene = await start(certificates.cert)
    const { cacheManager } = scene.holdfast
    await scene.proxy.set({ cutAfter: bytes })
    expect(await cacheManager.set('during', 1)).toBe(true)
    expect(await cacheManager.getEntry('during')).toMatchObject({ value: 1, source: 'memory' })
    await waitFor('another dial', () => scene.proxy.counts.connections >= 2)
    await scene.proxy.set('pass')
    await heals(scene.holdfast)
  })

  it('in single bytes works, and so does what follows', async () => {
    await using scene = await start(certificates.cert, { silenceMs: 10_000 })
    const { cacheManager, redisClient } = scene.holdfast
    await scene.proxy.set({ slice: 1 })
    expect(await cacheManager.set('during', 'ü'.repeat(100))).toBe(true)
    expect(await redisClient.execute('PING')).toBe('PONG')
    expect(await cacheManager.getEntry('during')).toMatchObject({ value: 'ü'.repeat(100), source: 'redis' })
  })
})
