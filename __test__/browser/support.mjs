// The chat page as a user sees it, a browser to see it with, and what a test is made of.

import { chromium } from 'playwright-core'

import * as tools from '../../scripts/lib/tools.mjs'
import { until } from '../../examples/chatbot/test/support/until.mjs'

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`)
}

export async function launch() {
  return chromium.launch({
    executablePath: await tools.chromium(),
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

/** Parts of a test, each of which may fail: { part(name, body), conclude() }. `output` is the app's log. */
export function partsOf(output) {
  let passed = 0
  let failed = 0
  return {
    async part(name, body) {
      const begin = Date.now()
      try {
        await body()
        passed++
        process.stdout.write(`ok   ${name} (${Date.now() - begin} ms)\n`)
      } catch (error) {
        failed++
        process.stdout.write(`FAIL ${name} (${Date.now() - begin} ms)\n${error.stack}\nThe app's log:\n${output()}\n`)
      }
    },
    conclude() {
      process.stdout.write(`${passed} passed, ${failed} failed\n`)
      process.exitCode = failed === 0 ? 0 : 1
    },
  }
}

/** The chat page: what a user does and sees there. */
export function chatPage(page) {
  const turns = page.getByTestId('turn')
  const last = turns.last()
  const field = page.getByTestId('question')

  async function begin(question) {
    const before = await turns.count()
    await field.fill(question)
    await field.press('Enter')
    await until('the question stands on the page', async () => (await turns.count()) === before + 1)
  }

  /** The last turn once it is over: { state, text, source, badge, time, sources, problem }. */
  async function answered() {
    const over = page.locator('[data-testid=turn][data-state=done], [data-testid=turn][data-state=failed]')
    await until('the answer is whole', async () => (await over.count()) === (await turns.count()), { withinMs: 60_000 })
    return last.evaluate((turn) => ({
      state: turn.dataset.state,
      text: turn.querySelector('.markdown')?.textContent ?? '',
      source: turn.querySelector('[data-testid=badge]')?.dataset.source,
      badge: turn.querySelector('[data-testid=badge]')?.textContent,
      time: turn.querySelector('[data-testid=time]')?.textContent,
      sources: [...turn.querySelectorAll('.source-file')].map((file) => file.textContent),
      problem: turn.querySelector('.problem')?.textContent,
    }))
  }

  return {
    begin,
    answered,
    async ask(question) {
      await begin(question)
      return answered()
    },
    state: () => last.getAttribute('data-state'),
    status: (state) => until(`the pill says ${state}`, async () => (await page.getByTestId('status').getAttribute('data-state')) === state),
    /** Watches the next answer grow. What it gives back tells the lengths that its text had on the page. */
    async watch() {
      await page.evaluate(() => {
        window.lengths = []
        new MutationObserver(() => {
          const length = document.querySelector('[data-testid=turn]:last-child .markdown')?.textContent.length ?? 0
          if (length !== (window.lengths.at(-1) ?? 0)) window.lengths.push(length)
        }).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true })
      })
      return () => page.evaluate(() => window.lengths)
    },
  }
}
