// A delete while a loader runs: the loader has read the old value already. What is served after both are done?
import { pause } from '../../scripts/soak/clock.mjs'
import { said, settled } from './settled.mjs'

const KEY = 'user:1'
const TAG = 'users'

export const deleteDuringLoad = scenarioOf({
  id: 'delete-during-load',
  title: 'A loader has read the old value and still runs; the source changes; `delete(key)` returns; the loader ends.',
  needs: [],
  options: {},
  remove: (cache) => cache.delete(KEY),
})

export const tagDuringLoad = scenarioOf({
  id: 'tag-during-load',
  title:
    'A loader of a tagged entry has read the old value and still runs; the source changes; the tag is invalidated; ' +
    'the loader ends.',
  needs: ['tags'],
  options: { tags: [TAG] },
  remove: (cache) => cache.deleteByTag(TAG),
})

function scenarioOf({ id, title, needs, options, remove }) {
  return {
    id,
    title,
    needs,
    verdicts: {
      kept: 'the old value is not served',
      lost: 'the old value is cached and served as if nothing was deleted',
    },
    parts: {
      load: (cache) => load(cache, options, remove),
      read: (cache) => settled(cache.get(KEY)),
    },

    async show({ contender, child }) {
      const { caller, here } = await child('load')
      const elsewhere = contender.can.includes('share') ? await child('read') : null
      const served = elsewhere === null ? said(here) : `${said(here)}, a new process ${said(elsewhere)}`
      const isLost = [here, elsewhere].some((outcome) => outcome?.value === 'old')
      return {
        happened: `the loader's caller got ${said(caller)}; afterwards \`get\` gives ${served}`,
        verdict: isLost ? 'lost' : 'kept',
      }
    },
  }
}

async function load(cache, options, remove) {
  await cache.get('warm')
  let source = 'old'
  const started = gate()
  const deleted = gate()
  const caller = settled(
    cache.getOrSet(
      KEY,
      async () => {
        const value = source
        started.open()
        await deleted.opened
        return value
      },
      options,
    ),
  )
  const refused = await Promise.race([started.opened, caller])
  if (refused !== undefined) throw new Error(`The loader did not run: its caller got ${said(refused)}.`)
  source = 'new'
  // Bounded, for one whose delete waits until the load is done.
  await Promise.race([remove(cache), pause(2_000)])
  // Those that go by the clock's milliseconds see that the load ends after the delete.
  await pause(20)
  deleted.open()
  const outcome = await caller
  // What is written in the background is written by then.
  await pause(200)
  return { caller: outcome, here: await settled(cache.get(KEY)) }
}

function gate() {
  let open
  const opened = new Promise((resolve) => (open = resolve))
  return { open, opened }
}
