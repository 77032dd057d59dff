// What sessions are set up by: options, and the environment of a process.
import { randomUUID } from 'node:crypto'
import { describe, expect, inject, it } from 'vitest'
import { clean, run } from '../boundary/child'
import { onStore, stores } from '../cache/stores'
import { RespClient } from '../support/resp-client'
import { HOUR_MS, managerOf, opening } from './sessions'

const script = new URL('children/settings.mjs', import.meta.url).pathname
const day = 86_400_000

interface Said {
  lifeMs: number
  handle: string
  cookie: string
  name: string
  warnings: { name: string; code: string; message: string }[]
  error?: { name: string; code: string; path: string; message: string }
}

async function said(env: Record<string, string>, options?: object): Promise<Said> {
  const { stdout, ...ending } = await run(script, { env: { REDIS_URL: 'memory:', ...env }, node: ['--no-warnings'], args: options === undefined ? [] : [JSON.stringify(options)] })
  expect(ending).toEqual(clean)
  return JSON.parse(stdout) as Said
}

// Side by side: most of it is the start of processes.
describe.concurrent('the environment', () => {
  it.each<[string, Record<string, string>, object | undefined, number]>([
    ['nothing', {}, undefined, day],
    ['REDIS_SESSION_TTL=600', { REDIS_SESSION_TTL: '600' }, undefined, 600_000],
    ['REDIS_SESSION_TTL=2h', { REDIS_SESSION_TTL: '2h' }, undefined, 2 * HOUR_MS],
    ['an empty REDIS_SESSION_TTL', { REDIS_SESSION_TTL: '' }, undefined, day],
    ['REDIS_SESSION_TTL and another ttl of the options', { REDIS_SESSION_TTL: '600' }, { ttl: 60 }, 60_000],
    ['REDIS_SESSION_TTL and options without a ttl', { REDIS_SESSION_TTL: '600' }, {}, 600_000],
  ])('says how long sessions live: %s', async (_, env, options, ms) => {
    const { lifeMs } = await said(env, options)
    expect(Math.abs(lifeMs - ms)).toBeLessThan(20_000)
  })

  it.each<[string, Record<string, string>, object | undefined, string]>([
    ['nothing', {}, undefined, 'session:'],
    ['REDIS_SESSION_PREFIX=app-session:', { REDIS_SESSION_PREFIX: 'app-session:' }, undefined, 'app-session:'],
    ['REDIS_SESSION_PREFIX=app-session', { REDIS_SESSION_PREFIX: 'app-session' }, undefined, 'app-session:'],
    ['an empty REDIS_SESSION_PREFIX', { REDIS_SESSION_PREFIX: '' }, undefined, 'session:'],
    ['REDIS_SESSION_PREFIX and another prefix of the options', { REDIS_SESSION_PREFIX: 'app-session:' }, { prefix: 'own:' }, 'own:'],
  ])('says what keys begin with: %s', async (_, env, options, prefix) => {
    const keyPrefix = `settings:${randomUUID()}:`
    const port = inject('redisPort')
    const { handle } = await said({ REDIS_URL: `redis://127.0.0.1:${port}`, REDIS_KEY_PREFIX: keyPrefix, ...env }, options)
    using outside = await RespClient.connect({ port })
    const names = (await outside.call('KEYS', `${keyPrefix}*`)) as string[]
    const name = names.find((each) => each.endsWith(handle)) ?? ''
    expect(name.startsWith(`${keyPrefix}${prefix}{`)).toBe(true)
    if (options === undefined) for (const each of names) expect(each.slice(keyPrefix.length)).toMatch(new RegExp(`^(${prefix.slice(0, -1)}(_user|_all)?:\\{\\d\\d\\}|h):`))
  })

  it.each<[string, string]>([['REDIS_SESSION_TTL', 'soon'], ['REDIS_SESSION_TTL', '-1'], ['REDIS_SESSION_TTL', '1.5h'], ['REDIS_SESSION_PREFIX', ':'], ['REDIS_SESSION_PREFIX', 'h:']])(
    'that is wrong is told by the name of the variable, at the first use: %s=%s',
    async (name, value) => {
      const { error } = await said({ [name]: value })
      expect(error).toMatchObject({ name: 'HoldfastError', code: 'E_INVALID', path: name })
    },
  )

  it('in production gives cookies the prefix __Host- and Secure, without a warning', async () => {
    for (const options of [undefined, {}, { cookie: { name: 'sid' } }]) {
      const { name, cookie, warnings } = await said({ NODE_ENV: 'production' }, options)
      expect(name).toBe(options !== undefined && 'cookie' in options ? '__Host-sid' : '__Host-session')
      expect(cookie.startsWith(`${name}=<id>; Path=/; HttpOnly; SameSite=Lax; Secure`)).toBe(true)
      expect(warnings).toEqual([])
    }
  })

  it.each<[string, Record<string, string>, object | undefined]>([
    ['in development', { NODE_ENV: 'development' }, undefined],
    ['without NODE_ENV', {}, undefined],
    ['in production against what is safe', { NODE_ENV: 'production' }, { cookie: { secure: false } }],
  ])('%s leaves both out, and says so once', async (_, env, options) => {
    const { name, cookie, warnings } = await said(env, options)
    expect(name).toBe('session')
    expect(cookie).not.toContain('Secure')
    expect(warnings).toEqual([{ name: 'HoldfastWarning', code: 'HOLDFAST_INSECURE_COOKIE', message: expect.stringContaining('__Host-') as string }])
  })
})

