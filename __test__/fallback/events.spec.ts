// The fallback manager tells when Redis goes and comes; a listener that is off hears nothing.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { opener, type Instance } from '../cache/stores'
import { RedisServer } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

describe('fallback events', () => {
  let server: RedisServer
  let holdfast: Instance
  let closeAll: () => Promise<void>
  const heard: string[] = []

  beforeAll(async () => {
    server = await RedisServer.start()
    const made = opener({ url: server.url, keyPrefix: `events:${randomUUID()}:` })
    closeAll = made.closeAll
    holdfast = made.open()
  })
  afterAll(async () => {
    await closeAll()
    await server.dispose()
  })

  it('say connected, then disconnected and activated, then connected again', async () => {
    const { fallbackManager, cacheManager } = holdfast
    const silenced = (): void => void heard.push('silenced')
    fallbackManager.on('redis:connected', () => heard.push('redis:connected'))
    fallbackManager.on('redis:disconnected', () => heard.push('redis:disconnected'))
    fallbackManager.on('fallback:activated', () => heard.push('fallback:activated'))
    fallbackManager.on('redis:connected', silenced)
    fallbackManager.off('redis:connected', silenced)

    await cacheManager.set('a', 1)
    await waitFor('connected', () => heard.includes('redis:connected'))
    expect(heard).toEqual(['redis:connected'])

    await server.kill()
    await waitFor('both', async () => (await cacheManager.get('a'), heard.includes('redis:disconnected') && heard.includes('fallback:activated')))
    expect(heard.filter((event) => event === 'fallback:activated')).toHaveLength(1)
    expect(fallbackManager.getStats().isUsingFallback).toBe(true)

    await server.start()
    await waitFor('connected again', () => heard.filter((event) => event === 'redis:connected').length === 2)
    expect(heard).not.toContain('silenced')
  })

  it('say activated when the fallback is forced', async () => {
    const { fallbackManager } = holdfast
    const before = heard.filter((event) => event === 'fallback:activated').length
    await waitFor('the return', () => !fallbackManager.getStats().isUsingFallback)
    await fallbackManager.forceFallbackMode(true)
    await waitFor('activated', () => heard.filter((event) => event === 'fallback:activated').length > before)
    await fallbackManager.forceFallbackMode(false)
    await waitFor('the end', () => !fallbackManager.getStats().isUsingFallback)
    expect(heard.filter((event) => event === 'fallback:activated')).toHaveLength(before + 1)
  })

  it('survive a listener that throws, which becomes a warning', async () => {
    const { fallbackManager, cacheManager } = holdfast
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    let told = 0
    fallbackManager.on('fallback:activated', () => {
      throw new Error('a listener of the app')
    })
    fallbackManager.on('fallback:activated', () => void (told += 1))
    await fallbackManager.forceFallbackMode(true)
    await waitFor('the second listener', () => told > 0)
    await waitFor('the warning', () => warnings.some((warning) => warning.message.includes('a listener of the app')))
    process.off('warning', onWarning)
    await fallbackManager.forceFallbackMode(false)
    expect(await cacheManager.set('goes on', 1)).toBe(true)
  })

  it('of the instance name the states by which it went', async () => {
    const changes: string[] = []
    holdfast.on('state-change', (event) => changes.push(`${event.from} -> ${event.to}`))
    await holdfast.fallbackManager.forceFallbackMode(true)
    await waitFor('the change', () => changes.some((change) => /-> forced$/i.test(change)))
    await holdfast.fallbackManager.forceFallbackMode(false)
    await waitFor('the change back', () => changes.some((change) => /-> online$/i.test(change)))
  })
})
