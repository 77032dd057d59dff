// The JS half of the boundary, against an addon in plain JS: what is collected, when it crosses, how it is
// settled, and what a reused slot, a late reply or a failing call can and can't do.

import { beforeEach, describe, expect, it } from 'vitest'

import { abortable } from '../js/abort'
import { rawArguments, type CommandArgument } from '../js/arguments'
import { Batch } from '../js/batch'
import { Bridge, bridgeTo } from '../js/bridge'
import { getEntry, setEntry } from '../js/entries'
import { HoldfastError } from '../js/errors'
import { encodeCommand, FORMAT_TEXT, type RawArgument } from '../js/generated/operations'
import { DECODE_ENTRY, DECODE_LENIENT, DECODE_RAW, DECODE_VALUE } from '../js/inbox'
import { SOFT_NEVER } from '../js/slots'
import { FakeAddon, type Crossed } from './boundary-js.fake-addon'

let addon: FakeAddon
let bridge: Bridge
let batch: Batch

beforeEach(() => {
  addon = new FakeAddon()
  bridge = new Bridge(addon.module)
  batch = new Batch(bridge, 0, {})
})

const get = (key: string, decoder = DECODE_VALUE) => getEntry(batch, decoder, 'cache', key, 0, 'cacheManager.get')
const set = (key: string, value: unknown) =>
  setEntry(batch, 'cache', key, JSON.stringify(value), 0, 1000, 0, 'cacheManager.set')

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
      ['entrySet', ['cache', 'k', '{"a":"é"}', 0, 1000, 0]],
      ['command', [['SET', 'n', '1'], 0]],
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

  it('shows where an entry came from and how long it lives', async () => {
    addon.answer = () => ({ kind: 'entry', text: '1', source: 1, ttlMs: 500 })
    expect(await get('k', DECODE_ENTRY)).toEqual({ value: 1, source: 'memory', ttlMs: 500 })
    addon.answer = () => ({ kind: 'entry', text: '1', source: 0 })
    expect(await get('k', DECODE_ENTRY)).toEqual({ value: 1, source: 'redis', ttlMs: null })
  })

  it('keeps the text in step over a value that is no JSON', async () => {
    addon.answer = ({ fields }) => ({ kind: 'entry', text: fields[1] === 'bad' ? 'no json' : '"good"' })
    const [bad, good] = await Promise.allSettled([get('bad'), get('good')])
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'E_DATA', operation: 'cacheManager.get' } })
    expect(good).toMatchObject({ value: 'good' })
    expect(await get('bad', DECODE_VALUE + DECODE_LENIENT)).toBe('no json')
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
