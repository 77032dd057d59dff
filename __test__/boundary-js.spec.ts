// The JS half of the boundary, against an addon in plain JS: what is collected, when it crosses, how it is
// settled, and what a reused slot, a late reply or a failing call can and can't do.

import { beforeEach, describe, expect, it } from 'vitest'

import { abortable } from '../js/abort'
import { rawArguments, type CommandArgument } from '../js/arguments'
import { Batch } from '../js/batch'
import { Bridge, bridgeTo } from '../js/bridge'
import { fillEntry, getEntry, getEntryFor, loadEntry, plainTerms, setEntry } from '../js/entries'
import { HoldfastError } from '../js/errors'
import {
  encodeCommand,
  FLAG_REQUIRE_REDIS,
  FORMAT_JSON,
  FORMAT_STRUCTURED,
  FORMAT_TEXT,
  SOURCE_MEMORY,
  SOURCE_NEAR,
  type RawArgument,
} from '../js/generated/operations'
import { Hot, HotRoom, type HotTable } from '../js/hot'
import { DECODE_FOUND, DECODE_LENIENT, DECODE_RAW, DECODE_VALUE, Found, Loading } from '../js/inbox'
import { encodeValue, type Serializer } from '../js/serializers'
import { Failed, SOFT_NEVER } from '../js/slots'
import { FakeAddon, type Crossed } from './boundary-js.fake-addon'

let addon: FakeAddon
let bridge: Bridge
let batch: Batch

beforeEach(() => {
  addon = new FakeAddon()
  bridge = new Bridge(addon.module)
  batch = new Batch(bridge, 0, {})
})

const at = (key: string, flags = 0) => ({ family: 'cache', key, flags })
const get = (key: string, decoder = DECODE_VALUE, keeper: HotTable | null = null) =>
  getEntry(batch, { decoder, keeper }, at(key), 'cacheManager.get')
const set = (key: string, value: unknown, serializer: Serializer = 'json') =>
  setEntry(batch, at(key), encodeValue(value, serializer, 'value', 'set'), plainTerms(1000), 'cacheManager.set')
const load = (key: string) =>
  loadEntry(batch, { decoder: DECODE_FOUND }, at(key), 10_000, { ...plainTerms(1000), tags: ['t:a'] }, 'cacheManager.getOrSet')

function command(args: readonly RawArgument[], soft = SOFT_NEVER): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft, 'client.call', 0)
  encodeCommand(batch.outbox, slot.id, args, 0)
  return batch.commit(slot)
}

const tick = () => new Promise<void>((resolve) => process.nextTick(resolve))
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const last = () => addon.batches.at(-1) as Crossed[]

