// A loader that fails, and many callers at once: how often does a source that is down already get asked?
import { now, pause } from '../../scripts/soak/clock.mjs'
import { counted, settled } from './settled.mjs'

const CALLERS = 50
const FAILS_AFTER_MS = 20

export const failingLoader = {
  id: 'failing-loader',
  title: `${CALLERS} callers at once of a loader that fails after ${FAILS_AFTER_MS} ms.`,
  needs: [],
  verdicts: {
    once: 'the callers share one failure',
    repeated: 'the failing loader is run again for callers that waited',
  },
  parts: { load },

  async show({ child }) {
    const { runs, ms, outcomes } = await child('load')
    const got = `callers got ${counted(outcomes)}`
    if (runs === 0) throw new Error(`The loader did not run: ${got}.`)
    return {
      happened: `${runs} loader ${runs === 1 ? 'run' : 'runs'} in ${Math.round(ms)} ms; ${got}`,
      verdict: runs === 1 ? 'once' : 'repeated',
    }
  },
}

async function load(cache) {
  await cache.get('warm')
  let runs = 0
  const fail = async () => {
    runs += 1
    await pause(FAILS_AFTER_MS)
    throw new Error('source is down')
  }
  const begun = now()
  const outcomes = await Promise.all(Array.from({ length: CALLERS }, () => settled(cache.getOrSet('user:1', fail))))
  return { runs, ms: now() - begun, outcomes }
}
