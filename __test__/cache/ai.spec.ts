// AI answers: found by prompt, model and parameters, and by nothing that only looks alike.
import { describe, expect, it } from 'vitest'
import { onStore, stores } from './stores'

describe.each(stores)('AICacheManager on %s', (store) => {
  const { holdfast, keyPrefix, outside } = onStore(store)
  const { AICacheManager, cacheManager } = holdfast

  it.each<[string, [string, string], [string, string]]>([
    ['a colon between prompt and model', ['a:b', 'c'], ['a', 'b:c']],
    ['a quote', ['a","b', 'c'], ['a', 'b","c']],
    ['nothing between them', ['ab', 'c'], ['a', 'bc']],
    ['the model', ['same', 'model-1'], ['same', 'model-2']],
    ['white space', ['same ', 'm'], ['same', 'm']],
    ['case', ['Same', 'm'], ['same', 'm']],
    ['an empty prompt', ['', 'm'], ['m', 'm']],
  ])('keeps apart what differs by %s', async (_, one, other) => {
    await AICacheManager.cacheResponse(one[0], 'one', one[1])
    await AICacheManager.cacheResponse(other[0], 'other', other[1])
    expect(await AICacheManager.getCachedResponse(...one)).toBe('one')
    expect(await AICacheManager.getCachedResponse(...other)).toBe('other')
  })

  it.each<[string, unknown]>([
    ['a text', 'answer'], ['an empty text', ''], ['zero', 0], ['false', false], ['an object', { text: 'a', tokens: 5 }], ['a long text', 'word '.repeat(20_000)],
  ])('gives back %s', async (name, response) => {
    expect(await AICacheManager.cacheResponse(name, response, 'm')).toBe(true)
    expect(await AICacheManager.getCachedResponse(name, 'm')).toEqual(response)
  })

  it('takes a prompt of any length', async () => {
    const prompt = 'long '.repeat(200_000)
    await AICacheManager.cacheResponse(prompt, 'long answer', 'm')
    expect(await AICacheManager.getCachedResponse(prompt, 'm')).toBe('long answer')
    expect(await AICacheManager.getCachedResponse(`${prompt}.`, 'm')).toBeNull()
  })

  it('does not care for the order of parameters', async () => {
    await AICacheManager.cacheResponse('p', 'cold', 'm', 60, { temperature: 0, top: { p: 1, k: 2 } })
    expect(await AICacheManager.getCachedResponse('p', 'm', { top: { k: 2, p: 1 }, temperature: 0 })).toBe('cold')
    expect(await AICacheManager.getCachedResponse('p', 'm', { top: { k: 2, p: 1 }, temperature: 1 })).toBeNull()
    expect(await AICacheManager.getCachedResponse('p', 'm')).toBeNull()
  })

  it('keeps a conversation by its id, whatever the id is', async () => {
    const ids = ['conv123', 'a:b', 'a', '{x}', '*', 'x'.repeat(300)]
    await Promise.all(ids.map((id, n) => AICacheManager.cacheConversation(id, { n, messages: [] })))
    expect(await Promise.all(ids.map((id) => AICacheManager.getCachedConversation(id)))).toEqual(ids.map((_, n) => ({ n, messages: [] })))
    expect(await AICacheManager.getCachedConversation('missing')).toBeNull()
  })

  it('shares no key with the cache', async () => {
    await AICacheManager.cacheConversation('conv', 1)
    expect(await cacheManager.get('ai:conversation:conv')).toBeNull()
    expect(await cacheManager.get('conv')).toBeNull()
  })

  if (store === 'redis') it('shows no prompt in a key', async () => {
    await AICacheManager.cacheResponse('my secret question', 'r', 'm')
    const keys = (await outside().call('KEYS', `${keyPrefix}*`)) as string[]
    expect(keys.filter((key) => key.includes('secret'))).toEqual([])
  })
})
