// The example in a Chromium, with a Redis that is killed under it and comes back: twice, once empty and once
// with what it had on disk. Needs the example installed and built; `npm test -- --only browser` sees to that.
//   CHROMIUM_PATH, HOLDFAST_REDIS_SERVER    programs that are not on the PATH

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { root } from '../../scripts/lib/paths.mjs'
import { freePort } from '../../scripts/lib/ports.mjs'
import { endOnSignals } from '../../scripts/lib/processes.mjs'
import { startRedis } from '../../scripts/lib/redis-server.mjs'
import * as tools from '../../scripts/lib/tools.mjs'
import { health, startApp } from '../../examples/chatbot/test/support/app.mjs'
import { rawClient } from '../../examples/chatbot/test/support/resp.mjs'
import { until } from '../../examples/chatbot/test/support/until.mjs'
import { OutageNotes } from './notes.mjs'
import { chatPage, equal, launch, partsOf } from './support.mjs'

const example = join(root, 'examples', 'chatbot')
const first = 'What happens when Redis is down?'
const answers = 'ai-chatbot:ai:response:*'

endOnSignals()
if (!existsSync(join(example, '.next', 'BUILD_ID'))) throw new Error('the example is not built: run npm test -- --only example')
const program = await tools.redisServer()
const directory = mkdtempSync(join(tmpdir(), 'holdfast-browser-'))

let redis = await startRedis(program)
const appPort = await freePort()
const settings = { REDIS_URL: redis.url, LOCAL_MODEL_WORDS_PER_SECOND: '60' }
let app = await startApp(settings, appPort)
const browser = await launch()
const { part, conclude } = partsOf(() => app.output())

try {
  const page = await browser.newPage({ viewport: { width: 1180, height: 820 } })
  const thrown = []
  page.on('pageerror', (error) => thrown.push(error))
  const chat = chatPage(page)

  await part('the page opens, and says that Redis answers', async () => {
    await page.goto(app.address)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await chat.status('redis')
  })

  let told
  await part('a question is answered by the model, word by word, with its sources', async () => {
    const seen = await chat.watch()
    told = await chat.ask(first)
    const lengths = await seen()
    equal(lengths.length > 10, true, `whether the text came in more than ten pieces (${lengths})`)
    equal(lengths.every((length, at) => at === 0 || length > lengths[at - 1]), true, `whether it only grew (${lengths})`)
    equal(told.source, 'model', 'source')
    equal(told.badge, 'Modellocal', 'badge')
    equal(told.sources.includes('docs/fallback.md'), true, `whether docs/fallback.md is among ${told.sources}`)
  })

  await part('asked again, it comes from Redis and is the same', async () => {
    await sameAnswer(first, 'redis')
  })

  await part('with its key deleted by another client, it comes from the model', async () => {
    const raw = await rawClient(redis.port)
    const keys = await raw.call('KEYS', answers)
    equal(keys.length, 1, `answers in Redis (${keys})`)
    equal(await raw.call('DEL', keys[0]), 1, 'keys deleted')
    raw.close()
    await sameAnswer(first, 'model')
  })

  await part('with the app restarted under the page, it comes from Redis', async () => {
    await app.stop()
    await chat.status('unreachable')
    app = await startApp(settings, appPort)
    await chat.status('redis')
    await sameAnswer(first, 'redis')
  })

  await part('what the documents don’t say is answered as such', async () => {
    const { text, sources, source } = await chat.ask('Who won the football world cup in 2014?')
    equal(text, 'The documentation does not answer this.', 'answer')
    equal(sources.length, 0, 'sources')
    equal(source, 'model', 'source')
  })

  // The first server keeps nothing, so its successor begins empty; that one keeps what it has on disk.
  await outage('empty', 'What is kept in the journal during an outage?')
  await outage('disk', 'How do I configure Next.js?')

  await part('in the end nothing was thrown in the page', () => {
    if (thrown.length > 0) throw new Error(thrown.map(({ stack }) => stack).join('\n'))
  })

  async function sameAnswer(question, source) {
    const again = await chat.ask(question)
    // What is asked often is answered by a copy in the app's process, which Redis keeps informed.
    equal(again.source === 'near' ? 'redis' : again.source, source, 'source')
    equal(again.badge, { model: 'Modellocal', redis: 'Redis', memory: 'Memory' }[source], 'badge')
    equal(/^\d+(\.\d)? m?s$/.test(again.time), true, `whether ${again.time} is a time`)
    if (question === first && told) equal(again.text, told.text, 'text')
    return again
  }

  async function outage(name, question) {
    const notes = new OutageNotes(name, app.address)
    let writing

    await part(`Redis is killed in the middle of an answer (${name}): the page goes on`, async () => {
      // What is read from Redis now has a copy in memory.
      await chat.ask(first)
      await notes.before()
      await chat.begin(question)
      await until('the first words', async () => (await chat.state()) === 'streaming')
      process.kill(redis.pid, 'SIGKILL')
      // From the first moment, before anybody can have noticed.
      writing = notes.during()
      writing.catch(() => {})
      const { state, source } = await chat.answered()
      equal(`${state} ${source}`, 'done model', 'the answer that was under way')
      await until('the health route says that memory answers', async () => {
        const { status, header, body } = await health(app.address)
        return status === 200 && header === 'degraded' && body.fallback.active
      })
    })

    await part(`while it is away (${name}), answers come from memory`, async () => {
      await sameAnswer(question, 'memory')
      await sameAnswer(first, 'memory')
      await chat.status('away')
      await writing
    })

    await part(`Redis is back (${name}): of 200 notes written and 50 deleted each is right`, async () => {
      await writing
      // Collected, so that its port is free.
      await redis.stop('SIGKILL')
      redis = await startRedis(program, { port: redis.port, directory })
      await until('the health route says healthy, and nothing waits', async () => {
        const { header, body } = await health(app.address)
        return header === 'healthy' && body.fallback.stats.journalDepth === 0
      })
      const raw = await rawClient(redis.port)
      const { present, absent } = await notes.check(raw)
      raw.close()
      process.stdout.write(`     ${present} hold their value, ${absent} are absent\n`)
      await chat.status('redis')
      await sameAnswer(question, 'redis')
    })
  }
} finally {
  await browser.close()
  await app.stop()
  await redis.stop('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}
conclude()
