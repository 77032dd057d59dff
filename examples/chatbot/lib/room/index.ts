// The one room that all windows are in: who is there, who types, and the stream that tells of it.

import { createEventStream, fallbackManager, pubSubManager, RealTimeManager, type PubSubMessage, type TypingEvent } from '@/lib/cache'

import type { Person, Typing } from './events'

const room = 'lobby'
const typing = `typing:${room}`
const people = `people:${room}`

/** For so long a window counts that nobody takes away, say because its server was killed; seconds. */
const lifetime = 15
/** In place of a name: a status is never empty. */
const nobody = '-'
const turns = ['backend-degraded', 'backend-recovered'] as const

// Next waits for what is open before it ends, and a stream never ends by itself.
let isEnding = false
if (process.env.NODE_ENV === 'production') {
  process.once('SIGTERM', () => {
    isEnding = true
    void pubSubManager.clearSubscriptions()
  })
}

/** Everything that happens in the room, until the window closes. Meanwhile it counts as there. */
export function openRoom(request: Request, window: string, name: string): Response {
  // A window that comes back over a connection that is open still has to look for the next server.
  if (isEnding) return new Response(null, { status: 503, headers: { connection: 'close' } })
  let leave = () => {}
  return createEventStream(request, [typing, people], {
    event: ({ channel }) => channel.slice(0, channel.indexOf(':')),
    map: told,
    retryMs: 1_000,
    onStart: () => (leave = enter(window, name)),
    onEnd: () => leave(),
  })
}

export async function peopleHere(): Promise<Person[]> {
  const here = await pubSubManager.getPresence(room)
  // A window that came back may be there twice for a moment.
  return [...new Map(here.map(({ userId, status }) => {
    const window = userId.slice(0, userId.indexOf('/'))
    return [window, { window, name: status === nobody ? '' : status }]
  })).values()].sort((one, other) => (one.window < other.window ? -1 : 1))
}

export function tellTyping({ window, isTyping }: Typing): Promise<void> {
  return RealTimeManager.broadcastTyping(room, window, isTyping)
}

/** What the page hears of a message. What waited for Redis to come back says nothing of who types now. */
function told({ channel, data, late }: PubSubMessage): Typing | Record<string, never> | undefined {
  if (channel === people) return {}
  if (late === true) return undefined
  const { userId, isTyping } = data as TypingEvent
  return { window: userId, isTyping }
}

/** Notes a window as there. What comes back takes it away. */
function enter(window: string, name: string): () => void {
  // Each stream by itself: one that ends late takes nothing from the one that came after it.
  const own = `${window}/${crypto.randomUUID()}`
  const note = (status: string | null) => pubSubManager.setPresence(room, own, status, lifetime)
  const change = async (status: string | null) => {
    await note(status)
    await pubSubManager.publish(people, {})
  }
  const come = () => void change(name || nobody).catch(report)
  const timer = setInterval(() => note(name || nobody).catch(report), (lifetime * 1000) / 3)
  // Redis knows nothing of who is noted in memory, nor memory of who is in Redis. So whichever answers anew is told.
  for (const turn of turns) fallbackManager.on(turn, come)
  come()
  return () => {
    clearInterval(timer)
    for (const turn of turns) fallbackManager.off(turn, come)
    change(null).catch(report)
  }
}

function report(error: unknown): void {
  console.error(error)
}