describe('collecting', () => {
  it('hands the operations of one tick over in one call', async () => {
    addon.answer = () => ({ kind: 'entry', text: '1' })
    const answers = Array.from({ length: 100 }, (_, index) => get(`k${index}`))
    expect(addon.batches).toHaveLength(0)
    await Promise.all(answers)
    expect(addon.batches.map((one) => one.length)).toEqual([100])
  })

  it('writes fields so that the other side reads what was meant', async () => {
    const done = [get('ключ'), set('k', { a: 'é' }), command(['SET', 'n', '1'])]
    await tick()
    expect(last().map(({ name, fields }) => [name, fields])).toEqual([
      ['entryGet', ['cache', 'ключ', 0]],
      ['entrySet', ['cache', 'k', FORMAT_JSON, 1000, -1, 0, '{"a":"é"}', []]],
      ['command', [['SET', 'n', '1'], 0]],
    ])
    await Promise.all(done)
  })

  it('writes values of bytes beside the text, and tags and tokens in it', async () => {
    const terms = { ttlMs: 2000, freshMs: 1000, tags: ['t:é', 'n:cache:a'] }
    const bytes = new Uint8Array([0, 255, 1])
    const written = { data: bytes, format: FORMAT_STRUCTURED }
    const done = [load('k'), fillEntry(batch, at('k', 4), 'a-b-c', written, terms, 7, 'fill'), get('next')]
    bytes[0] = 9
    await tick()
    const fields = ['cache', 'k', 'a-b-c', FORMAT_STRUCTURED, 2000, 1000, 7, 4, new Uint8Array([0, 255, 1])]
    expect(last().map(({ name, fields }) => [name, fields])).toEqual([
      ['entryLoad', ['cache', 'k', 10_000, 1000, 0, ['t:a']]],
      ['entryFill', [...fields, ['t:é', 'n:cache:a']]],
      ['entryGet', ['cache', 'next', 0]],
    ])
    await Promise.all(done)
  })

  it('leaves early at 256 operations and at 64 KB', async () => {
    const many = Array.from({ length: 300 }, () => get('k'))
    expect(addon.batches.map((one) => one.length)).toEqual([256])
    const large = set('k', 'x'.repeat(70_000))
    expect(addon.batches.map((one) => one.length)).toEqual([256, 45])
    await Promise.all([...many, large])
  })

  it('copies bytes, so that the caller may change its buffer', async () => {
    const bytes = new Uint8Array([1, 2, 3])
    const done = command(['SET', 'k', bytes])
    bytes[0] = 9
    await done
    expect((last()[0]?.fields[0] as unknown[])[2]).toEqual(new Uint8Array([1, 2, 3]))
  })

  it('hands large bytes over before the caller goes on', async () => {
    const done = command(['SET', 'k', new Uint8Array(100_000)])
    expect(addon.batches).toHaveLength(1)
    await done
  })
})

describe('reading directly', () => {
  beforeEach(async () => {
    addon.answer = () => ({ kind: 'entry', text: '{"a":1}', source: 1 })
    await get('warm')
    await turn()
  })

  it('hands a read that is alone over at once, where answers come at once', async () => {
    const answer = get('k')
    expect(addon.batches).toHaveLength(2)
    expect(await answer).toEqual({ a: 1 })
  })

  it('collects the reads that follow in the same run', async () => {
    await Promise.all(Array.from({ length: 50 }, () => get('k')))
    expect(addon.batches.map((one) => one.length)).toEqual([1, 1, 49])
    await Promise.all(Array.from({ length: 50 }, () => get('k')))
    expect(addon.batches.map((one) => one.length)).toEqual([1, 1, 49, 50])
  })

  it('never passes a write that was called before it', async () => {
    void set('k', 1)
    await get('k')
    expect(last().map(({ name }) => name)).toEqual(['entrySet', 'entryGet'])
  })

  it('waits like any other when the answer is pending after all, and does not try again', async () => {
    addon.answer = () => 'pending'
    const answer = get('k')
    addon.reply(last()[0]?.id as number, { kind: 'entry', text: '7' })
    expect(await answer).toBe(7)
    const next = get('k')
    expect(addon.batches).toHaveLength(2)
    await tick()
    addon.reply(last()[0]?.id as number, { kind: 'null' })
    await next
  })
})

