// Each field of a session's data is kept by itself: whatever its name, and whoever changes others meanwhile.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { areRefused } from '../cache/loads'
import { asAnother, onStore, stores } from '../cache/stores'
import { found, unknownId } from './sessions'

const oddNames = [
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'then', 'toJSON', 'length', '0', '-1', '01', '1e3',
  ' ', '  ', '\t', '\n', '\0', '.', '.idle', '.created', ':', ':a', 'a:b', 'v', 'x', 't', 'a.b', 'a[0]', '"', '\\', '\'', '{a}', '%', '*', '?', 'ä', 'a\u0308', '日本', '😀', '\u2028', 'n'.repeat(256),
]
/** An own field, whatever its name. */
const fieldsOf = (names: readonly string[], valueOf: (name: string) => unknown): Record<string, unknown> => Object.fromEntries(names.map((name) => [name, valueOf(name)]))

describe.each(stores)('fields on %s', (store) => {
  const { holdfast, open } = onStore(store)
  const sessions = holdfast.sessionManager
  const others = store === 'redis' ? [sessions, open(asAnother).sessionManager] : [sessions]

  it.each(oddNames)('may have the name %j', async (name) => {
    const id = await sessions.createSession('ann', fieldsOf([name], () => 'made'))
    const looks = async (value: unknown) => {
      const { data } = await found(sessions, id)
      expect(Object.entries(data)).toEqual([[name, value]])
      expect(Object.getPrototypeOf(data)).toBe(Object.prototype)
    }
    await looks('made')
    await sessions.updateSession(id, fieldsOf([name], () => ({ changed: true })))
    await looks({ changed: true })
    await sessions.setSessionData(id, name, 'set')
    await looks('set')
    await sessions.update(id, () => fieldsOf([name], () => 'updated'))
    await looks('updated')
    const next = await sessions.rotate(id)
    expect(Object.entries((await found(sessions, next!)).data)).toEqual([[name, 'updated']])
    await sessions.setSessionData(next!, name, undefined)
    expect(Object.keys((await found(sessions, id)).data)).toEqual([])
  })

  it('of all names at once are told apart, and reach no prototype', async () => {
    const id = await sessions.createSession(null, fieldsOf(oddNames, (name) => `is ${name}`))
    const { data } = await found(sessions, id)
    expect(Object.keys(data).sort()).toEqual([...oddNames].sort())
    for (const name of oddNames) expect(Object.getOwnPropertyDescriptor(data, name)?.value, name).toBe(`is ${name}`)
    expect(({} as Record<string, unknown>)['is']).toBeUndefined()
    const changed = await sessions.update(id, (all) => ({ ...all, one: 'more' }))
    expect(Object.keys(changed?.data ?? {}).sort()).toEqual([...oddNames, 'one'].sort())
  })

  it('that are undefined are removed, and those that are null stay', async () => {
    const id = await sessions.createSession('ann', { a: 1, b: null, c: undefined, d: { e: undefined, f: null } })
    expect((await found(sessions, id)).data).toEqual({ a: 1, b: null, d: { f: null } })
    await sessions.updateSession(id, { a: undefined, b: undefined, d: null, never: undefined })
    const { data } = await found(sessions, id)
    expect(data).toEqual({ d: null })
    expect(Object.keys(data)).toEqual(['d'])
    await sessions.updateSession(id, { a: 'again' })
    expect((await found(sessions, id)).data).toEqual({ a: 'again', d: null })
  })

  it.each<[string, unknown, unknown]>([
    ['a Date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['what has toJSON', { toJSON: () => ({ as: 'told' }) }, { as: 'told' }],
    ['a Map', new Map([['a', 1]]), {}],
    ['NaN', Number.NaN, null],
    ['-0', -0, 0],
    ['a deep tree', { a: [{ b: [[], {}, '', 0, false, null] }] }, { a: [{ b: [[], {}, '', 0, false, null] }] }],
    ['undefined within', [undefined, { a: undefined }], [null, {}]],
    ['a lone surrogate', '\ud800', '\ud800'],
    ['all of Unicode\'s ends', '\0\u007f\u2028\u2029\uffff😀', '\0\u007f\u2028\u2029\uffff😀'],
    ['a long text', 'ä'.repeat(100_000), 'ä'.repeat(100_000)],
    ['large and small numbers', [Number.MAX_SAFE_INTEGER, 5e-324, 1e308], [Number.MAX_SAFE_INTEGER, 5e-324, 1e308]],
    ['names within that objects have', JSON.parse('{"__proto__": {"admin": true}}'), JSON.parse('{"__proto__": {"admin": true}}')],
  ])('hold what JSON makes of %s', async (_, value, expected) => {
    const id = await sessions.createSession('ann', { value })
    expect((await found(sessions, id)).data).toEqual({ value: expected })
    await sessions.updateSession(id, { value: 'other' })
    await sessions.updateSession(id, { value })
    expect((await found(sessions, id)).data).toEqual({ value: expected })
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
  })

  it('that JSON can\'t hold are refused by their path, and nothing is written', async () => {
    const cycle: Record<string, unknown> = { name: 'cycle' }
    cycle['self'] = [cycle]
    const id = await sessions.createSession('ann', { a: 1 })
    const wrong: [path: string, data: Record<string, unknown>][] = [
      ['a', { a: 1n }],
      ['a.b[1].c', { a: { b: [0, { c: 2n }] } }],
      ['a["odd name"]', { a: { 'odd name': 1n } }],
      ['["odd name"]', { 'odd name': 1n }],
      ['a.self[0]', { a: cycle }],
      ['a', { a: () => 1 }],
      ['a', { a: Symbol('a') }],
    ]
    for (const [path, data] of wrong) {
      const at = (root: string) => (path.startsWith('[') ? `${root}${path}` : `${root}.${path}`)
      await areRefused(at('data'), [{ b: 'not written', ...data }], (given) => sessions.updateSession(id, given))
      await areRefused(at('data'), [data], (given) => sessions.update(id, () => given))
      await areRefused(at('initialData'), [data], (given) => sessions.createSession('ann', given))
      await areRefused(at('data'), [data], (given) => sessions.authenticate(id, 'ann', given))
    }
    expect(await found(sessions, id)).toMatchObject({ data: { a: 1 }, version: 1 })
  })

  it('without a name, with too long a one, or one that is no text are refused', async () => {
    const id = await sessions.createSession('ann')
    for (const name of ['', 'n'.repeat(257), '\ud800']) {
      const path = `[${JSON.stringify(name)}]`
      await areRefused(`data${path}`, [{ [name]: 1 }, { [name]: undefined }], (data) => sessions.updateSession(id, data))
      await areRefused(`initialData${path}`, [{ [name]: 1 }], (data) => sessions.createSession('ann', data))
    }
  })

  it('of more than a megabyte together are refused', async () => {
    const id = await sessions.createSession('ann')
    const half = 'x'.repeat(600_000)
    await areRefused('data', [{ a: half, b: half }, { a: half + half }], (data) => sessions.updateSession(id, data))
    expect(await sessions.updateSession(id, { a: half })).toBe(true)
  })

  it('count with their names as they are bounded', async () => {
    const names = range(8_000).map((n) => `${n}${'n'.repeat(200)}`)
    await areRefused('initialData', [fieldsOf(names, () => 1)], (data) => sessions.createSession('ann', data))
  })

  it('that many change at once all stand, whichever process they come from', async () => {
    const id = await sessions.createSession('ann')
    const names = range(200).map((n) => `field ${n}`)
    const done = await Promise.all(names.map((name, n) => others[n % others.length]!.updateSession(id, { [name]: n })))
    expect(done.every(Boolean)).toBe(true)
    for (const manager of others) {
      const { data, version } = await found(manager, id)
      expect(data).toEqual(fieldsOf(names, (name) => names.indexOf(name)))
      expect(version).toBe(201)
    }
    await Promise.all(names.map((name, n) => others[n % others.length]!.setSessionData(id, name, n % 2 === 0 ? undefined : 'stays')))
    expect((await found(sessions, id)).data).toEqual(fieldsOf(names.filter((_, n) => n % 2 === 1), () => 'stays'))
  })

  it('of one name that many change hold what one of them said', async () => {
    const id = await sessions.createSession('ann', { a: 'first', b: 'stays' })
    await Promise.all(range(50).map((n) => others[n % others.length]!.updateSession(id, { a: n })))
    const { data } = await found(sessions, id)
    expect(data['b']).toBe('stays')
    expect(range(50)).toContain(data['a'])
    await sessions.updateSession(id, { a: 'last' })
    for (const manager of others) expect((await found(manager, id)).data['a']).toBe('last')
  })

  it('of a thousand names come and go', async () => {
    const names = range(1_000).map((n) => `n${n}`)
    const id = await sessions.createSession('ann', fieldsOf(names, () => 1))
    expect(Object.keys((await found(sessions, id)).data)).toHaveLength(1_000)
    await sessions.updateSession(id, fieldsOf(names.slice(1), () => undefined))
    expect((await found(sessions, id)).data).toEqual({ n0: 1 })
    expect(await sessions.updateSession(unknownId(), fieldsOf(names, () => 1))).toBe(false)
  })
})
