// Visitors by the routes: sessions behind cookies, the stream of the room, and limits, without a Redis.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { post, startApp } from './support/app.mjs'
import { until } from './support/until.mjs'

const perMinute = 2

let app
before(async () => (app = await startApp({ REDIS_URL: 'memory:', LOCAL_MODEL_WORDS_PER_SECOND: '100000', QUESTIONS_PER_MINUTE: String(perMinute) })))
after(() => app?.stop())

test('who has nothing to keep gets no session', async () => {
  const { status, cookie, body } = await session('GET')
  assert.deepEqual([status, cookie, body], [200, undefined, { name: null, user: null, questions: [] }])
})

test('a guest’s name is kept; a log-in keeps it under another id, and a log-out ends it', async () => {
  const guest = await session('PATCH', { name: ' Ada ' })
  assert.equal(guest.body.name, 'Ada')
  assert.match(guest.cookie, /^__Host-session=g/)
  const user = await session('POST', { user: 'ada@example.com' }, guest.cookie)
  assert.deepEqual(user.body, { name: 'Ada', user: 'ada@example.com', questions: [] })
  assert.match(user.cookie, /^__Host-session=u/)
  assert.equal((await session('GET', undefined, guest.cookie)).body.name, null)
  assert.equal((await session('DELETE', undefined, user.cookie)).cookie, '__Host-session=')
  assert.equal((await session('GET', undefined, user.cookie)).body.name, null)
})

for (const [what, method, body, field] of [
  ['no name', 'PATCH', {}, 'name'],
  ['an empty name', 'PATCH', { name: ' ' }, 'name'],
  ['a name that is too long', 'PATCH', { name: 'x'.repeat(41) }, 'name'],
  ['a name that is no text', 'PATCH', { name: 7 }, 'name'],
  ['a name with a control character', 'PATCH', { name: 'A\u0007' }, 'name'],
  ['a log-in without a user', 'POST', null, 'user'],
]) {
  test(`the session route refuses ${what}, and names ${field}`, async () => {
    const refused = await session(method, body)
    assert.deepEqual([refused.status, refused.body.error.split(' ')[0], refused.cookie], [400, field, undefined])
  })
}

test('a window hears who comes, who types and who goes', async () => {
  const first = await openStream('first')
  await first.heard('event: people\ndata: {}')
  const second = await openStream('second', (await session('PATCH', { name: 'Grace' })).cookie)
  await until('both are there', async () => (await people()).length === 2)
  assert.deepEqual(await people(), [{ window: 'first', name: '' }, { window: 'second', name: 'Grace' }])
  assert.equal((await typing({ window: 'second', isTyping: true })).status, 204)
  await first.heard('event: typing\ndata: {"window":"second","isTyping":true}')
  second.close()
  await until('it has gone', async () => (await people()).length === 1)
  first.close()
  await until('nobody is there', async () => (await people()).length === 0)
})

test('the room refuses windows without a proper name', async () => {
  assert.equal((await fetch(`${app.address}/api/room?window=../x`)).status, 400)
  assert.equal((await typing({ window: 'second' })).status, 400)
  assert.equal((await typing(null)).status, 400)
})

test('a question too many is refused, with the time to wait', async () => {
  const ask = () => post(app.address, { messages: [{ role: 'user', content: 'What is a tombstone?' }] })
  for (let left = perMinute - 1; left >= 0; left--) {
    const response = await ask()
    assert.deepEqual([response.status, response.headers.get('x-ratelimit-remaining')], [200, String(left)])
    await response.text()
  }
  const refused = await ask()
  assert.equal(refused.status, 429)
  const wait = Number(refused.headers.get('retry-after'))
  assert.ok(wait > 0 && wait <= 60, `${wait} is the rest of a minute`)
})

/** { status, cookie, body }: what the session route answers, and the cookie that it sets. */
async function session(method, body, cookie) {
  const response = await fetch(`${app.address}/api/session`, {
    method,
    headers: cookie === undefined ? {} : { cookie },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  return { status: response.status, cookie: response.headers.get('set-cookie')?.split(';')[0], body: await response.json() }
}

async function people() {
  return (await (await fetch(`${app.address}/api/room/people`)).json()).people
}

function typing(body) {
  return fetch(`${app.address}/api/room/typing`, { method: 'POST', body: JSON.stringify(body) })
}

/** A window's event stream: { heard(text), close() }. */
async function openStream(window, cookie) {
  const gone = new AbortController()
  const response = await fetch(`${app.address}/api/room?window=${window}`, { signal: gone.signal, headers: cookie === undefined ? {} : { cookie } })
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  let seen = ''
  const read = async () => {
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) seen += text
  }
  read().catch(() => {})
  return { heard: (text) => until(`${window} hears ${text}`, () => seen.includes(`${text}\n\n`)), close: () => gone.abort() }
}
