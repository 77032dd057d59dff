// The example in two windows: sessions behind cookies, who is here and who types over server-sent events, and limits;
// with a Redis that is killed under them and comes back. Needs the example installed and built;
// `npm test -- --only windows` sees to that.
//   CHROMIUM_PATH, HOLDFAST_REDIS_SERVER    programs that are not on the PATH
//   HOLDFAST_SCREENSHOTS                    a folder for pictures of what was seen

import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { root } from '../../scripts/lib/paths.mjs'
import { endOnSignals } from '../../scripts/lib/processes.mjs'
import { startRedis } from '../../scripts/lib/redis-server.mjs'
import * as tools from '../../scripts/lib/tools.mjs'
import { health, startApp } from '../../examples/chatbot/test/support/app.mjs'
import { rawClient } from '../../examples/chatbot/test/support/resp.mjs'
import { until } from '../../examples/chatbot/test/support/until.mjs'
import { chatPage, equal, launch, partsOf } from './support.mjs'

const question = 'What is a tombstone?'
const duringOutage = 'What is in the journal?'
/** The questions of this test, and none more in the same minute. */
const questionsPerMinute = 3

endOnSignals()
if (!existsSync(join(root, 'examples', 'chatbot', '.next', 'BUILD_ID'))) {
  throw new Error('the example is not built: run npm test -- --only example')
}
const program = await tools.redisServer()
const directory = mkdtempSync(join(tmpdir(), 'holdfast-windows-'))
const pictures = process.env.HOLDFAST_SCREENSHOTS
if (pictures) mkdirSync(pictures, { recursive: true })

let redis = await startRedis(program, { directory })
const settings = {
  REDIS_URL: redis.url,
  LOCAL_MODEL_WORDS_PER_SECOND: '200',
  QUESTIONS_PER_MINUTE: String(questionsPerMinute),
}
let app = await startApp(settings)
const browser = await launch()
const { part, conclude } = partsOf(() => app.output())