describe('settling', () => {
  it('settles pending operations in any order', async () => {
    addon.answer = () => 'pending'
    const answers = [get('a'), get('b'), get('c')]
    await tick()
    const [a, b, c] = last().map(({ id }) => id) as [number, number, number]
    addon.reply(c, { kind: 'entry', text: '"c"' }, false)
    addon.reply(a, { kind: 'entry', text: '"a"' }, false)
    addon.reply(b, { kind: 'entry', text: '"b"' })
    expect(await Promise.all(answers)).toEqual(['a', 'b', 'c'])
  })

  it('drains until nothing waits, however little fits at once', async () => {
    addon.answer = () => 'pending'
    addon.rowsPerDrain = 10
    const answers = Array.from({ length: 95 }, (_, index) => get(`k${index}`))
    await tick()
    for (const { id } of last()) addon.reply(id, { kind: 'entry', text: String(id) }, false)
    addon.reply(999, { kind: 'null' })
    await Promise.all(answers)
    expect(addon.drains).toBe(10)
  })

  it('shows where an entry came from, how old it is, and how long it lives and is fresh', async () => {
    const entry = { kind: 'entry', text: '1', ttlMs: 500, freshMs: 200, ageMs: 3, loadMs: 9 } as const
    const common = { value: 1, ttlMs: 500, freshMs: 200, ageMs: 3, loadMs: 9, stale: false }
    const found = async () => {
      const { value, source, ttlMs, freshMs, ageMs, loadMs, stale } = (await get('k', DECODE_FOUND)) as Found
      return { value, source, ttlMs, freshMs, ageMs, loadMs, stale }
    }
    addon.answer = () => ({ ...entry, source: SOURCE_MEMORY })
    expect(await found()).toEqual({ ...common, source: 'memory' })
    addon.answer = () => ({ ...entry, source: SOURCE_NEAR, freshMs: 0 })
    expect(await found()).toEqual({ ...common, source: 'near', freshMs: 0, stale: true })
    addon.answer = () => ({ kind: 'entry', text: '1' })
    expect(await found()).toMatchObject({ source: 'redis', ttlMs: null, freshMs: null, stale: false })
  })

  it('tells a load what it found, what it may do and what is still there', async () => {
    addon.answer = () => ({ kind: 'entry', text: '"fresh"', freshMs: 5 })
    expect(await load('k')).toMatchObject({ value: 'fresh', freshMs: 5 })
    addon.answer = () => ({ kind: 'loading', token: 'a-b-c', degraded: true })
    expect(await load('k')).toEqual(new Loading(0, true, 'a-b-c', '', null))
    addon.answer = () => ({ kind: 'loading', waitMs: 30, holder: 'somebody', stale: { text: '"old"', freshMs: 0, ageMs: 4 } })
    const waiting = (await load('k')) as Loading
    expect(waiting).toMatchObject({ waitMs: 30, degraded: false, token: null, holder: 'somebody' })
    expect(waiting.stale).toMatchObject({ value: 'old', stale: true, ageMs: 4 })
  })

  it('keeps the text in step over loads, entries of bytes and values between them', async () => {
    const bytes = encodeValue(new Map([['a', 1n]]), 'structured', 'value', 'set').data as Uint8Array
    addon.answer = ({ fields }) =>
      fields[1] === 'loading'
        ? { kind: 'loading', token: 'token', stale: { text: '"stale"' } }
        : fields[1] === 'bytes'
          ? { kind: 'entry', bytes, format: FORMAT_STRUCTURED }
          : { kind: 'entry', text: JSON.stringify(fields[1]) }
    const answers = await Promise.all([get('a'), load('loading'), get('bytes'), get('b'), load('loading'), get('c')])
    expect([answers[0], answers[3], answers[5]]).toEqual(['a', 'b', 'c'])
    expect(answers[2]).toEqual(new Map([['a', 1n]]))
    for (const loading of [answers[1], answers[4]] as Loading[]) {
      expect([loading.token, loading.stale?.value]).toEqual(['token', 'stale'])
    }
  })

  it('hands each of many that are awaited together its own answer or failure', async () => {
    addon.answer = ({ fields }) =>
      fields[1] === 'bad' ? { kind: 'error', code: 'E_DATA' } : { kind: 'entry', text: JSON.stringify(fields[1]) }
    const taken: unknown[] = []
    const reader = { decoder: DECODE_VALUE }
    const all = ['a', 'bad', 'c'].map(
      (key) => new Promise<void>((done) => getEntryFor(batch, reader, at(key), 'getMany', (answer) => done(void taken.push(answer)))),
    )
    await Promise.all(all)
    expect(taken).toMatchObject(['a', { record: { code: 'E_DATA' } }, 'c'])
    expect(taken[1]).toBeInstanceOf(Failed)
    // The slot that failed so is one like any other now.
    await expect(Promise.all([get('a'), get('bad')])).rejects.toMatchObject({ code: 'E_DATA' })
  })

  it('keeps the text in step over a value that is no JSON', async () => {
    addon.answer = ({ fields }) => ({ kind: 'entry', text: fields[1] === 'bad' ? 'no json' : '"good"' })
    const [bad, good] = await Promise.allSettled([get('bad'), get('good')])
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'E_DATA', operation: 'cacheManager.get' } })
    expect(good).toMatchObject({ value: 'good' })
    expect(await get('bad', DECODE_VALUE + DECODE_LENIENT)).toBe('no json')
  })

  it('reads JSON and text whatever serializer is given, and never shows what is neither', async () => {
    const own = { serialize: String, deserialize: () => 'own' }
    const read = (serializer?: Serializer) => getEntry(batch, { decoder: DECODE_VALUE, serializer }, at('k'), 'cacheManager.get')
    for (const serializer of [undefined, 'json', 'structured', own] as Serializer[]) {
      addon.answer = () => ({ kind: 'entry', text: '{"a":[1]}', format: FORMAT_JSON })
      expect(await read(serializer)).toEqual({ a: [1] })
      addon.answer = () => ({ kind: 'entry', text: '{"a":[1]}', format: FORMAT_TEXT })
      expect(await read(serializer)).toBe('{"a":[1]}')
    }
    for (const wrong of [{ text: 'secret' }, { text: '' }, { bytes: new Uint8Array([0xff]) }]) {
      addon.answer = () => ({ kind: 'entry', ...wrong })
      const error = await read().catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'E_DATA', message: expect.stringContaining('no JSON') })
      expect(JSON.stringify(error)).not.toContain('secret')
    }
  })

  it('gives texts back whole, whether cut from a large answer or sent aside', async () => {
    const texts = Array.from({ length: 50 }, (_, index) => `${index}:${'x'.repeat(40)}`)
    addon.answer = ({ fields }) => ({ kind: 'entry', text: texts[Number(fields[1])] as string, format: FORMAT_TEXT })
    expect(await Promise.all(texts.map((_, index) => get(String(index))))).toEqual(texts)
    addon.answer = () => ({ kind: 'extra', value: 'ключ' })
    expect(await command(['GET', 'k'])).toBe('ключ')
  })

  it('reuses a slot only after its reply', async () => {
    addon.answer = () => 'pending'
    const first = get('a')
    await tick()
    const id = last()[0]?.id as number
    void get('b')
    await tick()
    expect(last()[0]?.id).not.toBe(id)
    addon.reply(id, { kind: 'null' })
    await first
    void get('c')
    await tick()
    expect(last()[0]?.id).toBe(id)
  })

  it('passes a reply over that nobody waits for', async () => {
    addon.answer = () => 'pending'
    const answer = get('a')
    await tick()
    addon.reply(12_345, { kind: 'entry', text: '"stranger"' }, false)
    addon.reply(last()[0]?.id as number, { kind: 'entry', text: '"mine"' })
    expect(await answer).toBe('mine')
  })
})

