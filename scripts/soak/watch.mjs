// What a process that writes shows of itself: when memory answers it, when it is in step with the server, its
// events, the memory it takes.

import { now } from './clock.mjs'

const LOOK_EVERY_MS = 25
const MEMORY_EVERY_MS = 5_000

export function watch(holdfast, tell) {
  const seen = { inStepMs: 0, resyncs: 0, conflicts: 0, dropped: 0, outages: 0, misordered: [], rss: [] }

  // Since when memory answers, and until when that is certain: an event comes later than what it tells of, but
  // before the look after the next.
  let span = null
  let looked = null
  const close = () => {
    if (span !== null && span.to > span.from) tell('on-memory', span)
    span = null
  }
  holdfast.on('state-change', ({ to }) => {
    close()
    if (to === 'degraded') span = { from: now(), to: 0 }
    looked = null
  })

  const isSynced = () => {
    const { isUsingFallback, redisAvailable, journalDepth, syncStatus } = holdfast.getFallbackStats()
    return redisAvailable && !isUsingFallback && journalDepth === 0 && syncStatus !== 'syncing'
  }
  setInterval(() => {
    // Before the look: what is acknowledged after it says nothing about the server.
    const moment = now()
    if (span !== null && looked !== null) span.to = looked
    looked = holdfast.getFallbackStats().isUsingFallback ? moment : null
    if (!isSynced()) return
    // What it was before is told first.
    close()
    seen.inStepMs += LOOK_EVERY_MS
    tell('synced', { moment })
  }, LOOK_EVERY_MS)
  setInterval(() => {
    // What is not collected yet is no growth.
    globalThis.gc?.()
    seen.rss.push({ at: now(), bytes: process.memoryUsage.rss() })
  }, MEMORY_EVERY_MS)

  // Each of a pair comes after the other.
  const alternates = (...names) => {
    let last = names[1]
    for (const name of names) {
      holdfast.on(name, () => {
        if (name === last) seen.misordered.push(`${name} twice in a row at ${now().toFixed(0)}`)
        last = name
      })
    }
  }
  alternates('backend-connected', 'backend-disconnected')
  holdfast.on('backend-degraded', () => seen.outages++)
  holdfast.on('journal-overflow', ({ dropped }) => (seen.dropped = dropped))
  holdfast.on('resync-end', ({ conflicts }) => {
    seen.resyncs++
    seen.conflicts += conflicts
  })
  return { isSynced, figures: () => seen }
}
