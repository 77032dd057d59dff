// A model endpoint on loopback that streams what a test tells it to, when the test tells it to.

import { createServer } from 'node:http'

/**
 * { url, requests, respond(handler), close() }. `requests` are { url, authorization, body } in the order of their
 * arrival. Each `respond` says how one request is answered, in order; a request too many gets a 500.
 */
export async function startModelServer() {
  const requests = []
  const handlers = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const part of request) text += part
    requests.push({ url: request.url, authorization: request.headers.authorization, body: JSON.parse(text) })
    const handler = handlers.shift()
    if (handler === undefined) response.writeHead(500).end('a question that no test expects')
    else await handler(response)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    requests,
    respond: (handler) => handlers.push(handler),
    close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      return closed
    },
  }
}

/** Words as an endpoint streams them. Resolves when they are handed to the system. */
export function say(response, ...words) {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
  const events = words.map((content) => data({ choices: [{ delta: { content } }] }))
  return new Promise((resolve) => response.write(events.join(''), resolve))
}

/** The end of an answer. */
export function finish(response, reason = 'stop') {
  response.end(`${data({ choices: [{ delta: {}, finish_reason: reason }] })}data: [DONE]\n\n`)
}

export function data(value) {
  return `data: ${JSON.stringify(value)}\n\n`
}
