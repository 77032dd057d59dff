// The JS half of the boundary, on its way back: how what crossed is settled, in which order, and what a reused slot, a
// late reply or a failing call can and can't do.

import { beforeEach, describe, expect, it } from 'vitest'

import { abortable } from '../../js/abort'
import { rawArguments, type CommandArgument } from '../../js/arguments'
import { getEntry, getEntryFor } from '../../js/entries'
import { HoldfastError } from '../../js/errors'
import { FLAG_REQUIRE_REDIS, FORMAT_JSON, FORMAT_STRUCTURED, FORMAT_TEXT, SOURCE_MEMORY, SOURCE_NEAR } from '../../js/generated/operations'
import { DECODE_FOUND, DECODE_LENIENT, DECODE_VALUE, Found, Loading } from '../../js/inbox'
import { encodeValue, type Serializer } from '../../js/serializers'
import { Failed } from '../../js/slots'
import { addon, at, batch, command, get, last, load, set, setStage, tick } from './stage'

beforeEach(setStage)

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
