// The JS half of the boundary, on its way across: what is collected, when it crosses, when it is answered at once, and
// how it lives with the event loop.

import { beforeEach, describe, expect, it } from 'vitest'

import { bridgeTo } from '../../js/bridge'
import { fillEntry } from '../../js/entries'
import { FORMAT_JSON, FORMAT_STRUCTURED } from '../../js/generated/operations'
import { DECODE_RAW } from '../../js/inbox'
import { SOFT_NEVER } from '../../js/slots'
import { FakeAddon } from './fake-addon'
import { addon, at, batch, bridge, command, get, last, load, set, setStage, tick, turn } from './stage'

beforeEach(setStage)

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
