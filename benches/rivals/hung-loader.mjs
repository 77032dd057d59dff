// A loader that never settles: who is answered, does the key become free, and is the loader told to stop?
import { now, pause, within } from '../../scripts/soak/clock.mjs'
import { said, settled } from './settled.mjs'

const HARD_TIMEOUT_MS = 500
const WAITING_AFTER_MS = 100
const LATER_AFTER_MS = 1_000
const WATCHED_MS = 4_000

export const hungLoader = {
  id: 'hung-loader',
  title:
    `A loader never settles, with a hard timeout of ${HARD_TIMEOUT_MS} ms where there is one; callers whose loaders ` +
    `work come ${WAITING_AFTER_MS} ms and ${LATER_AFTER_MS} ms after it; all is watched for ${WATCHED_MS / 1000} s.`,
  needs: [],
  verdicts: {
    'freed, told': 'the later caller is served, and the loader is told to stop',
    'freed, not told': 'the later caller is served, but nothing stops the loader',
    stuck: 'the key is held as long as the loader hangs',
  },
  parts: { hang },

  async show({ child }) {
    const { hangs, first, waiting, later, told } = await child('hang')
    if (!hangs) throw new Error(`The loader did not run: the first caller got ${timed(first)}.`)
    const isFreed = later?.value === 'value'
    return {
      happened:
        `the first caller got ${timed(first)}, the waiting one ${timed(waiting)}, the later one ${timed(later)}; ` +
        `the loader was ${told ? 'told to stop' : 'not told to stop'}`,
      verdict: isFreed ? `freed, ${told ? 'told' : 'not told'}` : 'stuck',
    }
  },
}

async function hang(cache) {
  await cache.get('warm')
  const options = { hardTimeoutMs: HARD_TIMEOUT_MS }
  const found = { hangs: false, first: null, waiting: null, later: null, told: false }
  const begun = now()
  const call = (name, load) => {
    const asked = now()
    void settled(cache.getOrSet('user:1', load, options)).then((outcome) => {
      found[name] = { ...outcome, ms: now() - asked }
    })
  }
  call('first', (signal) => {
    found.hangs = true
    signal?.addEventListener('abort', () => (found.told = true))
    return new Promise(() => {})
  })
  await pause(WAITING_AFTER_MS)
  call('waiting', async () => 'value')
  await pause(begun + LATER_AFTER_MS - now())
  call('later', async () => 'value')
  const isAnswered = () => [found.first, found.waiting, found.later].every((outcome) => outcome !== null)
  await within(begun + WATCHED_MS - now(), isAnswered)
  return found
}

const timed = (outcome) =>
  outcome === null ? 'no answer by the end' : `${said(outcome)} after ${Math.round(outcome.ms)} ms`
