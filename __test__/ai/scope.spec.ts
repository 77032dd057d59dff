// Whose an answer is: nobody finds what belongs to somebody else, and an option that was meant to say so and is
// misspelt, of a wrong shape or without a value is refused, in every call that has it.
import { describe, expect, it } from 'vitest'
import { areRefused } from '../cache/loads'
import { onStore, stores } from '../cache/stores'
import { again, hear, kept, saying, type AI } from './models'

type Options = { scope?: object; headers?: readonly string[] }

/** Each way to keep something and to find it again, by an index. */
const kinds: [string, (ai: AI, n: number, options?: Options) => Promise<unknown>, (ai: AI, options?: Options) => Promise<unknown>][] = [
  ['a response', (ai, n, options) => ai.cacheResponse('p', n, 'm', 60, {}, options as never), (ai, options) => ai.getCachedResponse('p', 'm', {}, options as never)],
  [
    'an entry',
    (ai, n, options) => ai.cacheResponse('e', n, 'm', 60, {}, options as never),
    async (ai, options) => (await ai.getCachedEntry('e', 'm', {}, options as never))?.response ?? null,
  ],
  [
    'a stream',
    async (ai, n, options) => hear(await ai.cacheStream('p', 'm', saying<unknown>(n).source, options as never)),
    async (ai, options) => {
      const { source, chunks } = await again(ai, 'p', options)
      return kept.test(source) ? chunks[0] : null
    },
  ],
  ['a vector', (ai, n, options) => ai.cacheEmbedding('t', 'm', [n], 60, {}, options as never), async (ai, options) => (await ai.getCachedEmbedding('t', 'm', {}, options as never))?.[0] ?? null],
  [
    'vectors',
    (ai, n, options) => ai.cacheEmbeddings([{ text: 'many', vector: [n] }], 'm', 60, {}, options as never),
    async (ai, options) => (await ai.getCachedEmbeddings(['many'], 'm', {}, options as never))[0]?.[0] ?? null,
  ],
  ['a conversation', (ai, n, options) => ai.cacheConversation('c', n, 60, options as never), (ai, options) => ai.getCachedConversation('c', options as never)],
]

describe.each(stores)('on %s', (store) => {
  const { holdfast, keyPrefix, outside } = onStore(store)
  const { AICacheManager: ai, cacheManager } = holdfast

  it.each(kinds)('%s of one owner is found by nobody else', async (_, keep, find) => {
    const owners: (Options | undefined)[] = [
      undefined,
      { scope: { tenant: 'a' } },
      { scope: { tenant: 'b' } },
      { scope: { user: 'a' } },
      { scope: { tenant: 'a', user: 'b' } },
      { scope: { tenant: 'b', user: 'a' } },
      { scope: { tenant: 'a","user":"b' } },
      { scope: { tenant: 'A' } },
    ]
    for (const [n, owner] of owners.entries()) {
      expect(await find(ai, owner)).toBeNull()
      await keep(ai, n, owner)
    }
    for (const [n, owner] of owners.entries()) expect(await find(ai, owner), JSON.stringify(owner)).toBe(n)
    expect(await find(ai, { scope: { user: 'b', tenant: 'a' } })).toBe(4)
  })

  it.each(kinds)('%s of a namespace is found in it alone, and goes with it at once', async (_, keep, find) => {
    const [one, other] = [ai.namespace('one'), ai.namespace('other')]
    const within = one.namespace('within')
    await ai.clearCache()
    const all = [ai, one, other, within]
    for (const [n, each] of all.entries()) {
      expect(await find(each)).toBeNull()
      await keep(each, n)
    }
    for (const [n, each] of all.entries()) expect(await find(each)).toBe(n)
    expect(await find(ai.namespace('one'))).toBe(1)
    await cacheManager.set('stays', 1)
    await one.clearCache()
    expect(await Promise.all(all.map((each) => find(each)))).toEqual([0, null, 2, null])
    await keep(one, 5)
    expect(await find(one)).toBe(5)
    await ai.clearCache()
    expect(await Promise.all(all.map((each) => find(each)))).toEqual([null, null, null, null])
    expect(await cacheManager.get('stays')).toBe(1)
  })

  it('a stream is shared by those who ask in one namespace, however they come by it', async () => {
    const model = saying('a')
    const streams = await Promise.all([1, 2, 3].map(() => ai.namespace('shared').cacheStream('p', 'm', model.source)))
    expect(streams.map(({ source }) => source)).toEqual(['model', 'tail', 'tail'])
    expect(await Promise.all(streams.map((stream) => hear(stream)))).toEqual([1, 2, 3].map(() => ({ chunks: ['a'] })))
    expect(model.runs).toBe(1)
  })

  if (store === 'redis') it('shows no owner in a key, and no id can spell that of an owned conversation', async () => {
    await ai.clearCache()
    await ai.cacheConversation('id', 'mine', 60, { scope: { user: 'secret' } })
    const [key = ''] = (await outside().call('KEYS', `${keyPrefix}ai:*`)) as string[]
    expect(key).toMatch(/ai:conversation-of:[0-9a-f]{64}$/)
    expect(await ai.getCachedConversation(key.slice(key.lastIndexOf(':') + 1))).toBeNull()
  })
})