describe('who takes an answer', () => {
  const taking = (key: string, take: (answer: unknown) => void) => getEntryFor(batch, { decoder: DECODE_VALUE }, at(key), 'getMany', take)
  beforeEach(() => {
    addon.answer = ({ name, fields }) => (name === 'entrySet' ? { kind: 'boolean', value: true } : { kind: 'entry', text: JSON.stringify(fields[1]) })
  })

  it('may call in: what he calls goes with the next batch', async () => {
    const written = new Promise((done) => taking('a', () => done(set('written', 1))))
    const answer = get('b')
    expect([await written, await answer]).toEqual([true, 'b'])
    expect(addon.batches.map((one) => one.map(({ fields }) => fields[1]))).toEqual([['a', 'b'], ['written']])
  })

  it('may call in so much that it crosses at once, while others wait for their answers', async () => {
    const inner: Promise<unknown>[] = []
    taking('first', () => inner.push(...Array.from({ length: 300 }, (_, index) => get(`inner:${index}`)), set('large', new Uint8Array(100_000), 'structured')))
    const outer = Array.from({ length: 100 }, (_, index) => get(`outer:${index}`))
    expect(await Promise.all(outer)).toEqual(outer.map((_, index) => `outer:${index}`))
    expect(await Promise.all(inner)).toEqual([...Array.from({ length: 300 }, (_, index) => `inner:${index}`), true])
  })

  it('is told of his own failure, and loses nobody else his answer', async () => {
    const told: unknown[] = []
    const failing = (answer: unknown): void => {
      told.push(answer)
      throw new RangeError('too deep')
    }
    taking('throws', failing)
    const [others, written] = [['a', 'b'].map((key) => get(key)), set('k', 1)]
    expect([await Promise.all(others), await written]).toEqual([['a', 'b'], true])
    expect(told).toMatchObject(['throws', { record: { code: 'E_INTERNAL', message: expect.stringContaining('too deep') } }])
    addon.answer = () => 'pending'
    taking('throws', failing)
    const late = get('late')
    await tick()
    for (const { id, fields } of last()) addon.reply(id, { kind: 'entry', text: JSON.stringify(fields[1]) }, fields[1] === 'late')
    expect(await late).toBe('late')
  })

  it('loses nobody his error when the native call itself fails', async () => {
    taking('throws', () => {
      throw new Error('mine')
    })
    const other = get('k')
    addon.failure = new Error('{"code":"E_CLOSED","message":"closed","retryable":false,"applied":"no","operation":""}')
    await expect(other).rejects.toMatchObject({ code: 'E_CLOSED' })
    expect(await get('next')).toBe('next')
  })
})

