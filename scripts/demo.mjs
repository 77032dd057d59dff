// `npm run demo`: builds the addon, installs the example from the packed tarballs and starts it.
//   npm run demo                 on the embedded memory store, or on the server REDIS_URL names
//   npm run demo -- --redis      gets and starts a Redis too
//   npm run demo -- --check      starts, asks for the page and for one answer, and stops

import { join } from 'node:path'

import { addonIsUpToDate } from './lib/addon.mjs'
import { upToDate } from './lib/fresh.mjs'
import { installLocked, installPacked } from './lib/packages.mjs'
import { cacheFolder, root } from './lib/paths.mjs'
import { freePort } from './lib/ports.mjs'
import { endAll, endOnSignals, must, npm, start } from './lib/processes.mjs'
import { startRedis } from './lib/redis-server.mjs'
import { seconds } from './lib/steps.mjs'
import { redisServer, which } from './lib/tools.mjs'
import { pack, packed } from './pack.mjs'

const example = join(root, 'examples', 'chatbot')
const words = process.argv.slice(2)
const question = 'What happens when Redis is down?'

const quiet = { NEXT_TELEMETRY_DISABLED: '1', NODE_NO_WARNINGS: '1', NODE_ENV: undefined }

let redis
endOnSignals()
try {
  const unknown = words.find((word) => !['--redis', '--check'].includes(word))
  if (unknown !== undefined) throw new Error(`unknown argument ${unknown}; there are --redis and --check`)
  await demo()
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  endAll('SIGTERM')
}

async function demo() {
  if (!which('cargo') && !addonIsUpToDate()) {
    throw new Error('Rust is needed to build the addon: install it with rustup (stable), so that cargo is on the PATH.')
  }
  await step('packages', () => installLocked(root))
  if (!addonIsUpToDate()) {
    await step('building the addon (some minutes the first time)', (line) => npm(['run', 'build'], { cwd: root, timeoutMs: 20 * 60_000, onLine: line }))
  }
  const tarballs = await step('packing', packIfNew)
  await step('installing the example', () => installPacked(example, tarballs))
  // No Redis is looked for by a build.
  await step('building the example', (line) => buildExample(line))

  const settings = {}
  if (words.includes('--redis')) {
    redis = await step('starting Redis', async (line) =>
      startRedis(await redisServer(line), { directory: cacheFolder('demo-redis') }))
    settings.REDIS_URL = redis.url
  } else if (!process.env.REDIS_URL) {
    settings.REDIS_URL = 'memory:'
  }
  const port = await freePort(3000)
  const address = `http://localhost:${port}`
  const server = start(process.execPath, [nextProgram(), 'start', '--port', String(port)], {
    cwd: example,
    env: { ...quiet, ...settings },
    onLine: (line) => {
      // Next's own banner would name the address a second time.
      if (!/^\s*($|▲|- |✓|> )/.test(line)) process.stdout.write(`${line}\n`)
    },
  })
  await step('starting the example', () => answers(address, server))
  process.stdout.write(`\nThe chatbot is at ${address} (${storeName(settings)}). Ctrl+C ends it.\n`)
  if (words.includes('--check')) {
    await check(address)
    await server.stop()
    await redis?.stop()
    return
  }
  const code = await server.ended
  throw new Error(`the example ended with exit code ${code}:\n${server.output()}`)
}

function nextProgram() {
  return join(example, 'node_modules', 'next', 'dist', 'bin', 'next')
}

async function packIfNew() {
  try {
    const tarballs = packed()
    const made = [join(root, 'dist'), join(root, 'native.js'), join(root, 'index.d.ts'), join(root, 'README.md'), join(root, 'package.json')]
    if (addonIsUpToDate() && upToDate({ results: tarballs, sources: made })) return tarballs
  } catch {
    // Nothing packed yet.
  }
  return pack()
}

async function buildExample(line) {
  const id = join(example, '.next', 'BUILD_ID')
  const packedStamp = join(example, 'node_modules', '.holdfast-packed')
  if (upToDate({ results: [id], sources: [example, packedStamp] })) return
  await must(process.execPath, [nextProgram(), 'build'], {
    cwd: example,
    env: { ...quiet, REDIS_URL: 'memory:' },
    timeoutMs: 5 * 60_000,
    onLine: line,
  })
}

async function answers(address, server) {
  const bound = Date.now() + 60_000
  while (server.running && Date.now() < bound) {
    const ready = await fetch(address).then((response) => response.status < 500, () => false)
    if (ready) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await server.stop()
  throw new Error(`the example did not start:\n${server.output()}`)
}

/** The page and one answer, as a browser would ask for them. */
async function check(address) {
  const page = await fetch(address)
  if (!page.ok || !(await page.text()).includes('<html')) throw new Error(`the page answered ${page.status}`)
  const response = await fetch(`${address}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: question }] }),
    signal: AbortSignal.timeout(60_000),
  })
  const answer = await response.text()
  const kinds = response.ok ? answer.trim().split('\n').map((line) => JSON.parse(line).type) : []
  if (!kinds.includes('text') || kinds.at(-1) !== 'end') {
    throw new Error(`asked ${JSON.stringify(question)}, it answered ${response.status}: ${answer}`)
  }
  process.stdout.write('The page and an answer came.\n')
}

function storeName(settings) {
  if (redis) return `Redis on port ${redis.port}, process ${redis.pid}`
  return settings.REDIS_URL === 'memory:' ? 'embedded memory store' : 'Redis as REDIS_URL says'
}

/** One line when it begins, its time when it is done; on a terminal also what it is at. */
async function step(what, body) {
  const begin = Date.now()
  const terminal = process.stdout.isTTY
  process.stdout.write(terminal ? `  ${what} ...` : `  ${what} ...\n`)
  let last = ''
  const show = () => {
    const at = last === '' ? '' : `  ${last}`
    if (terminal) process.stdout.write(`\r\u001b[K  ${what} ... ${seconds(Date.now() - begin)}${at.slice(0, 60)}`)
    else process.stdout.write(`  ${what} ... ${seconds(Date.now() - begin)}${at.slice(0, 100)}\n`)
  }
  const timer = setInterval(show, terminal ? 500 : 15_000)
  try {
    return await body((line) => {
      last = line.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '').trim() || last
    })
  } finally {
    clearInterval(timer)
    process.stdout.write(terminal ? `\r\u001b[K  ${what}: ${seconds(Date.now() - begin)}\n` : `  ${what}: ${seconds(Date.now() - begin)}\n`)
  }
}
