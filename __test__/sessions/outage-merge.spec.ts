// Two instances change one session while one of them, or both, can't reach Redis: what each changed is there afterwards,
// and of one field what was changed last.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { apart } from '../fault/outage'
import { alone, back, dataOf, newUser, Two, type Side } from './outages'

const returns: [string, (two: Two) => [Side, Side]][] = [
  ['the first one comes back first', ({ one, other }) => [one, other]],
  ['the second one comes back first', ({ one, other }) => [other, one]],
]

describe.concurrent('of two of which one is cut off', () => {
  it('different fields that are set and removed stay so', async () => {
    await using two = await Two.start()
    const id = await two.known(newUser(), { a: 1, b: 1, gone: 1, left: 1 })
    await two.one.leave()
    expect(await two.one.sessions.updateSession(id, { a: 2, gone: undefined, mine: [1] })).toBe(true)
    expect(await two.other.sessions.updateSession(id, { b: 2, left: undefined, yours: {} })).toBe(true)
    expect(await dataOf(two.one.sessions, id)).toEqual({ a: 2, b: 1, left: 1, mine: [1] })
    expect(await dataOf(two.other.sessions, id)).toEqual({ a: 1, b: 2, gone: 1, yours: {} })
    await two.one.comeBack()
    expect(await two.seen(id)).toEqual({ a: 2, b: 2, mine: [1], yours: {} })
  })

  it.each([['set', 1], ['removed', undefined]])('a field is as the last of both left it, when that is %s', async (_, last) => {
    await using two = await Two.start()
    const [mine, theirs] = [await two.known(newUser(), { field: 0 }), await two.known(null, { field: 0 })]
    await two.one.leave()
    await two.one.sessions.updateSession(theirs, { field: 'first' })
    await two.other.sessions.updateSession(mine, { field: 'first' })
    await apart()
    expect(await two.one.sessions.updateSession(mine, { field: last })).toBe(true)
    expect(await two.other.sessions.updateSession(theirs, { field: last })).toBe(true)
    await two.one.comeBack()
    const expected = last === undefined ? {} : { field: last }
    expect([await two.seen(mine), await two.seen(theirs)]).toEqual([expected, expected])
  })

  it('what the other one changes by a function of what is there is not undone', async () => {
    await using two = await Two.start()
    const id = await two.known(newUser(), { n: 1, both: 0 })
    await two.one.leave()
    expect(await two.one.sessions.update(id, ({ n }) => ({ n: Number(n) + 1, both: 0, added: 1 }))).toMatchObject({ data: { n: 2, added: 1 } })
    await apart()
    expect(await two.other.sessions.update(id, (data) => ({ ...data, both: 1 }))).toMatchObject({ data: { n: 1, both: 1 } })
    await two.one.comeBack()
    expect(await two.seen(id)).toEqual({ n: 2, both: 1, added: 1 })
  })

  it('a change by a function that began alone and ends online is made of what is there then', async () => {
    await using two = await Two.start()
    const id = await two.known(newUser(), { n: 1 })
    await two.one.leave()
    // As many changes as both have made when it is back.
    for (const value of [1, 2]) expect(await two.one.sessions.updateSession(id, { alone: value })).toBe(true)
    expect(await two.other.sessions.update(id, ({ n }) => ({ n: Number(n) + 1 }))).toMatchObject({ data: { n: 2 } })
    let calls = 0
    await two.one.sessions.update(id, async (data) => {
      if (calls++ === 0) await two.one.comeBack()
      return { ...data, n: Number(data['n']) + 1 }
    })
    expect(await two.seen(id)).toEqual({ n: 3, alone: 2 })
  })

  it('the version never goes back', async () => {
    await using two = await Two.start()
    const id = await two.known(null)
    await two.one.leave()
    for (const n of range(5)) await two.one.sessions.updateSession(id, { n })
    const during = (await two.one.sessions.getSession(id))!.version
    await two.one.comeBack()
    expect((await two.one.sessions.getSession(id))!.version).toBeGreaterThanOrEqual(during)
  })

  it('a session that the other one uses does not end while the first one does not', async () => {
    await using two = await Two.start({ ttl: 600, touchAfter: 0 })
    const id = await two.known(null)
    await two.one.leave()
    await apart(500)
    const used = Date.now()
    await two.other.sessions.getSession(id)
    await two.one.sessions.updateSession(id, { a: 1 })
    await two.one.comeBack()
    const { expiresAt } = (await two.judge.getSession(id, { sliding: false }))!
    expect(Math.abs(expiresAt - used - 600_000)).toBeLessThan(300)
  })
})

