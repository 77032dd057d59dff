// The built app as a process of its own, and its routes as a client sees them.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { freePort } from '../../../../scripts/lib/ports.mjs'
import { start } from '../../../../scripts/lib/processes.mjs'
import { until } from './until.mjs'

const folder = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Settings of whoever runs the tests must not reach the app. */
const foreign = Object.keys(process.env).filter((name) => /^(REDIS|MODEL|LOCAL_MODEL|QUESTIONS|USE_REDIS|NEXT|NODE_ENV)/.test(name))

/** `next start`, answering: { address, output(), stop() }. `env` is all that the app is told. */
export async function startApp(env, port) {
  const at = port ?? (await freePort())
  const next = join(folder, 'node_modules', 'next', 'dist', 'bin', 'next')
  const server = start(process.execPath, [next, 'start', '--hostname', '127.0.0.1', '--port', String(at)], {
    cwd: folder,
    env: { ...Object.fromEntries(foreign.map((name) => [name, undefined])), NEXT_TELEMETRY_DISABLED: '1', QUESTIONS_PER_MINUTE: '100000', ...env },
  })
  const address = `http://127.0.0.1:${at}`
  try {
    await until('the app answers', () => fetch(address).then(({ ok }) => ok), { giveUp: () => !server.running })
  } catch (error) {
    await server.stop()
    throw new Error(`${error.message}\n${server.output()}`, { cause: error })
  }
  return { address, output: server.output, stop: server.stop }
}

/** POST /api/chat with any body. */
export function post(address, body, signal) {
  return fetch(`${address}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  })
}

/** The whole answer: { source, model, text, sources, ms, error }. What didn't come is undefined. */
export async function ask(address, question, options) {
  const events = []
  for await (const event of eventsOf(address, question, options)) events.push(event)
  return answerOf(events)
}

/** The events of an answer, one by one, as they arrive. */
export async function* eventsOf(address, question, { history = [], signal } = {}) {
  const response = await post(address, { messages: [...history, { role: 'user', content: question }] }, signal)
  if (!response.ok) throw new Error(`asked ${JSON.stringify(question)}, the app answered ${response.status}: ${await response.text()}`)
  let rest = ''
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) yield JSON.parse(line)
  }
}

export function answerOf(events) {
  const only = (type) => events.find((event) => event.type === type)
  return {
    source: only('start')?.source,
    model: only('start')?.model,
    text: events.filter(({ type }) => type === 'text').map(({ text }) => text).join(''),
    sources: only('sources')?.sources ?? [],
    ms: only('end')?.ms,
    error: only('error')?.message,
  }
}

/** What the health route says: { status, header, cacheControl, body }. */
export async function health(address) {
  const response = await fetch(`${address}/api/health/redis`)
  return {
    status: response.status,
    header: response.headers.get('x-health-status'),
    cacheControl: response.headers.get('cache-control'),
    body: await response.json(),
  }
}
