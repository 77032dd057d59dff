// Ids: nobody guesses one, the server never sees one, and whoever brings one along that was not given out gets nothing.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { counters, range, since } from '../boundary/inside'
import { areRefused } from '../cache/loads'
import { onOwnServer, onStore, stores } from '../cache/stores'
import { found, heldBy, managerOf, requestWith, secretOf, unknownId } from './sessions'

const shape = /^[ug][\w-]{22}[\w-]{43}$/

describe.each(stores)('ids on %s', (store) => {
  const { holdfast, open, outside, keyPrefix } = onStore(store)
  const sessions = holdfast.sessionManager
  const watch = open({ url: 'memory:', keyPrefix: 'watch:' })

  it.each([['ann'], [null]])('have a secret of 256 bits that is another one each time: %s', async (user) => {
    const ids = await Promise.all(range(500).map(() => sessions.createSession(user)))
    const secrets = ids.map((id) => Buffer.from(secretOf(id), 'base64url'))
    for (const [at, id] of ids.entries()) {
      expect(id).toMatch(shape)
      expect(id.startsWith(user === null ? 'g' : 'u')).toBe(true)
      expect(secrets[at]).toHaveLength(32)
    }
    expect(new Set(secrets.map((secret) => secret.toString('hex'))).size).toBe(500)
    // Each of the bits is set in about half of them: in 150 to 350 of 500 but once in 10^18 bits.
    for (const bit of range(256)) {
      const count = secrets.filter((secret) => ((secret[bit >> 3]! >> (bit & 7)) & 1) === 1).length
      expect(count).toBeGreaterThan(150)
      expect(count).toBeLessThan(350)
    }
  })

  it('of guests have nothing in common, those of a user tell users apart and do not name them', async () => {
    const partsOf = async (user: string | null) => (await Promise.all(range(20).map(() => sessions.createSession(user)))).map((id) => id.slice(0, 23))
    expect(new Set(await partsOf(null)).size).toBe(20)
    const [ann, bea] = [new Set(await partsOf('ann')), new Set(await partsOf('bea'))]
    expect([ann.size, bea.size, new Set([...ann, ...bea]).size]).toEqual([1, 1, 2])
    expect(Buffer.from([...ann][0]!.slice(1), 'base64url').toString('latin1')).not.toContain('ann')
  })

  const wrong = (id: string, handle: string): string[] => [
    '', ' ', 'id', 'session', id.slice(1), id.slice(0, -1), `${id}a`, ` ${id}`, `${id} `, `${id}\n`, `\n${id}`, `${id}\0`, `"${id}"`, `x${id.slice(1)}`, id.toUpperCase().replace(/^./, 'U'),
    `${id.slice(0, 65)}.`, `${id.slice(0, 65)}%`, `${id.slice(0, 65)}ä`, `${id.slice(0, 65)}:`, `${id.slice(0, 65)}{`, `${id.slice(0, 65)}*`, `${id.slice(0, 64)}😀`, `${id.slice(0, 65)}\ud800`, 'u'.repeat(10_000), handle,
    '../'.repeat(22), '*'.repeat(66), '__proto__', 'constructor', 'toString', '0', 'null', 'undefined', createHash('sha256').update(id).digest('hex'),
  ]

  it('that have not their shape are answered at once, and nothing crosses for them', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    const { handle } = await found(sessions, id)
    const all = wrong(id, handle)
    // In upper case it has the shape of an id, and is nobody's.
    const before = counters(watch)
    for (const each of all.filter((text) => !shape.test(text))) {
      const name = JSON.stringify(each.slice(0, 80))
      expect(await sessions.getSession(each), name).toBeNull()
      expect(await sessions.getSessionData(each), name).toBeNull()
      expect(await sessions.sessionExists(each), name).toBe(false)
      expect(await sessions.updateSession(each, { a: 2 }), name).toBe(false)
      expect(await sessions.updateSession(each, {}, { ttl: 5 }), name).toBe(false)
      expect(await sessions.setSessionData(each, 'a', 2), name).toBe(false)
      expect(await sessions.update(each, () => expect.unreachable('it was called')), name).toBeNull()
      expect(await sessions.deleteSession(each), name).toBe(false)
      expect(await sessions.rotate(each), name).toBeNull()
      expect(await sessions.revokeOthers(each), name).toBe(0)
      if (each !== handle) expect(await sessions.revoke(each), name).toBe(false)
      const { GuestSessionManager } = holdfast
      expect(await GuestSessionManager.getGuestSession(each), name).toBeNull()
      expect(await GuestSessionManager.updateGuestSession(each, { a: 2 }), name).toBe(false)
      expect(await GuestSessionManager.convertToAuthenticatedSession(each, 'ann'), name).toBeNull()
      if (!/[^\x20-\x7e]/.test(each)) {
        const opened = await sessions.openSession(requestWith(`${sessions.cookies.name}=${each}`))
        // A Cookie header has no place for spaces around a value.
        if (each.trim() === each) expect(opened.session, name).toBeNull()
      }
    }
    const { operations } = since(before, watch)
    // Those whose spaces the header takes away are ids.
    expect(operations).toBe(all.filter((text) => !/[^\x20-\x7e]/.test(text) && text.trim() !== text && shape.test(text.trim())).length)
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1 }, version: 1 })
  })

  it('that are no text are refused by their path', async () => {
    const values = [undefined, null, 5, {}, [], true, Symbol('id'), 5n]
    await areRefused('sessionId', values, (id) => sessions.getSession(id))
    await areRefused('sessionId', values, (id) => sessions.updateSession(id, {}))
    await areRefused('sessionId', values, (id) => sessions.deleteSession(id))
    await areRefused('sessionId', values.slice(2), (id) => sessions.authenticate(id, 'ann'))
    await areRefused('handle', values, (id) => sessions.revoke(id))
  })

  it('that nobody was given are never adopted', async () => {
    const guest = await sessions.createSession(null, { a: 1 })
    const end = guest.at(-1) === 'A' ? 'E' : 'A'
    for (const id of [unknownId('u'), unknownId('g'), `${guest.slice(0, -1)}${end}`, `u${guest.slice(1)}`, guest.slice(0, 23) + secretOf(unknownId())]) {
      expect(await sessions.getSession(id)).toBeNull()
      expect(await sessions.updateSession(id, { a: 2 })).toBe(false)
      const opened = await sessions.openSession(requestWith(`${sessions.cookies.name}=${id}`))
      await opened.set({ mine: true })
      expect(opened.id).not.toBe(id)
      const next = await sessions.authenticate(id, 'ann')
      expect(next).not.toBe(id)
      expect(await sessions.sessionExists(id)).toBe(false)
    }
    expect((await found(sessions, guest)).data).toEqual({ a: 1 })
  })

  if (store === 'redis') it('that nobody was given leave nothing on the server, whatever is asked of them but an end', async () => {
    const manager = managerOf(holdfast, { prefix: 'nothing' })
    for (const id of [unknownId('u'), unknownId('g')]) {
      await manager.getSession(id)
      await manager.updateSession(id, { a: 1 }, { ttl: 60 })
      await manager.update(id, () => ({ a: 1 }))
      await manager.rotate(id)
      await manager.revokeOthers(id)
      await manager.sessionExists(id)
    }
    expect(await heldBy(outside(), `${keyPrefix}nothing`)).toBe('[[],[]]')
  })

  it('do not stand in errors', async () => {
    const id = await sessions.createSession('ann')
    const calls = [
      () => sessions.updateSession(id, { a: 1n }), () => sessions.update(id, 'no function' as never), () => sessions.getSession(id, { prefix: '' }),
      () => sessions.authenticate(id, ''), () => sessions.rotate(id, { nobody: 1 } as never), () => sessions.getSession([id] as never), () => sessions.revoke({ id } as never),
    ]
    for (const call of calls) {
      const error = await call().then(() => expect.unreachable('it was taken'), (reason: unknown) => reason as Error)
      const { stack = '' } = error
      expect(JSON.stringify([error, error.message, stack])).not.toContain(secretOf(id))
    }
  })
})