describe.concurrent('a session that gets a new id', () => {
  it('online has what another one changed of it while it was cut off', async () => {
    await using two = await Two.start()
    const id = await two.known(newUser(), { a: 1 })
    await two.one.leave()
    expect(await two.one.sessions.updateSession(id, { early: 1 })).toBe(true)
    await apart()
    const next = await two.other.sessions.rotate(id)
    await apart()
    expect(await two.one.sessions.updateSession(id, { late: 1 })).toBe(true)
    await two.one.comeBack()
    expect(await two.seen(next!)).toEqual({ a: 1, early: 1, late: 1 })
  })

  it('by one who is cut off has what another one changed of it online', async () => {
    await using two = await Two.start()
    const id = await two.known(newUser(), { a: 1 })
    await two.one.leave()
    expect(await two.other.sessions.updateSession(id, { early: 1 })).toBe(true)
    await apart()
    const next = await two.one.sessions.rotate(id)
    await apart()
    expect(await two.other.sessions.updateSession(id, { late: 1 })).toBe(true)
    await two.one.comeBack()
    expect(await two.seen(next!)).toEqual({ a: 1, early: 1, late: 1 })
  })

  it('by one who is cut off is led to from the old one for a moment still', async () => {
    await using two = await Two.start({ rotationGrace: '10m' })
    const id = await two.known(newUser(), { a: 1 })
    await two.one.leave()
    const next = await two.one.sessions.rotate(id)
    await two.one.comeBack()
    expect([await two.seen(next!), await two.seen(id)]).toEqual([{ a: 1 }, { a: 1 }])
  })
})

describe.concurrent.each(returns)('of two that are cut off, when %s,', (_, order) => {
  it('different fields that are set and removed stay so', async () => {
    await using two = await Two.start()
    const [id, guest] = [await two.known(newUser(), { a: 1, b: 1, gone: 1, left: 1 }), await two.known(null, {})]
    await Promise.all(two.sides.map((side) => side.leave()))
    for (const n of range(20)) {
      expect(await two.one.sessions.updateSession(guest, { [`one ${n}`]: n })).toBe(true)
      expect(await two.other.sessions.updateSession(guest, { [`other ${n}`]: n })).toBe(true)
    }
    expect(await two.one.sessions.updateSession(id, { a: 2, gone: undefined })).toBe(true)
    expect(await two.other.sessions.updateSession(id, { b: 2, left: undefined })).toBe(true)
    for (const side of order(two)) await side.comeBack()
    expect(await two.seen(id)).toEqual({ a: 2, b: 2 })
    expect(await two.seen(guest)).toEqual(Object.fromEntries(range(20).flatMap((n) => [[`one ${n}`, n], [`other ${n}`, n]])))
  })

  it('a field is as the last of both left it', async () => {
    await using two = await Two.start()
    const id = await two.known(newUser(), { one: 0, other: 0, removed: 0, again: 0 })
    await Promise.all(two.sides.map((side) => side.leave()))
    await two.one.sessions.updateSession(id, { other: 1, again: undefined, removed: 1 })
    await two.other.sessions.updateSession(id, { one: 1 })
    await apart()
    await two.one.sessions.updateSession(id, { one: 'last' })
    await two.other.sessions.updateSession(id, { other: 'last', again: 'last', removed: undefined })
    for (const side of order(two)) await side.comeBack()
    expect(await two.seen(id)).toEqual({ one: 'last', other: 'last', again: 'last' })
  })

  it('each one begins sessions of one user, and all are there', async () => {
    await using two = await Two.start({ degradedLogins: true })
    const user = newUser()
    await two.known(user, { known: 1 })
    await Promise.all(two.sides.map((side) => side.leave()))
    const began = await Promise.all(two.sides.flatMap(({ sessions }, side) => range(5).map((n) => sessions.createSession(user, { side, n }))))
    for (const side of order(two)) await side.comeBack()
    for (const [n, id] of began.entries()) expect(await two.seen(id)).toEqual({ side: Math.floor(n / 5), n: n % 5 })
    expect(await two.judge.getUserSessions(user)).toHaveLength(11)
  })

  it('both change it over a kill -9 of the server', async () => {
    await using two = await Two.start({}, {}, { persistent: true })
    const id = await two.known(newUser(), { a: 1 })
    await two.server.kill()
    await Promise.all(two.sides.map(({ holdfast }) => alone(holdfast)))
    const [first, second] = order(two)
    await first.sessions.updateSession(id, { first: 1, both: 'first' })
    await apart()
    await second.sessions.updateSession(id, { second: 1, both: 'second' })
    await two.server.start()
    await Promise.all(two.sides.map(({ holdfast }) => back(holdfast)))
    expect(await two.seen(id)).toEqual({ a: 1, first: 1, second: 1, both: 'second' })
  })
})