describe('failing', () => {
  it('rejects with a HoldfastError whose stack leads into the caller', async () => {
    addon.answer = () => 'pending'
    async function theCallersOwnFunction(): Promise<unknown> {
      return await command(['GET', 'k'])
    }
    const answer = theCallersOwnFunction()
    await tick()
    addon.reply(last()[0]?.id as number, { kind: 'error', code: 'E_TIMEOUT', message: 'too late' })
    const error = (await answer.catch((thrown: unknown) => thrown)) as HoldfastError
    expect(HoldfastError.isInstance(error)).toBe(true)
    expect(error).toMatchObject({ code: 'E_TIMEOUT', message: 'too late', operation: 'client.call' })
    expect(error.stack).toContain('theCallersOwnFunction')
    expect(error.stack).not.toContain('failLater')
  })

  it('leads into the caller from a failure in company, too', async () => {
    addon.answer = () => ({ kind: 'error', code: 'E_DATA' })
    async function oneOfSeveral(): Promise<unknown> {
      return await get('k')
    }
    const results = await Promise.allSettled([oneOfSeveral(), oneOfSeveral()])
    for (const result of results) expect((result as PromiseRejectedResult).reason.stack).toContain('oneOfSeveral')
  })

  it('answers an outage as a miss or as not kept, and nothing else', async () => {
    addon.answer = () => ({ kind: 'error', code: 'E_UNAVAILABLE' })
    expect(await get('k')).toBe(null)
    expect(await set('k', 1)).toBe(false)
    await expect(command(['GET', 'k'])).rejects.toMatchObject({ code: 'E_UNAVAILABLE' })
    const required = getEntry(batch, { decoder: DECODE_VALUE }, at('k', FLAG_REQUIRE_REDIS), 'get')
    await expect(required).rejects.toMatchObject({ code: 'E_UNAVAILABLE' })
    addon.answer = () => ({ kind: 'error', code: 'E_AUTH' })
    await expect(get('k')).rejects.toMatchObject({ code: 'E_AUTH' })
  })

  it('answers a lack of room as not kept, and rejects where memory has what the disk has not', async () => {
    addon.answer = () => ({ kind: 'error', code: 'E_FULL' })
    expect(await set('k', 1)).toBe(false)
    addon.answer = () => ({ kind: 'error', code: 'E_FULL', applied: 'unknown' })
    await expect(set('k', 1)).rejects.toMatchObject({ code: 'E_FULL', applied: 'unknown' })
  })

  it('settles a whole turn when the native call itself fails', async () => {
    addon.failure = new Error('{"code":"E_CLOSED","message":"closed","retryable":false,"applied":"no","operation":""}')
    const results = await Promise.allSettled([get('a'), set('b', 1)])
    expect(results).toMatchObject([{ reason: { code: 'E_CLOSED' } }, { reason: { code: 'E_CLOSED' } }])
    expect(await get('a')).toBe(null)
  })

  it('gives an aborted call up at once and its slot only after the late reply', async () => {
    addon.answer = () => 'pending'
    const controller = new AbortController()
    const answer = abortable(get('k'), controller.signal, 'cacheManager.get')
    await tick()
    const id = last()[0]?.id as number
    controller.abort(new Error('enough'))
    await expect(answer).rejects.toMatchObject({ code: 'E_TIMEOUT', applied: 'unknown', cause: { message: 'enough' } })
    void get('other')
    await tick()
    expect(last()[0]?.id).not.toBe(id)
    addon.reply(id, { kind: 'error', code: 'E_INTERNAL' })
    void get('third')
    await tick()
    expect(last()[0]?.id).toBe(id)
  })

  it('refuses raw arguments that are no text, number or bytes, and names them', () => {
    expect(rawArguments('SET', ['k', 1.5, new Uint8Array(1)], '', 'call')).toEqual([
      'SET',
      'k',
      '1.5',
      new Uint8Array(1),
    ])
    for (const wrong of [Number.NaN, true, null, undefined, {}, 1n, '\ud800'] as CommandArgument[]) {
      expect(() => rawArguments('SET', ['k', wrong], '', 'call')).toThrow(
        expect.objectContaining({ code: 'E_INVALID', path: 'args[1]' }),
      )
    }
  })
})

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
    while (batch.mayAnswer()) answers++
    expect(answers).toBeGreaterThanOrEqual(990)
    expect(answers).toBeLessThan(1000)
    // Then the native side is asked, after the turn.
    const asked = get('k', DECODE_VALUE, table)
    const before = addon.batches.length
    await tick()
    expect(addon.batches).toHaveLength(before)
    await asked
    expect(batch.mayAnswer()).toBe(true)
  })
})