describe('the server', () => {
  const { open, outside } = onOwnServer()

  it('never sees the secret of an id: in no name, no member, no value, and no command', async () => {
    await outside().pipeline([['CONFIG', 'SET', 'slowlog-log-slower-than', 0], ['CONFIG', 'SET', 'slowlog-max-len', 1_000_000]])
    const holdfast = open({ keyPrefix: 'rest:' })
    const manager = managerOf(holdfast, { touchAfter: 0, prefix: 'rest' })
    const ids: string[] = []
    const kept = async (id: Promise<string | null>): Promise<string> => {
      ids.push((await id)!)
      return ids.at(-1)!
    }
    const guest = await kept(manager.createSession(null, { a: 1 }))
    const user = await kept(manager.createSession('ann', { a: 1 }, { ipAddress: '203.0.113.7' }))
    const other = await kept(manager.createSession('ann'))
    await manager.getSession(guest)
    await manager.updateSession(user, { b: 1 }, { ttl: 60 })
    await manager.update(user, () => ({ c: 1 }))
    const rotated = await kept(manager.rotate(user))
    await manager.getSession(user)
    await kept(manager.authenticate(guest, 'ann'))
    await kept(manager.rotate(rotated))
    await manager.getUserSessions('ann')
    await manager.revokeOthers(other)
    const ended = await kept(manager.createSession('bea'))
    await manager.deleteSession(ended)
    await kept(manager.authenticate(await kept(manager.createSession('bea')), 'cay'))
    await kept(holdfast.GuestSessionManager.createGuestSession())
    await manager.invalidateUserSessions('cay')
    expect(new Set(ids).size).toBe(ids.length)

    const log = JSON.stringify(await outside().call('SLOWLOG', 'GET', -1))
    const held = await heldBy(outside(), 'rest:')
    expect(log).toContain('rest:')
    for (const id of ids) {
      for (const text of [log, held]) expect(text).not.toContain(secretOf(id))
      // It knows the hash.
      expect(log).toContain(createHash('sha256').update(id).digest('base64url'))
    }
  })

  it('is asked nothing where an id has not its shape', async () => {
    const holdfast = open({ keyPrefix: 'shape:' })
    const manager = managerOf(holdfast)
    await manager.createSession()
    const calls = async () => {
      const text = String(await outside().call('INFO', 'commandstats'))
      return [...text.matchAll(/cmdstat_(hgetall|get|evalsha|eval|zrange|zrem|unlink):calls=(\d+)/g)].map(([, name, count]) => `${name} ${count}`).join()
    }
    const before = await calls()
    for (const id of ['', 'id', 'x'.repeat(66), `${unknownId()}a`]) {
      await Promise.all([manager.getSession(id), manager.deleteSession(id), manager.updateSession(id, { a: 1 }), manager.revoke(id), manager.rotate(id)])
    }
    expect(await calls()).toBe(before)
  })
})
