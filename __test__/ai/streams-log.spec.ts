// The log by which a stream reaches other processes: what of it is lost, late or can't be told never makes another
// answer, and a leader is there as long as his log says so.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { asAnother, onOwnServer } from '../cache/stores'
import { Scene, apart } from '../fault/outage'
import { another } from '../fault/raw'
import { waitFor } from '../support/wait-for'
import { Model, again, following, hear, kept, listening, ranAnew, readerOf, saying } from './models'

const { outside, open } = onOwnServer()

type Entry = [id: string, fields: [kind: string, text: string, name: string, before: string]]

/** Instances as of several processes, and their one log. */
function scene() {
  const keyPrefix = `log:${randomUUID()}:`
  const [ours, theirs] = [open({ keyPrefix }), open({ keyPrefix, ...asAnother })]
  const log = async (): Promise<string> => ((await outside().call('KEYS', `${keyPrefix}ai-live:*`)) as string[])[0] ?? ''
  const entries = async (kind: string): Promise<Entry[]> => {
    const all = (await outside().call('XRANGE', await log(), '-', '+')) as Entry[]
    return all.filter(([, fields]) => fields[0] === kind)
  }
  /** Takes the entry of a chunk out, as a link that broke while it was sent. */
  const lose = async (index: number): Promise<void> => {
    await waitFor(`chunk ${index}`, async () => (await log()) !== '' && (await entries('c')).length > index)
    const [id] = (await entries('c'))[index] as Entry
    expect(await outside().call('XDEL', await log(), id)).toBe(1)
  }
  return { ours: ours.AICacheManager, theirs: theirs.AICacheManager, cacheOfTheirs: theirs.cacheManager, log, entries, lose }
}

const brokenOff = expect.objectContaining({ code: 'E_UNAVAILABLE', retryable: true, operation: 'AICacheManager.cacheStream' })

describe('a chunk that is lost on its way', () => {
  it('is never skipped: who follows gets the rest when the answer is kept', async () => {
    const { ours, theirs, lose } = scene()
    const model = new Model().say('a', 'b', 'c')
    const first = hear(await ours.cacheStream('p', 'm', model.source))
    await lose(1)
    const follower = await following(theirs, 'p')
    model.say('d')
    await apart()
    expect(follower.heard.chunks).toEqual(['a'])
    model.end()
    const whole = { chunks: ['a', 'b', 'c', 'd'] }
    expect([await first, await follower.done, follower.never.runs]).toEqual([whole, whole, 0])
  })

  it('is never skipped: who follows is told where the answer is not kept', async () => {
    const { ours, theirs, lose } = scene()
    const model = new Model().say('a', 'b', 'c')
    const first = hear(await ours.cacheStream('p', 'm', model.source, { isComplete: () => false }))
    await lose(1)
    const follower = await following(theirs, 'p')
    model.end()
    expect(await first).toEqual({ chunks: ['a', 'b', 'c'] })
    expect(await follower.done).toEqual({ chunks: ['a'], error: brokenOff })
    expect(follower.never.runs).toBe(0)
  })

  it('at the end is missed as well', async () => {
    const { ours, theirs, lose } = scene()
    const model = new Model().say('a', 'b')
    const first = hear(await ours.cacheStream('p', 'm', model.source))
    await lose(1)
    const follower = await following(theirs, 'p')
    model.end()
    expect([await first, await follower.done]).toEqual([{ chunks: ['a', 'b'] }, { chunks: ['a', 'b'] }])
  })

  it('when the link of the leader swallows it and breaks: who follows has the whole answer, or is told', async () => {
    await using outage = await Scene.start({ commandTimeoutMs: 2_000 })
    await outage.cache.set('probe', 1)
    const ours = outage.holdfast.AICacheManager
    const theirs = (await another(outage)).AICacheManager
    const model = new Model().say('a')
    const first = listening(await ours.cacheStream('p', 'm', model.source))
    const follower = await following(theirs, 'p')
    outage.proxy.set({ rewrite: () => Buffer.alloc(0) }, 'toServer')
    model.say('b', 'c')
    await waitFor('it here', () => first.heard.chunks.length === 3)
    await apart()
    await outage.proxy.set('reset')
    await outage.proxy.set('pass')
    await waitFor('the link again', async () => await outage.cache.set('probe', 2, { requireRedis: true }).catch(() => false))
    model.say('d').end()
    const whole = ['a', 'b', 'c', 'd']
    expect(await first.done).toEqual({ chunks: whole })
    const { chunks, error } = await follower.done
    expect(whole.slice(0, chunks.length)).toEqual(chunks)
    if (error === undefined) expect(chunks).toEqual(whole)
    expect(follower.never.runs).toBe(0)
  })
})

