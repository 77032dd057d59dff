// What is no option, no user, no data and no request is refused with the path of what is wrong, and changes nothing.
import { describe, expect, it } from 'vitest'
import { areRefused, wrongDurations, wrongSwitches } from '../cache/loads'
import { onStore, stores } from '../cache/stores'
import { found, managerOf, requestWith } from './sessions'

const wrongTtls = wrongDurations
const wrongPrefixes = ['', ':', 'h', 'h:', 'h:a', '\u001e', '\u001f', '\ud800', 'p'.repeat(513), 5, null, {}, true]
const wrongUsers = ['', 5, 0, {}, [], true, '\ud800', 'u'.repeat(513), Symbol('ann'), 5n]
const wrongData = [null, 5, 'text', [], [1], true, Symbol('data')]
const wrongOptions = [null, 5, 'text', [], true]
const wrongTexts = [5, {}, [], true, '\ud800']
const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value)).slice(0, 20)

describe('options of a session manager', () => {
  const { holdfast } = onStore('memory')
  const create = (options: object) => holdfast.createSessionManager(options as never)

  const wrong: [path: string, values: readonly unknown[], options: (value: unknown) => object][] = [
    ['options.ttl', wrongTtls.filter((value) => value !== null), (ttl) => ({ ttl })],
    ['options.absoluteTtl', wrongTtls, (absoluteTtl) => ({ absoluteTtl })],
    ['options.touchAfter', wrongTtls, (touchAfter) => ({ touchAfter })],
    ['options.rotationGrace', wrongTtls, (rotationGrace) => ({ rotationGrace })],
    ['options.maxDegradedSession', wrongTtls, (maxDegradedSession) => ({ maxDegradedSession })],
    ['options.sliding', wrongSwitches, (sliding) => ({ sliding })],
    ['options.degradedLogins', wrongSwitches, (degradedLogins) => ({ degradedLogins })],
    ['options.prefix', wrongPrefixes.filter((value) => value !== null), (prefix) => ({ prefix })],
    ['options.maxGuests', [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', null, {}, true, 5n], (maxGuests) => ({ maxGuests })],
    ['options.onUnavailable', ['', 'memory', 'toString', 'constructor', '__proto__', 5, {}], (onUnavailable) => ({ onUnavailable })],
    ['options.cookie', [5, 'text', [], true], (cookie) => ({ cookie })],
    ['options.cookie.name', ['', ' ', 'a b', 'a=b', 'a;b', 'a,b', 'a"b', 'ä', 'a\n', '__Host-a', '__host-a', '__Secure-a', 'n'.repeat(65), 5, {}], (name) => ({ cookie: { name } })],
    ['options.cookie.secure', wrongSwitches, (secure) => ({ cookie: { secure } })],
    ['options.cookie.sameSite', ['', 'none', 'Lax', 'toString', 5, {}, true], (sameSite) => ({ cookie: { sameSite } })],
    ['options.cookie.untilClosed', wrongSwitches, (untilClosed) => ({ cookie: { untilClosed } })],
    ['options.cookie.domain', ['app.example'], (domain) => ({ cookie: { domain } })],
    ['options.cookie.httpOnly', [false], (httpOnly) => ({ cookie: { httpOnly } })],
    ['options.nobody', [1], (nobody) => ({ nobody })],
    ['options.toString', [1], (value) => ({ toString: value })],
  ]
  it.each(wrong.map(([path, values, options]) => [path, values.map(shown).join(', '), values, options] as const))('are refused by the path %s: %s', async (path, _, values, options) => {
    await areRefused(path, values, (value) => create(options(value)))
  })

  it('must be an object', async () => {
    await areRefused('options', wrongOptions, (options) => create(options))
  })

  it('may say undefined, which means the default', () => {
    const names = ['ttl', 'absoluteTtl', 'sliding', 'touchAfter', 'prefix', 'maxGuests', 'rotationGrace', 'onUnavailable', 'degradedLogins', 'maxDegradedSession', 'cookie']
    expect(() => create(Object.fromEntries(names.map((name) => [name, undefined])))).not.toThrow()
    expect(() => create({ cookie: { name: undefined, secure: undefined, sameSite: undefined, untilClosed: undefined } })).not.toThrow()
  })
})

describe.each(stores)('bad input of sessions on %s', (store) => {
  const { holdfast } = onStore(store)
  const sessions = managerOf(holdfast, { prefix: 'bad' })
  const { GuestSessionManager: guests } = holdfast

  it('is refused as a user', async () => {
    const id = await sessions.createSession()
    const guest = await guests.createGuestSession()
    await areRefused('userId', wrongUsers, (user) => sessions.createSession(user))
    const required = [...wrongUsers, null, undefined]
    await areRefused('userId', required, (user) => sessions.authenticate(id, user))
    await areRefused('userId', required, (user) => sessions.authenticate(null, user))
    await areRefused('userId', required, (user) => sessions.getUserSessions(user))
    await areRefused('userId', required, (user) => sessions.invalidateUserSessions(user))
    await areRefused('userId', required, (user) => guests.convertToAuthenticatedSession(guest, user))
    expect(await found(sessions, id)).toMatchObject({ isGuest: true, version: 1 })
    expect(await guests.getGuestSession(guest)).not.toBeNull()
  })

  it('is refused as data', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    await areRefused('initialData', wrongData, (data) => sessions.createSession('ann', data))
    await areRefused('data', [...wrongData, undefined], (data) => sessions.updateSession(id, data))
    await areRefused('data', wrongData, (data) => sessions.authenticate(id, 'ann', data))
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1 }, version: 1 })
  })

  it('is refused as data of a guest', async () => {
    const guest = await guests.createGuestSession({ a: 1 })
    await areRefused('data', [...wrongData, undefined], (data) => guests.updateGuestSession(guest, data))
    await areRefused('initialData', wrongData, (data) => guests.createGuestSession(data))
    expect((await guests.getGuestSession(guest))?.data).toEqual({ type: 'guest', a: 1 })
  })

  it('is refused as a guest\'s ttl, by the name that it has there', async () => {
    await areRefused('ttl', wrongTtls, (ttl) => guests.createGuestSession({}, ttl))
  })

  it('is refused as the name of a field', async () => {
    const id = await sessions.createSession('ann')
    await areRefused('key', ['', 5, null, undefined, {}, Symbol('key')], (key) => sessions.setSessionData(id, key, 1))
    expect((await found(sessions, id)).data).toEqual({})
  })

  it('is refused as options', async () => {
    const id = await sessions.createSession('ann')
    const all: [string, (options: never) => unknown][] = [
      ['createSession', (options) => sessions.createSession('ann', {}, options)],
      ['getSession', (options) => sessions.getSession(id, options)],
      ['updateSession', (options) => sessions.updateSession(id, { a: 1 }, options)],
      ['update', (options) => sessions.update(id, () => ({ a: 1 }), options)],
      ['deleteSession', (options) => sessions.deleteSession(id, options)],
      ['revoke', (options) => sessions.revoke(id, options)],
      ['sessionExists', (options) => sessions.sessionExists(id, options)],
      ['rotate', (options) => sessions.rotate(id, options)],
      ['authenticate', (options) => sessions.authenticate(id, 'ann', {}, options)],
      ['getUserSessions', (options) => sessions.getUserSessions('ann', options)],
      ['invalidateUserSessions', (options) => sessions.invalidateUserSessions('ann', options)],
      ['revokeOthers', (options) => sessions.revokeOthers(id, options)],
      ['getStats', (options) => sessions.getStats(options)],
      ['clearAllSessions', (options) => sessions.clearAllSessions(options)],
    ]
    for (const [, call] of all) {
      await areRefused('options', wrongOptions, (options) => call(options as never))
      await areRefused('options.nobody', [1], (nobody) => call({ nobody } as never))
      await areRefused('options.prefix', wrongPrefixes, (prefix) => call({ prefix } as never))
      await areRefused('options.sliding', wrongSwitches, (sliding) => call({ sliding } as never))
      await areRefused('options.ipAddress', wrongTexts, (ipAddress) => call({ ipAddress } as never))
      await areRefused('options.userAgent', wrongTexts, (userAgent) => call({ userAgent } as never))
    }
    expect(await found(sessions, id)).toMatchObject({ data: {}, version: 1 })
  })

  it('is refused as a length of time by every call that takes one', async () => {
    const id = await sessions.createSession('ann')
    await areRefused('options.ttl', wrongTtls, (ttl) => sessions.createSession('ann', {}, { ttl }))
    await areRefused('options.ttl', wrongTtls, (ttl) => sessions.updateSession(id, {}, { ttl }))
    await areRefused('options.ttl', wrongTtls, (ttl) => sessions.authenticate(null, 'ann', {}, { ttl }))
    await areRefused('options.absoluteTtl', wrongTtls, (absoluteTtl) => sessions.createSession('ann', {}, { absoluteTtl }))
    await areRefused('options.absoluteTtl', wrongTtls, (absoluteTtl) => sessions.authenticate(null, 'ann', {}, { absoluteTtl }))
  })

  it('is refused as a length of time by calls that make no use of it, too', async () => {
    const id = await sessions.createSession('ann')
    await areRefused('options.ttl', wrongTtls, (ttl) => sessions.getSession(id, { ttl }))
    await areRefused('options.ttl', wrongTtls, (ttl) => sessions.update(id, () => ({ a: 1 }), { ttl }))
    await areRefused('options.absoluteTtl', wrongTtls, (absoluteTtl) => sessions.updateSession(id, {}, { absoluteTtl }))
  })

  it('is refused as a request', async () => {
    const path = expect.any(String) as string
    const promised = Promise.resolve(new Map())
    for (const source of [null, undefined, 5, 'cookie', [], promised, { headers: promised }, { headers: 5 }, { headers: null }, { cookies: {} }]) {
      const outcome = await Promise.resolve().then(() => sessions.openSession(source as never)).then(() => 'it was taken', (error: unknown) => error)
      expect(outcome, shown(source)).toMatchObject({ name: 'HoldfastError', code: 'E_INVALID', path })
    }
  })

  it('is refused as what a client is told by', async () => {
    const opened = await sessions.openSession(requestWith())
    await opened.set({ a: 1 })
    const wrong = [null, undefined, 5, 'response', {}, { headers: null }, { headers: {} }, { get: () => undefined }]
    await areRefused('target', wrong, async (target) => opened.commit(target as never))
    await areRefused('target', wrong, async (target) => sessions.cookies.clear(target as never))
    expect(opened.commit(new Headers()).getSetCookie()).toHaveLength(1)
  })

  it('is refused as options and data of a request\'s session', async () => {
    await areRefused('options', wrongOptions, (options) => sessions.openSession(requestWith('session=a'), options))
    await areRefused('options', wrongOptions, (options) => sessions.openSession(requestWith(), options))
    const opened = await sessions.openSession(requestWith())
    await areRefused('userId', wrongUsers, (user) => opened.authenticate(user))
    await areRefused('data.a', [1n], (a) => opened.set({ a }))
    await areRefused('data', [null, undefined, 5, 'text', []], (data) => opened.set(data as never))
    await areRefused('change', [undefined, null, 5, {}], (change) => opened.update(change as never))
    expect([opened.session, opened.id]).toEqual([null, null])
  })

  it('is refused as an id or a time that a cookie is to carry', async () => {
    const wrong = [null, undefined, 5, '', 'x; Domain=example.com', 'x\r\nset-cookie: a=b', 'ä']
    const headers = new Headers()
    await areRefused('sessionId', wrong, async (id) => sessions.cookies.set(headers, id as never))
    await areRefused('sessionId', wrong, async (id) => sessions.cookies.header(id as never))
    await areRefused('lastsMs', [Number.NaN, -1, '5', null], async (ms) => sessions.cookies.set(headers, 'id', ms as never))
    expect(headers.getSetCookie()).toEqual([])
    sessions.cookies.set(headers, 'id', Number.POSITIVE_INFINITY)
    expect(headers.getSetCookie()[0]).toContain(`Max-Age=${400 * 86_400}`)
  })
})
