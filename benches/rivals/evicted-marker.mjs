// The marker of an invalidated tag goes missing, as when Redis evicts it: is what was invalidated served again?
import { pause } from '../../scripts/soak/clock.mjs'
import { said, settled } from './settled.mjs'

/**
 * The first two show that entries and invalidations reach a new process at all; that is seen on entries of their own,
 * because reading one may change it.
 */
const UNTOUCHED = { key: 'news:1', tag: 'news' }
const BEFORE = { key: 'page:1', tag: 'pages' }
const AFTER = { key: 'user:1', tag: 'users' }

export const evictedMarker = {
  id: 'evicted-marker',
  title:
    "A tagged entry is set and its tag invalidated; then a client of no contender's deletes the tag's marker, as an " +
    'eviction would; a new process, its memory empty, reads the entry.',
  needs: ['tags'],
  verdicts: { gone: 'what was invalidated stays so', back: 'what was invalidated is served again' },
  parts: {
    write,
    read: (cache, { key }) => settled(cache.get(key)),
  },

  async show({ contender, child, redis }) {
    await child('write')
    const untouched = await child('read', { key: UNTOUCHED.key })
    const before = await child('read', { key: BEFORE.key })
    if (untouched.value !== 'old' || before.value === 'old') {
      throw new Error(`A new process got ${said(untouched)}, and of an invalidated tag ${said(before)}.`)
    }
    const markers = await redis.keys(contender.marker)
    if (markers.length === 0) throw new Error(`No key matches ${contender.marker}: nothing was shown.`)
    await redis.del(...markers)
    const after = await child('read', { key: AFTER.key })
    return {
      happened: `with its marker a new process got ${said(before)}, without it ${said(after)}`,
      verdict: after.value === 'old' ? 'back' : 'gone',
    }
  },
}

async function write(cache) {
  for (const { key, tag } of [UNTOUCHED, BEFORE, AFTER]) await cache.set(key, 'old', { tags: [tag] })
  // Those that go by the clock's milliseconds see that the invalidation comes later.
  await pause(20)
  for (const { tag } of [BEFORE, AFTER]) await cache.deleteByTag(tag)
  await pause(200)
  return {}
}
