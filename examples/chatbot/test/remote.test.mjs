// The path to a remote model: what it streams is passed on as it comes, a whole answer is kept, and anything
// less is an error that leaves nothing behind. The endpoint is a server of the test's own on loopback.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { answerOf, ask, eventsOf, health, startApp } from './support/app.mjs'
import { data, finish, say, startModelServer } from './support/model-server.mjs'
import { until } from './support/until.mjs'

const key = 'sk-this-must-never-be-seen'

let endpoint
let app
/** Everything that the app has answered, for the search for the key. */
const seen = []

before(async () => {
  endpoint = await startModelServer()
  app = await startApp({ REDIS_URL: 'memory:', MODEL_BASE_URL: endpoint.url, MODEL_NAME: 'test-model', MODEL_API_KEY: key })
})
after(async () => {
  await app?.stop()
  await endpoint?.close()
})

test('a whole answer is passed on while it is written, and asked again it comes from the cache', async () => {
  const firstSeen = gate()
  endpoint.respond(async (response) => {
    await say(response, 'One ')
    // The rest is written only when the page has what came before.
    await firstSeen.promise
    await say(response, 'two ', 'three.')
    finish(response)
  })
  const events = []
  for await (const event of eventsOf(app.address, 'Count to three')) {
    events.push(event)
    if (event.type === 'text') firstSeen.open()
  }
  const { source, model, text, sources, ms } = note(answerOf(events))
  assert.deepEqual({ source, model, text, sources }, { source: 'model', model: 'test-model', text: 'One two three.', sources: [] })
  assert.ok(Number.isInteger(ms) && ms > 0, `${ms} is a time`)

  const asked = endpoint.requests.length
  const again = note(await ask(app.address, 'Count to three'))
  assert.equal(again.source, 'memory')
  assert.equal(again.model, 'test-model')
  assert.equal(again.text, 'One two three.')
  assert.equal(endpoint.requests.length, asked, 'the endpoint was not asked again')
})

test('the endpoint is asked by the chat completions protocol, with the key and with what was said before', async () => {
  endpoint.respond((response) => say(response, 'Ada.').then(() => finish(response)))
  const history = [{ role: 'user', content: 'My name is Ada.' }, { role: 'assistant', content: 'Hello.' }]
  assert.equal(note(await ask(app.address, 'What is my name?', { history })).text, 'Ada.')
  const { url, authorization, body } = endpoint.requests.at(-1)
  assert.equal(url, '/v1/chat/completions')
  assert.equal(authorization, `Bearer ${key}`)
  assert.deepEqual(body, { model: 'test-model', stream: true, messages: [...history, { role: 'user', content: 'What is my name?' }] })
})

test('another history is another question', async () => {
  endpoint.respond((response) => say(response, 'I do not know.').then(() => finish(response)))
  const { source, text } = note(await ask(app.address, 'What is my name?'))
  assert.deepEqual({ source, text }, { source: 'model', text: 'I do not know.' })
})

test('chunks may end anywhere: within a character, and within a line end', async () => {
  const text = 'Größe: 5 µm ✓'
  endpoint.respond(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const bytes = Buffer.from(`: a comment\r\n\r\n${data({ choices: [{ delta: { content: text } }] }).replaceAll('\n', '\r\n')}data: [DONE]\r\n\r\n`)
    for (let at = 0; at < bytes.length; at++) await new Promise((resolve) => response.write(bytes.subarray(at, at + 1), resolve))
    response.end()
  })
  assert.equal(note(await ask(app.address, 'How large?')).text, text)
})

/** Ways in which an endpoint gives less than an answer. Each handler gets a promise that the first words have been seen. */
const failures = [
  {
    what: 'a connection that breaks in mid-stream',
    error: 'The model broke off in the middle of its answer.',
    async handler(response, firstSeen) {
      await say(response, 'Half ', 'an ', 'answer')
      await firstSeen
      response.socket.destroy()
    },
  },
  {
    what: 'a stream that ends without saying that the answer does',
    error: 'The model broke off in the middle of its answer.',
    handler: (response) => say(response, 'Half ', 'an ', 'answer').then(() => response.end()),
  },
  {
    what: 'an error event in mid-stream',
    error: 'The model reported an error in the middle of its answer.',
    handler: (response) => say(response, 'Half').then(() => response.end(data({ error: { message: `wrong key ${key}` } }))),
  },
  {
    what: 'an answer that was cut off for its length',
    error: 'The model stopped before the end of its answer (length).',
    handler: (response) => say(response, 'Half').then(() => finish(response, 'length')),
  },
  {
    what: 'a status that is not 200',
    error: 'The model refused the question (HTTP 401).',
    handler: (response) => response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ error: `wrong key ${key}` })),
  },
  {
    what: 'a line that is no JSON',
    error: 'The model sent something that is no answer.',
    handler: (response) => say(response, 'Half').then(() => response.end('data: {"choices":\n\n')),
  },
  {
    what: 'an empty answer',
    error: 'The model gave an empty answer.',
    handler: (response) => say(response).then(() => finish(response)),
  },
]

for (const { what, error, handler } of failures) {
  test(`${what} is an error, nothing is kept, and the next one who asks gets a whole answer`, async () => {
    const question = `What about ${what}?`
    const firstSeen = gate()
    endpoint.respond((response) => handler(response, firstSeen.promise))
    const events = []
    for await (const event of eventsOf(app.address, question)) {
      events.push(event)
      if (event.type === 'text') firstSeen.open()
    }
    assert.equal(note(answerOf(events)).error, error)
    assert.equal(events.at(-1).type, 'error', 'nothing comes after the error')

    endpoint.respond((response) => say(response, 'A whole answer.').then(() => finish(response)))
    const next = note(await ask(app.address, question))
    assert.deepEqual([next.source, next.text, next.error], ['model', 'A whole answer.', undefined])
    assert.equal(note(await ask(app.address, question)).source, 'memory')
  })
}

test('when the page goes away the endpoint is told, and half an answer is not kept', async () => {
  const question = 'Will you wait for me?'
  const gone = new AbortController()
  let ended = false
  endpoint.respond(async (response) => {
    response.on('close', () => (ended = true))
    await say(response, 'I will ')
  })
  await assert.rejects(async () => {
    for await (const { type } of eventsOf(app.address, question, { signal: gone.signal })) if (type === 'text') gone.abort()
  }, { name: 'AbortError' })
  await until('the endpoint is told', () => ended)

  endpoint.respond((response) => say(response, 'Yes.').then(() => finish(response)))
  assert.equal(note(await ask(app.address, question)).source, 'model')
})

test('an endpoint that can’t be reached is an error; what was answered before is still found', async () => {
  await endpoint.close()
  assert.equal(note(await ask(app.address, 'Is anybody there?')).error, 'The model can’t be reached.')
  assert.equal(note(await ask(app.address, 'Count to three')).source, 'memory')
})

test('the key is in nothing that the app answers or logs', async () => {
  note(await health(app.address))
  note(await fetch(app.address).then((response) => response.text()))
  for (const text of [...seen, app.output()]) assert.ok(!text.includes(key), text)
})

function note(answer) {
  seen.push(JSON.stringify(answer))
  return answer
}

/** A promise that the test resolves. */
function gate() {
  let open
  const promise = new Promise((resolve) => (open = resolve))
  return { promise, open }
}
