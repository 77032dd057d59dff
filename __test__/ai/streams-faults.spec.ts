// Streams while Redis is away, goes away, freezes or denies what they need: whoever asks is answered, by the model, and
// nobody takes a part of an answer for the whole.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { InstanceOptions } from '../cache/stores'
import { Scene, apart, unhandledDuring } from '../fault/outage'
import { another } from '../fault/raw'
import { waitFor } from '../support/wait-for'
import { Model, again, hear, listening, ranAnew, readerOf, saying, wholeOrBrokenOff } from './models'

/** How a server goes away, and comes back. */
const ways: [string, (scene: Scene) => Promise<unknown> | void, (scene: Scene) => Promise<unknown> | void][] = [
  ['that dies', ({ server }) => server.kill(), ({ server }) => server.start()],
  ['that freezes', ({ server }) => server.freeze(), ({ server }) => server.thaw()],
  ['whose network is cut', ({ proxy }) => proxy.set('refuse'), ({ proxy }) => proxy.set('pass')],
]

/** Connected, and quick to notice an outage. */
async function start(options: InstanceOptions = {}): Promise<Scene> {
  const scene = await Scene.start({ commandTimeoutMs: 2_000, ...options })
  await scene.cache.set('probe', 1)
  return scene
}

/** The streams that the server holds. */
const stored = (scene: Scene) => scene.outside((client) => client.call('KEYS', `${scene.keyPrefix}ai:stream:*`))

describe.each(ways)('a server %s', (_, leave, comeBack) => {
  it('before anybody asks: the model answers, memory keeps it, and Redis has it afterwards', async () => {
    await using scene = await start()
    const ai = scene.holdfast.AICacheManager
    await leave(scene)
    const unhandled = await unhandledDuring(async () => {
      const model = new Model().say('a')
      const open = () => ai.cacheStream('away', 'm', model.source)
      const [first, second] = await Promise.all([open(), open()])
      const reader = readerOf(first)
      expect(await reader.next()).toEqual({ value: 'a', done: false })
      model.say('b').end()
      expect(await hear(second)).toEqual({ chunks: ['a', 'b'] })
      expect(await hear({ [Symbol.asyncIterator]: () => reader })).toEqual({ chunks: ['b'] })
      expect(model.runs).toBe(1)
      expect(await again(ai, 'away')).toEqual({ source: 'memory', chunks: ['a', 'b'] })
      expect((await hear(await ai.cacheStream('fails', 'm', new Model().fail('broken').source))).error).toBe('broken')
      expect(await again(ai, 'fails')).toEqual(ranAnew)
    })
    expect(unhandled).toEqual([])
    await comeBack(scene)
    await scene.healed()
    expect(await stored(scene)).toHaveLength(1)
    expect(await again(ai, 'away')).toMatchObject({ chunks: ['a', 'b'] })
  })

  it('before anybody asks, where memory may not answer: the model does', async () => {
    await using scene = await start({ fallback: { enabled: false } })
    const ai = scene.holdfast.AICacheManager
    await leave(scene)
    expect(await hear(await ai.cacheStream('away', 'm', saying('a', 'b').source))).toEqual({ chunks: ['a', 'b'] })
    expect(await again(ai, 'away')).toEqual(ranAnew)
    await comeBack(scene)
  })

  it('midway: the stream goes on for who listens in its process, at once, and to its end', async () => {
    await using scene = await start()
    const ai = scene.holdfast.AICacheManager
    const model = new Model()
    const reader = readerOf(await ai.cacheStream('midway', 'm', model.source))
    const second = hear(await ai.cacheStream('midway', 'm', model.source))
    const unhandled = await unhandledDuring(async () => {
      for (const value of ['a', 'b', 'c']) {
        model.say(value)
        // Nothing of this asks Redis.
        expect(await reader.next()).toEqual({ value, done: false })
        if (value === 'a') await leave(scene)
      }
      model.end()
      expect((await reader.next()).done).toBe(true)
      expect(await second).toEqual({ chunks: ['a', 'b', 'c'] })
      // What was being written when the server froze may be kept or not; never a part of it.
      const { chunks } = await again(ai, 'midway')
      expect([['a', 'b', 'c'], ranAnew.chunks]).toContainEqual(chunks)
    })
    expect(unhandled).toEqual([])
    await comeBack(scene)
  })

  it('midway: what ends after that was noticed is kept by memory, and Redis has it afterwards', async () => {
    await using scene = await start()
    const ai = scene.holdfast.AICacheManager
    const model = new Model().say('a')
    const heard = hear(await ai.cacheStream('noticed', 'm', model.source))
    await leave(scene)
    await scene.degraded()
    model.say('b').end()
    expect(await heard).toEqual({ chunks: ['a', 'b'] })
    expect(await again(ai, 'noticed')).toEqual({ source: 'memory', chunks: ['a', 'b'] })
    await comeBack(scene)
    await scene.healed()
    expect(await stored(scene)).toHaveLength(1)
    expect(await again(ai, 'noticed')).toMatchObject({ chunks: ['a', 'b'] })
  })

  it('midway: in another process who heard something is told, and who heard nothing runs the model', async () => {
    await using scene = await start()
    const ours = scene.holdfast.AICacheManager
    const theirs = (await another(scene, { url: scene.proxy.url, commandTimeoutMs: 2_100 })).AICacheManager
    const [speaking, silent, never, other] = [new Model().say('a'), new Model(), new Model(), saying('another run')]
    const [led, ledSilently] = [hear(await ours.cacheStream('speaks', 'm', speaking.source)), hear(await ours.cacheStream('is silent', 'm', silent.source))]
    const follower = listening(await theirs.cacheStream('speaks', 'm', never.source))
    const waiting = hear(await theirs.cacheStream('is silent', 'm', other.source))
    await waitFor('what came', () => follower.heard.chunks.length === 1)
    await leave(scene)
    expect(await follower.done).toEqual({ chunks: ['a'], error: expect.objectContaining({ name: 'HoldfastError' }) })
    expect(await waiting).toEqual({ chunks: ['another run'] })
    for (const model of [speaking, silent]) model.say('b').end()
    expect(await Promise.all([led, ledSilently])).toEqual([{ chunks: ['a', 'b'] }, { chunks: ['b'] }])
    expect(never.runs).toBe(0)
    await comeBack(scene)
  })
})

