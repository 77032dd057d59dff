// A fresh Next app with Holdfast from its tarballs: built with Turbopack and started, built as standalone
// output and started somewhere else, and edited twenty times under `next dev`.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { packed } from '../../scripts/pack.mjs'
import { consumer, installPacked } from '../../scripts/lib/packages.mjs'
import { freePort } from '../../scripts/lib/ports.mjs'
import { endOnSignals, must, start } from '../../scripts/lib/processes.mjs'
import { startRedis } from '../../scripts/lib/redis-server.mjs'
import { redisServer } from '../../scripts/lib/tools.mjs'

const edits = 20
const requestsPerEdit = 10

endOnSignals()
const app = await consumer('next', join(dirname(fileURLToPath(import.meta.url)), 'app'))
await installPacked(app, packed())
const next = join(app, 'node_modules', 'next', 'dist', 'bin', 'next')
const redis = await startRedis(await redisServer())
const env = { REDIS_URL: redis.url, NODE_ENV: undefined, NEXT_TELEMETRY_DISABLED: '1' }

let passed = 0
let failed = 0
await part('built with Turbopack and started', async () => {
  const before = await redis.accepted()
  await must(process.execPath, [next, 'build'], { cwd: app, env, timeoutMs: 180_000 })
  // Of the connections since then one is the question itself.
  equal((await redis.accepted()) - before, 1, 'connections that `next build` caused, and the question')
  await serve([next, 'start'], app, ask)
})
await part('built as standalone output and started elsewhere', async () => {
  await must(process.execPath, [next, 'build'], { cwd: app, env: { ...env, NEXT_OUTPUT: 'standalone' }, timeoutMs: 180_000 })
  // Far from this folder's node_modules, as in a container image: what was not traced is missing.
  const elsewhere = mkdtempSync(join(tmpdir(), 'holdfast-standalone-'))
  try {
    cpSync(join(app, '.next', 'standalone'), elsewhere, { recursive: true, verbatimSymlinks: true })
    await serve([join(elsewhere, 'server.js')], elsewhere, ask)
  } finally {
    rmSync(elsewhere, { recursive: true, force: true })
  }
})
await part(`edited ${edits} times under next dev, with a constant number of connections`, async () => {
  await serve([next, 'dev'], app, hotReload)
})
await redis.stop()
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1

async function part(name, body) {
  const begin = Date.now()
  try {
    await body()
    passed++
    process.stdout.write(`ok   ${name} (${Date.now() - begin} ms)\n`)
  } catch (error) {
    failed++
    process.stdout.write(`FAIL ${name} (${Date.now() - begin} ms)\n${error.stack}\n`)
  }
}

/** Starts a Next server, runs `body` with its address, and shows its log when something is wrong. */
async function serve(args, cwd, body) {
  const port = await freePort()
  const isNext = args[0] === next
  const server = start(process.execPath, isNext ? [...args, '--port', String(port)] : args, {
    cwd,
    env: { ...env, PORT: String(port), HOSTNAME: '127.0.0.1' },
  })
  try {
    await until('the server answers', () => fetch(`http://127.0.0.1:${port}/api/value?key=none`).then(({ ok }) => ok), {
      giveUp: () => !server.running,
    })
    await body(`http://127.0.0.1:${port}`)
  } catch (error) {
    throw new Error(`${error.message}\nThe server's log:\n${server.output()}`, { cause: error })
  } finally {
    await server.stop()
  }
}

async function ask(address) {
  const page = await fetch(`${address}/`)
  equal(page.status, 200, 'status of the page')
  contains(await page.text(), 'made once', 'the page')
  equal(page.headers.get('x-last-path'), '/', "the proxy's header, read back from the cache")

  const kept = await json(`${address}/api/value`, { method: 'POST', body: JSON.stringify({ key: 'asked', value: { at: address } }) })
  equal(kept.kept, true, 'POST of a value')
  const read = await json(`${address}/api/value?key=asked`)
  equal(read.value?.at, address, 'the value read back')
  equal(read.registered, true, 'what instrumentation.ts wrote')

  const { error } = await json(`${address}/api/edge`)
  if (typeof error !== 'string' || !/edge/i.test(error) || /native binding|npm has a bug/i.test(error)) {
    throw new Error(`the edge route's error should say that this runtime can't be served, but is ${JSON.stringify(error)}`)
  }
  const connections = await redis.connections()
  // Page, route, proxy and instrumentation are separate copies of the module, but one core and one pool.
  if (connections.length < 1 || connections.length > 5) throw new Error(`${connections.length} connections to Redis:\n${connections.join('\n')}`)
}

async function hotReload(address) {
  const page = join(app, 'app', 'page.tsx')
  const source = readFileSync(page, 'utf8')
  const request = async (revision) => {
    const text = await fetch(`${address}/`).then((response) => response.text())
    contains(text, 'made once', 'the page')
    return text.includes(`revision ${revision}<`)
  }
  await until('the first page', () => request(0))
  for (let count = 0; count < requestsPerEdit; count++) await request(0)
  const before = (await redis.connections()).length
  if (before < 1) throw new Error('no connection to Redis before the first edit')
  for (let revision = 1; revision <= edits; revision++) {
    writeFileSync(page, source.replace('const revision = 0', `const revision = ${revision}`))
    await until(`revision ${revision} on the page`, () => request(revision))
    for (let count = 0; count < requestsPerEdit; count++) await request(revision)
    const now = await redis.connections()
    equal(now.length, before, `connections after edit ${revision}`)
  }
}

async function json(address, init) {
  const response = await fetch(address, init)
  const text = await response.text()
  if (!response.ok) throw new Error(`${address} answered ${response.status}: ${text.slice(0, 2_000)}`)
  return JSON.parse(text)
}

async function until(what, condition, { withinMs = 60_000, giveUp = () => false } = {}) {
  const bound = Date.now() + withinMs
  let last
  while (Date.now() < bound && !giveUp()) {
    try {
      if (await condition()) return
      last = undefined
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`waited in vain until ${what}${last ? `: ${last.message}` : ''}`)
}

function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`)
}

function contains(text, part, what) {
  if (!text.includes(part)) throw new Error(`${what} should contain ${JSON.stringify(part)}, but is:\n${text.slice(0, 2_000)}`)
}