describe('options of a key', () => {
  const { AICacheManager: ai } = onStore('memory').holdfast
  const calls: [string, (options: never) => Promise<unknown>][] = [
    ['cacheResponse', (options) => ai.cacheResponse('p', 'r', 'm', 60, {}, options)],
    ['getCachedResponse', (options) => ai.getCachedResponse('p', 'm', {}, options)],
    ['getCachedEntry', (options) => ai.getCachedEntry('p', 'm', {}, options)],
    ['cacheStream', (options) => ai.cacheStream('p', 'm', () => expect.unreachable('the model ran'), options)],
    ['cacheEmbedding', (options) => ai.cacheEmbedding('p', 'm', [1], 60, {}, options)],
    ['cacheEmbeddings', (options) => ai.cacheEmbeddings([{ text: 'p', vector: [1] }], 'm', 60, {}, options)],
    ['getCachedEmbedding', (options) => ai.getCachedEmbedding('p', 'm', {}, options)],
    ['getCachedEmbeddings', (options) => ai.getCachedEmbeddings(['p'], 'm', {}, options)],
    ['cacheConversation', (options) => ai.cacheConversation('c', 1, 60, options)],
    ['getCachedConversation', (options) => ai.getCachedConversation('c', options)],
  ]
  const wrong: [string, unknown[]][] = [
    ['options', [null, 5, 'x-tenant', true, ['x-tenant']]],
    ['options.header', [{ header: ['x-tenant'] }]],
    ['options.tenant', [{ tenant: 't1' }]],
    ['options.scope', [null, undefined, 't1', 5, [], ['t1'], {}].map((scope) => ({ scope }))],
    ['options.scope.team', [{ scope: { tenant: 't1', team: 'a' } }]],
    ['options.scope.tenant', [undefined, null, '', 5, {}, ['t1']].map((tenant) => ({ scope: { user: 'u1', tenant } }))],
    ['options.scope.user', [undefined, null, '', 7].map((user) => ({ scope: { user } }))],
  ]
  it.each(calls.flatMap(([name, call]) => wrong.map(([path, values]) => [name, path, values, call] as const)))(
    '%s: in %s is E_INVALID with that path',
    (_, path, values, call) => areRefused(path, values, call),
  )

  it.each(calls.slice(0, -2))('%s: in headers is E_INVALID with its path', async (_, call) => {
    await areRefused('options.headers', [null, 'x-tenant', 5, {}].map((headers) => ({ headers })), call)
    // A hole in a list, too.
    await areRefused('options.headers[1]', ['', 5, null, undefined].map((name) => ({ headers: ['a', name] })), call)
    await areRefused('options.headers[0]', [{ headers: [, 'a'] }], call)
  })

  it('cacheResponse: what isComplete is not is refused', async () => {
    await areRefused('options.isComplete', [null, true, 'yes', {}].map((isComplete) => ({ isComplete })), (options) => ai.cacheResponse('p', 'r', 'm', 60, {}, options))
  })

  it('cacheStream: what no option is, and what is no pace, is refused', async () => {
    const ask = (options: object) => ai.cacheStream('p', 'm', () => expect.unreachable('the model ran'), options)
    await areRefused('options.tll', [60], (tll) => ask({ tll }))
    await areRefused('options.pace', [Number.NaN, -5, Infinity, 2 ** 31], (pace) => ask({ pace }))
    await areRefused('options.tags', [null], (tags) => ask({ tags }))
  })
})