try {
  const thrown = []
  const one = await openWindow()
  const two = await openWindow()

  await part('two windows see each other; nobody has a session before there is something to keep', async () => {
    await one.sees('', '')
    await two.sees('', '')
    equal(await one.cookie(), undefined, 'cookie')
    equal(await one.visitorName(), 'Guest', 'name')
  })

  await part('a name makes a guest’s session, and the other window sees it', async () => {
    await one.rename('Ada')
    await two.rename('Grace')
    await one.sees('Ada', 'Grace')
    await two.sees('Grace', 'Ada')
    const { name, httpOnly, secure, sameSite, value } = await one.cookie()
    equal(`${name} ${httpOnly} ${secure} ${sameSite} ${value[0]}`, '__Host-session true true Lax g', 'cookie')
    await one.picture('named')
  })

  await part('typing in one window shows in the other, and goes away when the text does', async () => {
    await typingShows()
    await two.picture('typing')
    await one.write('')
    await two.hint('Answers are cached')
  })

  await part('typing goes away by itself when somebody stops to think', async () => {
    await one.write('Wh')
    await two.hint('Ada is typing')
    await two.hint('Answers are cached')
    await one.write('')
  })

  await part('what was asked is kept; the session survives a reload', async () => {
    await one.chat.ask(question)
    await one.page.reload()
    equal(await one.visitorName(), 'Ada', 'name, in the page as the server made it')
    await one.asked(question)
    await one.sees('Ada', 'Grace')
    await one.picture('reloaded')
  })

  await part('logging in keeps the name and the questions, under another id; the old one is worth nothing', async () => {
    const before = await one.cookie()
    await one.logIn('ada@example.com')
    equal(await one.visitorName(), 'Ada', 'name')
    await one.asked(question)
    const after = await one.cookie()
    equal(`${before.value[0]} ${after.value[0]}`, 'g u', 'kinds of ids')
    const old = await fetch(`${app.address}/api/session`, { headers: { cookie: `${before.name}=${before.value}` } })
    equal((await old.json()).name, null, 'name behind the old id')
    await two.sees('Grace', 'Ada')
    await one.account()
    await one.picture('logged-in')
    await one.page.keyboard.press('Escape')
  })

  await part('no id lies in Redis as it is', async () => {
    const raw = await rawClient(redis.port)
    const keys = (await raw.call('KEYS', '*session*')).join('\n')
    raw.close()
    equal(keys.length > 0, true, 'whether there are keys of sessions')
    equal(keys.includes((await one.cookie()).value), false, 'whether the id is among them')
  })

  await part('closing a window takes it away, a new one is seen', async () => {
    const third = await openWindow()
    await one.sees('Ada', '', 'Grace')
    await third.context.close()
    await one.sees('Ada', 'Grace')
    await two.sees('Grace', 'Ada')
  })

  await part('Redis is killed: typing still shows, both are still there, and the session is', async () => {
    process.kill(redis.pid, 'SIGKILL')
    // From the first moment, before anybody can have noticed.
    await typingShows()
    await one.write('')
    await two.hint('Answers are cached')
    await one.chat.status('away')
    await typingShows()
    await one.picture('away')
    await one.write('')
    await one.page.reload()
    equal(await one.visitorName(), 'Ada', 'name')
    await one.sees('Ada', 'Grace')
    await two.sees('Grace', 'Ada')
  })

  await part('meanwhile a guest can ask, take a name and log in, and a window that closes goes', async () => {
    await two.chat.ask(duringOutage)
    await two.rename('Grace H.')
    await two.logIn('grace@example.com')
    await one.sees('Ada', 'Grace H.')
    await two.page.reload()
    equal(await two.visitorName(), 'Grace H.', 'name')
    await two.asked(duringOutage)
    const third = await openWindow()
    await one.sees('Ada', '', 'Grace H.')
    await third.context.close()
    await one.sees('Ada', 'Grace H.')
  })

  await part('Redis is back: typing shows, both are there, and the sessions are in it', async () => {
    // Collected, so that its port is free.
    await redis.stop('SIGKILL')
    redis = await startRedis(program, { port: redis.port, directory })
    await until('the health route says healthy, and nothing waits', async () => {
      const { header, body } = await health(app.address)
      return header === 'healthy' && body.fallback.stats.journalDepth === 0
    })
    await typingShows()
    await one.write('')
    await two.hint('Answers are cached')
    for (const [window, name] of [[one, 'Ada'], [two, 'Grace H.']]) {
      await window.page.reload()
      equal(await window.visitorName(), name, 'name')
    }
    await one.sees('Ada', 'Grace H.')
    await two.sees('Grace H.', 'Ada')
  })

  await part('with the app restarted under them both windows come back by themselves', async () => {
    await app.stop()
    await one.chat.status('unreachable')
    app = await startApp(settings, Number(new URL(app.address).port))
    await typingShows()
    await one.write('')
    await two.hint('Answers are cached')
    await one.sees('Ada', 'Grace H.')
    await two.sees('Grace H.', 'Ada')
  })

  await part('who asks too often is told when to try again', async () => {
    const seen = []
    for (let count = 0; count <= questionsPerMinute; count++) seen.push(await one.chat.ask(question))
    const { state, problem } = seen.at(-1)
    equal(state, 'failed', 'state')
    equal(/^That is too often\. Try again in (a second|\d+ seconds)\.$/.test(problem), true, `whether ${problem} says when`)
    await one.picture('limited')
    const refused = await fetch(`${app.address}/api/chat`, { method: 'POST' })
    const { status, headers } = refused
    equal(status, 429, 'status')
    equal(Number(headers.get('retry-after')) > 0, true, 'whether there is a time to wait')
    equal(headers.get('ratelimit-policy'), `"questions";q=${questionsPerMinute};w=60`, 'policy')
  })

  await part('logging out ends the session and takes the cookie; five log-ins in a quarter of an hour are the limit', async () => {
    await one.page.reload()
    await one.logOut()
    equal(await one.visitorName(), 'Guest', 'name')
    equal(await one.cookie(), undefined, 'cookie')
    await two.sees('Grace H.', '')
    // Two have been taken before.
    for (let count = 0; count < 3; count++) {
      await one.logIn('ada@example.com')
      await one.logOut()
    }
    const problem = await one.refusedLogIn('ada@example.com')
    equal(/^That is too often\. Try again in \d+ minutes\.$/.test(problem), true, `whether ${problem} says when`)
    await one.picture('log-in-limited')
  })

  await part('in the end nothing was thrown in the windows', () => {
    if (thrown.length > 0) throw new Error(thrown.map(({ stack }) => stack).join('\n'))
  })

  /** Somebody goes on typing: what is said while a connection is made anew is heard with the next key. */
  async function typingShows() {
    for (let keys = 1; !(await two.hintText()).startsWith('Ada is typing'); keys++) {
      if (keys > 300) throw new Error(`waited in vain until Ada is seen typing; it says ${await two.hintText()}`)
      await one.write('?'.repeat(keys))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** A window of a visitor of its own. */
  async function openWindow() {
    const context = await browser.newContext({ viewport: { width: 1180, height: 820 } })
    const page = await context.newPage()
    page.on('pageerror', (error) => thrown.push(error))
    await page.goto(app.address)
    return windowOf(context, page)
  }
} finally {
  await browser.close()
  await app.stop()
  await redis.stop('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}
conclude()

/** A window as its visitor sees it. */
function windowOf(context, page) {
  const button = page.getByTestId('account')
  const panel = page.locator('#account')
  const hintText = () => page.getByTestId('hint').textContent()
  const visitorName = () => button.textContent()
  const account = async () => {
    if (!(await panel.isVisible())) await button.click()
  }
  const closed = (what) => until(`${what}, and the panel closes`, async () => !(await panel.isVisible()))

  return {
    context,
    page,
    chat: chatPage(page),
    visitorName,
    account,
    cookie: async () => (await context.cookies(app.address)).find(({ name }) => name.endsWith('session')),
    write: (text) => page.getByTestId('question').fill(text),
    hintText,
    hint: (text) => until(`it says ${text}`, async () => (await hintText()).startsWith(text)),
    /** This window first, and the others in any order. */
    sees: (...names) =>
      until(`${names.map((name) => name || 'a guest').join(', ')} are there`, async () => {
        const [own, ...others] = await page.getByTestId('person').evaluateAll((all) => all.map(({ dataset }) => dataset.name))
        return own === names[0] && others.sort().join() === names.slice(1).sort().join()
      }),
    asked: (text) =>
      until(`${text} is among what was asked`, async () => (await page.getByTestId('asked').allTextContents()).join().includes(text)),
    async rename(name) {
      await account()
      await panel.getByLabel('Name').fill(name)
      await panel.getByRole('button', { name: 'Save' }).click()
      await closed('the name is saved')
      equal(await visitorName(), name, 'name')
    },
    async logIn(user) {
      await account()
      await panel.getByLabel('Log in as').fill(user)
      await panel.getByRole('button', { name: 'Log in' }).click()
      await closed('the log-in is done')
      equal(await button.getAttribute('data-user'), user, 'user')
    },
    async refusedLogIn(user) {
      await account()
      await panel.getByLabel('Log in as').fill(user)
      await panel.getByRole('button', { name: 'Log in' }).click()
      return panel.getByRole('alert').textContent()
    },
    async logOut() {
      await account()
      await panel.getByRole('button', { name: 'Log out' }).click()
      await closed('the log-out is done')
    },
    picture: (name) => (pictures ? page.screenshot({ path: join(pictures, `${name}.png`) }) : undefined),
  }
}