describe('a model that is silent', () => {
  it('is said to be there again and again, and its log stays until it speaks', async () => {
    const { ours, theirs, log, entries } = scene()
    const model = new Model().say('a')
    const first = hear(await ours.cacheStream('p', 'm', model.source))
    await waitFor('the log', async () => (await log()) !== '')
    const key = await log()
    const before = (await entries('b')).length
    // As if most of the minute had passed.
    await outside().call('PEXPIRE', key, 20_000)
    await waitFor('a sign of life', async () => (await entries('b')).length > before)
    await waitFor('the log to live longer', async () => Number(await outside().call('PTTL', key)) > 20_000)
    const late = hear(await theirs.cacheStream('p', 'm', new Model().source))
    model.say('b').end()
    expect([await first, await late]).toEqual([{ chunks: ['a', 'b'] }, { chunks: ['a', 'b'] }])
  })

  it('is followed though its lease was cleared, as long as its log has news', async () => {
    const { ours, theirs, entries } = scene()
    const model = new Model().say('a')
    const first = hear(await ours.cacheStream('p', 'm', model.source))
    const follower = await following(theirs, 'p')
    await theirs.clearCache()
    // So long a silence makes the follower look for the leader where there are no signs of life.
    const before = (await entries('b')).length
    await waitFor('signs of life', async () => (await entries('b')).length > before + 3, { withinMs: 45_000 })
    model.say('b').end()
    expect([await first, await follower.done]).toEqual([{ chunks: ['a', 'b'] }, { chunks: ['a', 'b'] }])
    expect(follower.never.runs).toBe(0)
    for (const ai of [ours, theirs]) expect(await again(ai, 'p')).toEqual(ranAnew)
  }, 60_000)
})

describe('a chunk that can not be cloned', () => {
  const part = { type: 'tool-call', execute: () => 'secret source' }

  it('is heard in its process; elsewhere who heard something is told, without what is in it', async () => {
    const { ours, theirs } = scene()
    const model = new Model<unknown>().say('a')
    const first = hear(await ours.cacheStream('p', 'm', model.source))
    const follower = await following(theirs, 'p')
    model.say(part, 'b').end()
    expect(await first).toEqual({ chunks: ['a', part, 'b'] })
    const { chunks, error } = await follower.done
    expect([chunks, error]).toEqual([['a'], brokenOff])
    expect(String((error as Error).message)).not.toContain('secret')
    expect(follower.never.runs).toBe(0)
    expect(await again(theirs, 'p')).toEqual(ranAnew)
  })

  it('that comes first: the others run the model', async () => {
    const { ours, theirs } = scene()
    const model = new Model<unknown>()
    const first = hear(await ours.cacheStream('p', 'm', model.source))
    const other = saying<unknown>('of its own')
    const follower = hear(await theirs.cacheStream('p', 'm', other.source))
    model.say(part)
    expect(await follower).toEqual({ chunks: ['of its own'] })
    model.end()
    expect(await first).toEqual({ chunks: [part] })
  })
})

describe('who follows', () => {
  it('counts his own time limit, and the leader goes on', async () => {
    const { ours, theirs } = scene()
    const model = new Model().say('a')
    const first = hear(await ours.cacheStream('p', 'm', model.source))
    const follower = await theirs.cacheStream('p', 'm', new Model().source, { hardTimeoutMs: 300 })
    expect((await hear(follower)).error).toMatchObject({ code: 'E_TIMEOUT' })
    model.say('b').end()
    expect(await first).toEqual({ chunks: ['a', 'b'] })
    expect(await again(theirs, 'p')).toEqual({ source: expect.stringMatching(kept), chunks: ['a', 'b'] })
  })

  it('of a leader in the same process who was given up runs the model, and is followed himself', async () => {
    const { ours, theirs } = scene()
    const deaf = new Model(true).say('a')
    await readerOf(await ours.cacheStream('p', 'm', deaf.source)).return?.()
    const model = new Model().say('new')
    const next = hear(await ours.cacheStream('p', 'm', model.source))
    const follower = await following(theirs, 'p')
    model.end()
    expect([await next, await follower.done]).toEqual([{ chunks: ['new'] }, { chunks: ['new'] }])
  })
})
