// The chat page as a user sees it, and the one comparison that the test needs.

import { until } from '../../examples/chatbot/test/support/until.mjs'

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`)
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
