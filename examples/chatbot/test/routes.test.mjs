// The routes, and the badge's truth: where an answer is said to come from is where it came from, without a
// Redis and with one that is emptied, left alone, killed and brought back.

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'

import { startRedis } from '../../../scripts/lib/redis-server.mjs'
import { redisServer } from '../../../scripts/lib/tools.mjs'
import { ask, health, post, startApp } from './support/app.mjs'
import { rawClient } from './support/resp.mjs'
import { until } from './support/until.mjs'

// Without one nothing here runs, and the reason is one sentence.
const program = await redisServer()
const question = 'What happens when Redis is down?'
const other = 'What is a tombstone?'
const fast = { LOCAL_MODEL_WORDS_PER_SECOND: '100000' }

suite('without Redis', () => {
  const env = { ...fast, REDIS_URL: 'memory:' }
  let app
  before(async () => (app = await startApp(env)))
  after(() => app?.stop())

  const long = 'x'.repeat(8_001)
  const said = { role: 'user', content: 'Hello' }
  const wrong = [
    ['a body that is no JSON', 'messages', 'messages'],
    ['no messages', {}, 'messages'],
    ['messages that are no list', { messages: 'Hello' }, 'messages'],
    ['an empty list', { messages: [] }, 'messages'],
    ['too many messages', { messages: Array(101).fill(said) }, 'messages'],
    ['a message that is null', { messages: [said, null] }, 'messages[1]'],
    ['a role that does not exist', { messages: [{ role: 'system', content: 'Hello' }] }, 'messages[0]'],
    ['a content that is no text', { messages: [said, { role: 'user', content: 7 }] }, 'messages[1]'],
    ['a content that is too long', { messages: [{ role: 'user', content: long }] }, 'messages[0].content'],
    ['an empty question', { messages: [{ role: 'user', content: ' \n' }] }, 'messages[0]'],
    ['a last message that is no question', { messages: [said, { role: 'assistant', content: 'Hello' }] }, 'messages[1]'],
  ]
  for (const [what, body, field] of wrong) {
    test(`the chat route refuses ${what}, and names ${field}`, async () => {
      const response = await post(app.address, body)
      assert.equal(response.status, 400)
      const { error } = await response.json()
      assert.equal(error.split(' ')[0], field, error)
    })
  }

  test('the health route says that memory answers, and that it is well', async () => {
    const { status, header, cacheControl, body } = await health(app.address)
    assert.deepEqual([status, header, cacheControl], [200, 'healthy', 'no-cache, no-store, must-revalidate'])
    assert.equal(body.redis.available, false)
  })

  test('a note is kept, found and deleted', async () => {
    const notes = notesOf(app.address)
    assert.deepEqual(await notes.set({ key: 'a', value: { text: 'Grüße' }, ttl: '1m' }), [200, { kept: true }])
    const [status, { value, source, ttlMs }] = await notes.get('a')
    assert.deepEqual([status, value, source], [200, { text: 'Grüße' }, 'memory'])
    assert.ok(ttlMs > 0 && ttlMs <= 60_000, `${ttlMs} is what is left of a minute`)
    assert.deepEqual(await notes.delete('a'), [200, { deleted: true }])
    assert.deepEqual(await notes.delete('a'), [200, { deleted: false }])
    assert.deepEqual(await notes.get('a'), [404, { error: 'no such note' }])
  })

  const wrongNotes = [
    ['no key', { value: 1 }, 'key'],
    ['a body that is null', null, 'key'],
    ['no value', { key: 'a' }, 'value'],
    ['a ttl below 0', { key: 'a', value: 1, ttl: -1 }, 'options.ttl'],
  ]
  for (const [what, body, field] of wrongNotes) {
    test(`the notes route refuses ${what}, and names ${field}`, async () => {
      const [status, { error, code }] = await notesOf(app.address).set(body)
      assert.deepEqual([status, code], [400, 'E_INVALID'])
      assert.ok(error.includes(field), error)
    })
  }

  test('asked twice: the model, then memory; with the app restarted: the model', async () => {
    const first = await ask(app.address, question)
    assert.equal(first.source, 'model')
    assert.deepEqual(same(await ask(app.address, question)), { ...same(first), source: 'memory' })
    await app.stop()
    app = await startApp(env)
    assert.deepEqual(same(await ask(app.address, question)), same(first))
  })
})

suite('with a Redis', () => {
  let redis
  let app
  let env
  let first
  before(async () => {
    redis = await startRedis(program)
    env = { ...fast, REDIS_URL: redis.url }
    app = await startApp(env)
  })
  after(async () => {
    await app?.stop()
    await redis?.stop('SIGKILL')
  })

  test('the health route says that Redis answers', async () => {
    // A busy machine may be slow for a moment, and says so.
    const { status, body } = await until('it is healthy', async () => {
      const seen = await health(app.address)
      return seen.header === 'healthy' && seen
    })
    assert.deepEqual([status, body.redis.available], [200, true])
  })

  test('asked twice: the model, then Redis', async () => {
    first = await ask(app.address, question)
    assert.equal(first.source, 'model')
    assert.deepEqual(same(await ask(app.address, question)), { ...same(first), source: 'redis' })
  })

  test('with its key deleted by another client: the model', async () => {
    const raw = await rawClient(redis.port)
    const keys = await raw.call('KEYS', 'ai-chatbot:ai:response:*')
    assert.equal(keys.length, 1)
    assert.equal(await raw.call('DEL', keys[0]), 1)
    raw.close()
    assert.equal((await ask(app.address, question)).source, 'model')
  })

  test('with the app restarted: Redis', async () => {
    await app.stop()
    app = await startApp(env)
    assert.deepEqual(same(await ask(app.address, question)), { ...same(first), source: 'redis' })
  })

  test('with Redis killed: memory, and what is asked now is kept there', async () => {
    await redis.stop('SIGKILL')
    assert.deepEqual(same(await ask(app.address, question)), { ...same(first), source: 'memory' })
    assert.equal((await ask(app.address, other)).source, 'model')
    assert.equal((await ask(app.address, other)).source, 'memory')
    const { status, header, body } = await health(app.address)
    assert.deepEqual([status, header, body.fallback.active], [200, 'degraded', true])
  })

  test('with Redis back, empty: what was asked while it was away has reached it', async () => {
    redis = await startRedis(program, { port: redis.port })
    await until('Redis answers and nothing waits', async () => {
      const { header, body } = await health(app.address)
      return header === 'healthy' && body.fallback.stats.journalDepth === 0
    })
    assert.equal((await ask(app.address, other)).source, 'redis')
    assert.equal((await ask(app.address, question)).source, 'model', 'which Redis took with it')
  })
})

/** What is the same about two answers to one question. */
function same({ source, model, text, sources }) {
  return { source, model, text, sources }
}

/** The notes route: each answer is [status, body]. */
function notesOf(address) {
  const send = async (method, query, body) => {
    const response = await fetch(`${address}/api/notes${query}`, { method, body })
    return [response.status, await response.json()]
  }
  const named = (key) => `?key=${encodeURIComponent(key)}`
  return {
    get: (key) => send('GET', named(key)),
    set: (body) => send('POST', '', JSON.stringify(body)),
    delete: (key) => send('DELETE', named(key)),
  }
}
