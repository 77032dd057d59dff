// What may stand under a key, from what was called on it and what befell the server. No clock, no network.
//
// timeline: {
//   wipes: [{ killed, dead }]      the server was killed, between these moments, and its disk emptied
//   memory: [{ by, from, to }]     memory answered this process, and nothing of its journal was replayed
//   synced: { [process]: times }   every call acknowledged to it before that moment was on the server
// }
import { left, open } from './history.mjs'

/**
 * Everything that may stand under the key at a moment: ids of values, and null for nothing.
 *
 * That is what the last acknowledged call left, or a later one that was not acknowledged. A server that loses
 * its disk loses what it had acknowledged itself. Then the key may be absent, or hold what the other process
 * still had in its journal from before. What was in the journal of its own process at that time is not lost.
 */
export function mayStand({ calls }, at, timeline) {
  const last = calls.findLast((call) => call.acked)
  const found = new Set(open(calls).map(left))
  if (!last) return found.add(null)
  for (const wipe of timeline.wipes) {
    if (wipe.killed > at || wipe.dead <= last.called || isJournalled(last, wipe, timeline)) continue
    found.add(null)
    for (const call of calls) {
      if (call.by !== last.by && !isSynced(call, wipe.killed, timeline)) found.add(left(call))
    }
  }
  return found
}

/** 'right', 'lost' (an acknowledged write or what replaced it) or 'returned' (something that was deleted). */
export function verdictOn(record, stands, at, timeline) {
  const may = mayStand(record, at, timeline)
  if (may.has(stands)) return 'right'
  const wrote = [...may].some((id) => id !== null)
  return stands !== null && !wrote ? 'returned' : 'lost'
}

/** Only where it is certain: memory answered from before the call until after the wipe. */
function isJournalled(call, wipe, { memory }) {
  return memory.some(({ by, from, to }) => by === call.by && from <= call.called && to > wipe.dead)
}

/** Whether the call had left its process' journal for certain. */
function isSynced(call, before, { synced }) {
  return synced[call.by].some((moment) => moment > call.settled && moment < before)
}
