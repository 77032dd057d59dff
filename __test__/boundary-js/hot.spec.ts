// The JS half of the boundary, where nothing crosses: which texts of answers are kept at hand, for how long, and how
// much room they take.

import { beforeEach, describe, expect, it } from 'vitest'

import { FORMAT_TEXT } from '../../js/generated/operations'
import { Hot, HotRoom, type HotTable } from '../../js/hot'
import { DECODE_FOUND, DECODE_VALUE } from '../../js/inbox'
import { addon, batch, get, setStage, tick } from './stage'

beforeEach(setStage)

describe('texts at hand', () => {
  const HEAD = 3
  const echo = () => void (addon.marks![2] = addon.marks![2]! + 1)
  let marks: Uint32Array
  let room: HotRoom
  let hot: Hot
  let table: HotTable
  /** Another instance, or one with room for so many bytes. */
  const another = (mostBytes?: number): Hot => Hot.over(marks, echo, mostBytes === undefined ? room : (room = new HotRoom(mostBytes)))!
  beforeEach(() => {
    marks = addon.marks = new Uint32Array(HEAD + 8)
    marks[0] = 1
    room = new HotRoom()
    hot = another()
    table = hot.of('cache')
    addon.answer = ({ fields }) => ({ kind: 'entry', text: JSON.stringify(fields[1]), place: 5, mark: 0 })
  })
  /** Asks for keys as often as it takes for their texts to be kept. */
  const ask = async (keys: string[], decoder = DECODE_VALUE): Promise<unknown[]> => {
    await Promise.all(keys.map((key) => get(key, decoder, table)))
    const answers = await Promise.all(keys.map((key) => get(key, decoder, table)))
    // The first read after a pause is left to the other side.
    table.read(keys.at(-1) as string)
    return answers
  }
  const keep = async (...keys: string[]) => expect(await ask(keys)).toEqual(keys)

  it('are kept of answers that may be kept and come a second time, and of no others', async () => {
    await get('k', DECODE_VALUE, table)
    table.read('k')
    expect(table.read('k')).toBeUndefined()
    await get('k', DECODE_VALUE, table)
    table.read('k')
    expect(table.read('k')?.text).toBe('"k"')
    addon.answer = () => ({ kind: 'entry', text: '1' })
    await ask(['unmarked'])
    expect(table.read('unmarked')).toBeUndefined()
    addon.answer = () => ({ kind: 'loading', token: 'a', stale: { text: '1' } })
    await ask(['loading'], DECODE_FOUND)
    expect(table.read('loading')).toBeUndefined()
    addon.answer = () => ({ kind: 'error', code: 'E_UNAVAILABLE' })
    await ask(['failed'])
    expect(table.read('failed')).toBeUndefined()
  })

  it('answer no more when the mark of their key, the word for all, or what is known of tags has changed', async () => {
    for (const change of [() => marks[5]!++, () => (marks[0] = 0)]) {
      await keep('k')
      expect(table.read('k')).toBeDefined()
      change()
      expect(table.read('k')).toBeUndefined()
      marks.fill(0)
      marks[0] = 1
      expect(table.read('k'), 'it is let go of, not only passed over').toBeUndefined()
    }
    await keep('plain')
    addon.answer = () => ({ kind: 'entry', text: '1', place: 6, mark: 0, tags: 0 })
    await ask(['tagged'])
    marks[1]!++
    expect([table.read('plain') !== undefined, table.read('tagged')]).toEqual([true, undefined])
  })

  it.each(['ttlMs', 'freshMs', 'keepMs'])('end with the %s of what they are a text of', async (name) => {
    const long = { ttlMs: 60_000, freshMs: 60_000, keepMs: 60_000 }
    addon.answer = ({ fields }) => ({ kind: 'entry', text: '1', place: 5, mark: 0, ...long, [name]: Number(fields[1]) })
    await ask(['0', '50000'])
    expect([table.read('0'), table.read('50000')?.text]).toEqual([undefined, '1'])
    expect(table.read('50000')?.isOlderThan(0.9)).toBe(false)
  })

  it('are older than a part of their freshness by that alone, or by their lifetime where nothing else is said', async () => {
    const kept = { kind: 'entry', text: '1', place: 5, mark: 0, keepMs: 60_000, ageMs: 50_000 } as const
    const times: Record<string, object> = { fresh: { freshMs: 50_000, ttlMs: 1e9 }, lives: { ttlMs: 50_000 }, young: { ttlMs: 1e9 }, good: {} }
    addon.answer = ({ fields }) => ({ ...kept, ...times[String(fields[1])] })
    await ask(Object.keys(times))
    const older = (part: number) => Object.keys(times).filter((key) => table.read(key)?.isOlderThan(part))
    expect([older(0.4), older(0.6)]).toEqual([['fresh', 'lives'], []])
  })

  it('hold no large text that they were cut from', async () => {
    const texts = Array.from({ length: 200 }, (_, index) => `${index}:${'x'.repeat(100)}`)
    addon.answer = ({ fields }) => ({ kind: 'entry', text: texts[Number(fields[1])]!, format: FORMAT_TEXT, place: 5, mark: 0 })
    expect(await ask(texts.map((_, index) => String(index)))).toEqual(texts)
    expect(texts.map((_, index) => table.read(String(index))?.text)).toEqual(texts)
  })

  it('are the ones that were answered, whatever characters they have and whatever crosses with them', async () => {
    const wide = 'ключ🜁'.repeat(10)
    addon.answer = ({ fields }) => ({ kind: 'entry', place: 5, ...(fields[1] === 'wide' ? { bytes: JSON.stringify(wide) as never } : { text: `"${'x'.repeat(3000)}"` }) })
    expect((await ask(['long', 'wide', 'longer']))[1]).toBe(wide)
    expect(JSON.parse(table.read('wide')!.text)).toBe(wide)
  })

  it('are no more than there is room for, keys counted; what was used longest ago goes first', async () => {
    table = another(100_000).of('cache')
    const long = (name: number | string) => `${name}:${'k'.repeat(4_000)}`
    const keys = Array.from({ length: 20 }, (_, index) => long(index))
    await keep(...keys)
    const there = () => keys.flatMap((key, index) => (table.read(key) === undefined ? [] : [index]))
    const [first, second, ...others] = there()
    // A key may have characters of two bytes.
    expect(others.length).toBeGreaterThanOrEqual(3)
    expect(others.length).toBeLessThanOrEqual(10)
    expect([first, second, ...others]).toEqual(keys.map((_, index) => index).slice(-2 - others.length))
    await keep(long('one more'))
    expect(table.read(keys[second!]!)).toBeDefined()
    await keep(long('two more'))
    expect(there()).toEqual([second, ...others.slice(1)])
    expect(room.bytes).toBeLessThanOrEqual(100_000)
    addon.answer = () => ({ kind: 'entry', text: JSON.stringify('x'.repeat(70_000)), place: 5, mark: 0 })
    await ask(['large'])
    expect(table.read('large')).toBeUndefined()
  })

  it('share their room with those of other families and instances, and with the objects made of them', async () => {
    const mine = another(21_000).of('cache')
    const theirs = another().of('theirs')
    const big = `[${'1,'.repeat(2_000)}1]`
    addon.answer = ({ fields }) => ({ kind: 'entry', text: fields[1] === 'big' ? big : '1', place: 5, mark: 0 })
    table = mine
    await ask(['small', 'big'])
    table = theirs
    await ask(['big'])
    expect([mine.read('small'), mine.read('big'), theirs.read('big')].map((entry) => entry !== undefined)).toEqual([true, true, true])
    const before = room.bytes
    theirs.read('big')!.share(JSON.parse(big))
    expect(room.bytes).not.toBe(before)
    expect(room.bytes).toBeLessThanOrEqual(21_000)
    expect([mine.read('small'), mine.read('big')]).toEqual([undefined, undefined])
    expect(theirs.read('big')?.shared).toHaveLength(2_001)
  })

  it('are let go of with what they are texts of, and when nobody asks for them, with everything they took', async () => {
    const [one, other] = [hot.of('cache'), another()]
    table = other.of('cache')
    await keep('a', 'b')
    table = other.of('elsewhere')
    await keep('a')
    table = one
    await keep('a', 'b')
    addon.answer = ({ fields }) => ({ kind: 'entry', text: '1', place: 6, mark: 0, tags: 0, keepMs: fields[1] === 'ends' ? 0 : -1 })
    await Promise.all(['tagged', 'ends'].map((key) => get(key, DECODE_VALUE, one)))
    await Promise.all(['tagged', 'ends'].map((key) => get(key, DECODE_VALUE, one)))
    const all = room.bytes
    room.sweep()
    expect(room.bytes, 'its time is over').toBeLessThan(all)
    const left = room.bytes
    hot.dropTagged()
    expect(room.bytes, 'tags were invalidated').toBeLessThan(left)
    expect([one.read('tagged'), one.read('a')?.text]).toEqual([undefined, '"a"'])
    hot.clear()
    expect(one.read('a')).toBeUndefined()
    expect([other.of('cache').read('b')?.text, other.of('elsewhere').read('a')?.text], 'those of another instance stay').toEqual(['"b"', '"a"'])
    marks[5]!++
    room.sweep()
    expect(room.bytes).toBe(0)
  })

  it('are seen by all managers of a family, and dropped for all', async () => {
    const other = hot.of('cache')
    await keep('k')
    const later = hot.of('cache')
    expect(later.read('k')?.text).toBe('"k"')
    table = other
    await keep('k', 'l')
    hot.drop('cache', 'k')
    for (const each of [other, later, hot.of('cache')]) expect(each.read('k')).toBeUndefined()
    expect(hot.of('cache').read('l')?.text).toBe('"l"')
    hot.drop('cache', 'l')
    expect(room.bytes).toBe(0)
    await keep('k')
    expect(hot.of('cache').read('k')?.text).toBe('"k"')
  })

  it('are none where the two sides do not see the same memory', () => {
    expect(Hot.over(null, echo, room)).toBeNull()
    expect(Hot.over(new Uint32Array(HEAD), echo, room)).toBeNull()
  })

  it('count among the answers after which the event loop is owed a turn', async () => {
    await get('k')
    let answers = 0
    while (batch.mayAnswer(0)) answers++
    expect(answers).toBeGreaterThanOrEqual(990)
    expect(answers).toBeLessThan(1000)
    // Then the native side is asked, after the turn.
    const asked = get('k', DECODE_VALUE, table)
    const before = addon.batches.length
    await tick()
    expect(addon.batches).toHaveLength(before)
    await asked
    expect(batch.mayAnswer(0)).toBe(true)
  })
})
