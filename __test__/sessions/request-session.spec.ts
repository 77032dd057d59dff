// The session of a request: nothing is made before there is something to keep, and the client is told what it must know.
import { describe, expect, it } from 'vitest'
import { asAnother, onStore, stores } from '../cache/stores'
import { headerNames } from '../limits/limiters'
import { found, HOUR, managerOf, NextCookies, opening, requestWith, unknownId, type Manager } from './sessions'

type Opened = Awaited<ReturnType<Manager['openSession']>>

describe.each(stores)('the session of a request on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const options = { prefix: 'requests' }
  const sessions = managerOf(holdfast, options)
  const other = store === 'redis' ? managerOf(open(asAnother), options) : sessions

  const requestOf = (id: string): Request => requestWith(`${sessions.cookies.name}=${id}`)
  const openWith = (id: string | null) => sessions.openSession(id === null ? requestWith() : requestOf(id))
  /** What a client is told. */
  const told = (opened: { commit: (headers: Headers) => Headers }): string[] => opened.commit(new Headers()).getSetCookie()
  const count = (manager: Manager = sessions) => manager.getStats().then(({ totalSessions }) => totalSessions)

  it('is none where a client brings none, and nothing is made of looks', async () => {
    const before = await count()
    for (const request of [requestWith(), requestWith('theme=dark')]) {
      const opened = await sessions.openSession(request)
      expect([opened.session, opened.id, opened.userId, opened.data]).toEqual([null, null, null, {}])
      expect(await opened.update(() => expect.unreachable('there is nothing to change'))).toBe(false)
      expect(await opened.rotate()).toBe(false)
      await opened.set({ a: undefined })
      await opened.set({})
      expect(opened.session).toBeNull()
      expect(headerNames(opened.commit(new Response(null)))).toEqual([])
    }
    expect(await count()).toBe(before)
  })

  it('that is there no more takes the cookie away, but for a guest\'s', async () => {
    for (const id of ['no id', unknownId(), unknownId('u')]) {
      const opened = await sessions.openSession(requestOf(id))
      expect([opened.session, opened.id, opened.userId, opened.data]).toEqual([null, null, null, {}])
      const taken = id.startsWith('g') ? [] : [expect.stringMatching(/=; .*Max-Age=0/)]
      expect(told(opened)).toEqual(taken)
    }
  })

  it('of a guest takes nothing more, and no cookie away, once somebody logged in beside it', async () => {
    const id = await sessions.createSession(null, { cart: 1 })
    const [before, login] = [await openWith(id), await openWith(id)]
    await login.authenticate('ann')
    const after = await openWith(id)
    expect(told(after)).toEqual([])
    const guests = await count()
    const [first, second] = await Promise.allSettled([before.set({ late: true }), before.set({ later: true })])
    for (const { reason } of [first, second] as PromiseRejectedResult[]) expect(reason).toMatchObject({ code: 'E_CONFLICT', applied: 'no' })
    expect(await before.rotate()).toBe(false)
    expect(await before.update((data) => data)).toBe(false)
    await expect(before.set({ late: true })).rejects.toMatchObject({ code: 'E_CONFLICT' })
    expect(told(before)).toEqual([])
    expect(await count()).toBe(guests)
    expect(await other.getSessionData(login.id!)).toEqual({ cart: 1 })
  })

  it.each<[string, (opened: Opened) => Promise<unknown>[], object]>([
    ['rotate and set', (opened) => [opened.rotate(), opened.set({ a: 1 })], { a: 1 }],
    ['set and rotate', (opened) => [opened.set({ a: 1 }), opened.rotate()], { a: 1 }],
    ['rotate and update', (opened) => [opened.rotate(), opened.update((data) => ({ ...data, a: 1 }))], { a: 1 }],
    ['update and authenticate', (opened) => [opened.update((data) => ({ ...data, a: 1 })), opened.authenticate('ann')], { a: 1 }],
  ])('keeps its last id and all that it was given by %s at once', async (_, calls, data) => {
    const id = await sessions.createSession(null, { kept: true })
    const opened = await openWith(id)
    await Promise.all(calls(opened))
    expect(opened.id).not.toBe(id)
    expect(told(opened)).toEqual([sessions.cookies.header(opened.id!)])
    expect(await other.getSessionData(opened.id!)).toEqual({ kept: true, ...data })
  })

  it('refuses at once what its own change by a function would wait for', async () => {
    const opened = await openWith(await sessions.createSession('ann', { n: 0 }))
    const calls: (() => Promise<unknown>)[] = [
      () => opened.update((data) => data),
      () => opened.set({ n: 1 }),
      () => opened.rotate(),
      () => opened.authenticate('bob'),
      () => opened.destroy(),
    ]
    for (const call of calls)
      await expect(opened.update(async (data) => (await call(), data))).rejects.toMatchObject({ code: 'E_INVALID', path: 'change' })
    expect(await opened.update((data) => ({ ...data, n: 2 }))).toBe(true)
    expect(opened.session).toMatchObject({ userId: 'ann', data: { n: 2 } })
  })

  it('is one where several calls at once find none', async () => {
    const before = await count()
    const opened = await openWith(null)
    await Promise.all([opened.set({ a: 1 }), opened.set({ b: 2 }), opened.authenticate('ann'), opened.set({ c: 3 })])
    expect(opened.data).toEqual({ a: 1, b: 2, c: 3 })
    expect(opened.userId).toBe('ann')
    expect(await count()).toBe(before + 1)
    expect(told(opened)).toEqual([sessions.cookies.header(opened.id!)])
  })

  it('is made of a guest when there is something to keep, and the client is told once', async () => {
    const opened = await openWith(null)
    await opened.set({ theme: 'dark' })
    expect(opened.session).toMatchObject({ isGuest: true, data: { theme: 'dark' } })
    expect(opened.data).toEqual({ theme: 'dark' })
    await opened.set({ cart: [1] })
    const { id } = opened
    expect(told(opened)).toEqual([sessions.cookies.header(id!)])
    expect(told(opened)).toEqual([])
    expect(await other.getSessionData(id!)).toEqual({ theme: 'dark', cart: [1] })
  })

  it('is the one that the client brings, who is told nothing new', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    for (const source of [requestOf(id), requestOf(id).headers, new NextCookies({ [sessions.cookies.name]: id })]) {
      const opened = await sessions.openSession<{ a: number }>(source)
      expect([opened.id, opened.userId, opened.data.a]).toEqual([id, 'ann', 1])
      await opened.set({ a: 1 })
      expect(await opened.update(({ a }) => ({ a }))).toBe(true)
      const response = opened.commit(new Response())
      expect(response.headers.getSetCookie()).toEqual([])
      expect(response.headers.has('cache-control')).toBe(false)
    }
  })

  it('shows what was changed, in it and by others', async () => {
    const id = await sessions.createSession('ann', { n: 1, gone: true })
    const opened = await sessions.openSession<{ n: number; gone?: boolean; of?: string }>(requestOf(id))
    await other.updateSession(id, { of: 'others' })
    await opened.set({ n: 2, gone: undefined })
    expect(opened.data).toEqual({ n: 2, of: 'others' })
    expect(await opened.update((data) => ({ ...data, n: data.n + 1 }))).toBe(true)
    expect(opened.data).toEqual({ n: 3, of: 'others' })
    expect(await other.getSessionData(id)).toEqual({ n: 3, of: 'others' })
  })

  it('logs a guest in under another id, with what was kept', async () => {
    const id = await sessions.createSession(null, { cart: [1] })
    const opened = await openWith(id)
    await opened.authenticate('ann', { name: 'Ann' })
    expect(opened.userId).toBe('ann')
    expect(opened.data).toEqual({ cart: [1], name: 'Ann' })
    expect(opened.id).not.toBe(id)
    expect(await opening(other, [id, opened.id!])).toEqual([false, true])
    expect(told(opened)).toEqual([sessions.cookies.header(opened.id!)])
  })

  it('logs in who brings nothing, or what is worth nothing', async () => {
    const ended = await sessions.createSession('ann')
    await sessions.deleteSession(ended)
    for (const before of [null, 'no id', unknownId(), ended]) {
      const opened = await openWith(before)
      await opened.authenticate('bea')
      expect(opened.session).toMatchObject({ userId: 'bea', data: {} })
      expect(opened.id).not.toBe(before)
      expect(told(opened)).toEqual([sessions.cookies.header(opened.id!)])
    }
  })

  it('gives nothing of one user to another', async () => {
    const id = await sessions.createSession('cay', { secret: 'of cay' })
    const opened = await openWith(id)
    await opened.authenticate('dee')
    expect(opened.session).toMatchObject({ userId: 'dee', data: {} })
    expect(opened.data).toEqual({})
    expect(await sessions.sessionExists(id)).toBe(false)
  })

  it('gets another id, of which the client is told', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    const opened = await openWith(id)
    expect(await opened.rotate()).toBe(true)
    expect(opened.id).not.toBe(id)
    expect([opened.userId, opened.data]).toEqual(['ann', { a: 1 }])
    await opened.set({ a: 2 })
    expect(told(opened)).toEqual([sessions.cookies.header(opened.id!)])
    expect(await sessions.getSessionData(id)).toEqual({ a: 2 })
  })

  it('tells only of the last id where it got several', async () => {
    const opened = await openWith(null)
    await opened.set({ a: 1 })
    await opened.authenticate('ann')
    await opened.rotate()
    expect(told(opened)).toEqual([sessions.cookies.header(opened.id!)])
    expect(opened.session).toMatchObject({ userId: 'ann', data: { a: 1 } })
  })

  it('is ended for good, and the client forgets it', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    const opened = await openWith(id)
    await opened.destroy()
    expect([opened.session, opened.id, opened.userId, opened.data]).toEqual([null, null, null, {}])
    expect(await other.sessionExists(id)).toBe(false)
    const headers = opened.commit(new Headers())
    expect(headers.getSetCookie()).toHaveLength(1)
    expect(headers.getSetCookie()[0]).toMatch(/^session=; .*Max-Age=0$/)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(told(opened)).toEqual([])
  })

  it('is forgotten by a client whose session was worth nothing already', async () => {
    for (const before of ['no id', unknownId()]) {
      const opened = await openWith(before)
      await opened.destroy()
      expect(told(opened)[0]).toMatch(/^session=; .*Max-Age=0$/)
    }
    const nobody = await openWith(null)
    await nobody.destroy()
    expect(told(nobody)).toEqual([])
  })

  it('is one that nobody knows of where it was made and ended in one request', async () => {
    const before = await count()
    const opened = await openWith(null)
    await opened.set({ a: 1 })
    await opened.destroy()
    expect(told(opened)).toEqual([])
    expect(await count()).toBe(before)
  })

  it('begins anew after its end', async () => {
    const id = await sessions.createSession('ann', { a: 1 })
    const opened = await openWith(id)
    await opened.destroy()
    await opened.set({ b: 2 })
    expect(opened.session).toMatchObject({ isGuest: true, data: { b: 2 } })
    expect(opened.data).toEqual({ b: 2 })
    expect(told(opened)).toEqual([sessions.cookies.header(opened.id!)])
    expect(await sessions.sessionExists(id)).toBe(false)
  })

  it('that somebody ended meanwhile is not a user\'s any more, whatever is done', async () => {
    const id = await sessions.createSession('ann', { secret: 1 })
    const openeds = [await openWith(id), await openWith(id), await openWith(id)]
    const [first, second, third] = openeds
    await other.deleteSession(id)
    expect(await first!.rotate()).toBe(false)
    expect(await second!.update((data) => ({ ...data, a: 1 }))).toBe(false)
    await expect(third!.set({ a: 1 })).rejects.toMatchObject({ code: 'E_CONFLICT', applied: 'no' })
    for (const opened of openeds) {
      expect([opened.session, opened.id, opened.userId, opened.data]).toEqual([null, null, null, {}])
      expect(told(opened)).toEqual([expect.stringMatching(/^session=; .*Max-Age=0$/)])
    }
    expect(await sessions.sessionExists(id)).toBe(false)
  })

  it('takes options for what it makes', async () => {
    const given = { ttl: 60, ipAddress: '203.0.113.7', userAgent: 'a browser' }
    const guest = await sessions.openSession(requestWith(), given)
    await guest.set({ a: 1 })
    const user = await sessions.openSession(requestWith(), given)
    await user.authenticate('ann')
    for (const { session } of [guest, user]) {
      expect(session).toMatchObject({ ipAddress: '203.0.113.7', userAgent: 'a browser' })
      expect(Math.abs(session!.expiresAt - Date.now() - 60_000)).toBeLessThan(20_000)
    }
  })

  it('looks under the prefix that it was opened with, all along', async () => {
    const prefix = 'others'
    const id = await sessions.createSession('ann', { a: 1 }, { prefix })
    expect((await openWith(id)).session).toBeNull()
    const opened = await sessions.openSession(requestOf(id), { prefix })
    await opened.set({ b: 2 })
    await opened.update((data) => ({ ...data, c: 3 }))
    expect(await opened.rotate()).toBe(true)
    await opened.authenticate('ann', { d: 4 })
    expect(opened.data).toEqual({ a: 1, b: 2, c: 3, d: 4 })
    expect(await sessions.sessionExists(opened.id!)).toBe(false)
    expect(await sessions.sessionExists(opened.id!, { prefix })).toBe(true)
    const last = opened.id!
    await opened.destroy()
    expect(await sessions.sessionExists(last, { prefix })).toBe(false)
  })

  it('is told to the cookie store of Next, and gives back what it was told to', async () => {
    const next = new NextCookies()
    const opened = await sessions.openSession(next)
    await opened.authenticate('ann')
    expect(opened.commit(next)).toBe(next)
    await opened.destroy()
    opened.commit(next)
    const { name } = sessions.cookies
    expect(next.set_.map(([at, , { maxAge, httpOnly, path }]) => [at, Number(maxAge) > 0, httpOnly, path])).toEqual([[name, true, true, '/'], [name, false, true, '/']])
  })

  it('is told with a redirect, which is what follows a login', async () => {
    const opened = await openWith(null)
    await opened.authenticate('ann')
    const response = opened.commit(Response.redirect('https://app.example/'))
    expect([response.status, response.headers.get('location')]).toEqual([302, 'https://app.example/'])
    expect(response.headers.getSetCookie()).toEqual([sessions.cookies.header(opened.id!)])
  })

  it('goes through the requests of a visit', async () => {
    let jar: string | undefined
    const request = async (work: (opened: Awaited<ReturnType<typeof openWith>>) => Promise<void>): Promise<Response> => {
      const opened = await other.openSession(requestWith(jar))
      await work(opened)
      const response = opened.commit(new Response())
      for (const text of response.headers.getSetCookie()) jar = text.includes('Max-Age=0') ? undefined : text.split(';')[0]
      return response
    }
    await request(async () => {})
    expect(jar).toBeUndefined()
    await request((opened) => opened.set({ cart: ['tea'] }))
    const guest = jar
    await request((opened) => opened.update((data) => ({ cart: [...(data['cart'] as string[]), 'milk'] })).then(() => undefined))
    expect(jar).toBe(guest)
    await request((opened) => opened.authenticate('ann'))
    expect(jar).not.toBe(guest)
    await request(async ({ userId, data }) => expect([userId, data]).toEqual(['ann', { cart: ['tea', 'milk'] }]))
    expect((await sessions.openSession(requestWith(guest))).session).toBeNull()
    await request((opened) => opened.rotate().then(() => undefined))
    const user = jar
    await request((opened) => opened.destroy())
    expect(jar).toBeUndefined()
    expect((await sessions.openSession(requestWith(user))).session).toBeNull()
  })

  it('notes its use, where it is sliding', async () => {
    const manager = managerOf(holdfast, { ttl: HOUR, touchAfter: 0 })
    const id = await manager.createSession('ann')
    const { lastAccessedAt } = await found(manager, id)
    await expect.poll(async () => {
      await manager.openSession(requestOf(id))
      return (await found(manager, id)).lastAccessedAt
    }).toBeGreaterThan(lastAccessedAt + 5)
  })
})