describe('living with the event loop', () => {
  it('lets the event loop turn between thousands of answers given at once', async () => {
    addon.answer = () => ({ kind: 'entry', text: '1' })
    let turns = 0
    let running = true
    const count = (): void => {
      turns++
      if (running) setImmediate(count)
    }
    setImmediate(count)
    for (let index = 0; index < 5000; index++) await get('k')
    for (let index = 0; index < 20; index++) await Promise.all(Array.from({ length: 256 }, () => get('k')))
    running = false
    // 10,120 answers, at most 1,255 between two turns.
    expect(turns).toBeGreaterThanOrEqual(7)
  })

  it('finishes what is in flight before it closes, and refuses what comes after', async () => {
    addon.answer = () => 'pending'
    const answer = get('k')
    const closing = batch.close()
    expect(() => batch.begin(DECODE_RAW, SOFT_NEVER, 'x', 0)).toThrow(expect.objectContaining({ code: 'E_CLOSED' }))
    addon.reply(last()[0]?.id as number, { kind: 'entry', text: '1' })
    expect(await answer).toBe(1)
    await closing
  })

  it('delivers events after the replies, and to nobody when nobody listens', async () => {
    const heard: string[] = []
    addon.answer = () => 'pending'
    const receiver = { receive: ({ type }: { type: string }) => void heard.push(type) }
    bridge.listen(0, receiver)
    const answer = get('k').then(() => heard.push('reply'))
    await tick()
    addon.reply(0, { kind: 'event', type: 'backend-connected' }, false)
    addon.reply(7, { kind: 'event', type: 'of-another-instance' }, false)
    addon.reply(last()[0]?.id as number, { kind: 'entry', text: '1' })
    await answer
    expect(heard.sort()).toEqual(['backend-connected', 'reply'])
  })

  it('is one for each global and addon', () => {
    expect(bridgeTo(addon.module)).toBe(bridgeTo(addon.module))
    expect(bridgeTo(new FakeAddon().module)).not.toBe(bridgeTo(addon.module))
  })
})