describe.each(stores)('prefixes on %s', (store) => {
  const { holdfast } = onStore(store)

  it('keep sessions apart, of managers and of calls', async () => {
    const [one, other] = [managerOf(holdfast, { prefix: 'one' }), managerOf(holdfast, { prefix: 'other' })]
    const id = await one.createSession('ann', { of: 'one' })
    expect(await other.getSession(id)).toBeNull()
    expect(await other.updateSession(id, { of: 'other' })).toBe(false)
    expect(await other.deleteSession(id)).toBe(false)
    expect(await other.rotate(id)).toBeNull()
    expect(await other.getUserSessions('ann')).toEqual([])
    expect(await other.invalidateUserSessions('ann')).toBe(0)
    const next = await other.authenticate(id, 'ann')
    expect(await other.getSessionData(next)).toEqual({})
    expect(await one.getSessionData(id)).toEqual({ of: 'one' })
    // By the call.
    expect(await other.getSession(id, { prefix: 'one' })).toMatchObject({ data: { of: 'one' } })
    expect(await other.getSession(id, { prefix: 'one:' })).toMatchObject({ data: { of: 'one' } })
    expect(await other.updateSession(id, { more: true }, { prefix: 'one' })).toBe(true)
    expect((await other.update(id, (data) => ({ ...data, most: true }), { prefix: 'one' }))?.data).toEqual({ of: 'one', more: true, most: true })
    expect(await other.rotate(next, { prefix: 'one' })).toBeNull()
    const rotated = (await other.rotate(id, { prefix: 'one' }))!
    expect(await opening(one, [rotated])).toEqual([true])
    expect(await other.deleteSession(rotated, { prefix: 'one' })).toBe(true)
    expect(await opening(one, [id, rotated])).toEqual([false, false])
    expect(await other.getSessionData(next)).toEqual({})
  })

  it('may be any text, and none is taken for another', async () => {
    const prefixes = ['a', 'a_user', 'a_all', 'a:b', 'a:', 'A', '{a}', '{', '}', '{00}', 'a:{00}', '%', '%25', '*', '?', ' ', 'ä', '日本', '__proto__', 'cache', 'session']
    const made = await Promise.all(prefixes.map(async (prefix) => {
      const manager = managerOf(holdfast, { prefix: prefix.endsWith(':') ? `${prefix}:` : prefix })
      return { manager, id: await manager.createSession(`user of ${prefix}`, { prefix }) }
    }))
    for (const { manager, id } of made) {
      const looks = await opening(manager, made.map((each) => each.id))
      expect(looks.map((is, at) => (is ? made[at]!.id : null)).filter(Boolean)).toEqual([id])
      expect(await manager.getStats()).toMatchObject({ totalSessions: 1 })
    }
    await made[0]!.manager.clearAllSessions()
    const left = await Promise.all(made.map(({ manager, id }) => manager.sessionExists(id)))
    expect(left).toEqual(made.map((_, at) => at !== 0))
  })
})