describe('a leader', () => {
  it('that is cut off for a moment never makes another answer elsewhere: it is whole, or it is broken off', async () => {
    await using scene = await start()
    const ours = scene.holdfast.AICacheManager
    const theirs = (await another(scene)).AICacheManager
    const model = new Model().say('a')
    const first = listening(await ours.cacheStream('cut off', 'm', model.source))
    const follower = listening(await theirs.cacheStream('cut off', 'm', saying('of its own').source))
    await waitFor('what came', () => follower.heard.chunks.length === 1)
    await scene.proxy.set('refuse')
    await scene.degraded()
    model.say('lost on the way')
    await waitFor('it here', () => first.heard.chunks.length === 2)
    // It was sent by then, and refused.
    await apart()
    await scene.proxy.set('pass')
    await scene.healed()
    model.say('c').end()
    const whole = ['a', 'lost on the way', 'c']
    expect(await first.done).toEqual({ chunks: whole })
    expect(await follower.done).toSatisfy(wholeOrBrokenOff(whole, ['of its own']))
  })
})

describe('a user of the ACL', () => {
  const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
  const section = text.slice(text.indexOf('## What the server must allow'))

  /** The commands of one line of the table. */
  const needed = (line: string): string[] => {
    const row = section.split('\n').find((one) => one.startsWith(`| ${line}`)) ?? ''
    return [...row.matchAll(/`([A-Z]+(?: [A-Z]+)?)`/g)].map(([, command = '']) => `+${command.toLowerCase().replace(' ', '|')}`)
  }

  /** Two instances of a user with these rights. */
  async function allowed(rights: readonly string[]): Promise<{ scene: Scene; ours: Scene['holdfast']; theirs: Scene['holdfast'] }> {
    const user = { username: 'app', password: 'of-the-app' }
    const scene = await Scene.start(user)
    await scene.outside((outside) => outside.call('ACL', 'SETUSER', 'app', 'on', '>of-the-app', `~${scene.keyPrefix}*`, ...rights))
    return { scene, ours: scene.holdfast, theirs: await another(scene) }
  }

  it('with the documented rights shares streams among processes', async () => {
    const { scene, ours, theirs } = await allowed(['everything', '[streams]'].flatMap(needed))
    await using _ = scene
    const model = new Model().say('a')
    const first = hear(await ours.AICacheManager.cacheStream('shared', 'm', model.source))
    const other = saying('another run')
    const follower = listening(await theirs.AICacheManager.cacheStream('shared', 'm', other.source))
    await waitFor('what came', () => follower.heard.chunks.length > 0)
    model.say('b').end()
    expect(await Promise.all([first, follower.done])).toEqual([{ chunks: ['a', 'b'] }, { chunks: ['a', 'b'] }])
    expect(other.runs).toBe(0)
    const live = (await scene.outside((outside) => outside.call('KEYS', `${scene.keyPrefix}ai-live:*`))) as string[]
    for (const key of live) expect(await scene.outside((outside) => outside.call('PTTL', key))).toBeGreaterThan(0)
  })

  it('without them has streams all the same: each process runs the model', async () => {
    const { scene, ours, theirs } = await allowed(needed('everything'))
    await using _ = scene
    const model = new Model().say('a')
    const first = hear(await ours.AICacheManager.cacheStream('denied', 'm', model.source))
    const other = saying('another run')
    expect(await hear(await theirs.AICacheManager.cacheStream('denied', 'm', other.source))).toEqual({ chunks: ['another run'] })
    model.say('b').end()
    expect(await first).toEqual({ chunks: ['a', 'b'] })
    expect([model.runs, other.runs]).toEqual([1, 1])
  })
})
