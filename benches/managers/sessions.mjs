// Sessions: read as each request does it, and changed.
import { isDeepStrictEqual } from 'node:util'
import { commandsOf, holdfast, openHoldfast, openNodeRedis, ranBetween } from './contenders.mjs'
import { TOGETHER, closedLoop, measured, randomOrder } from './loop.mjs'

const SESSIONS = 1_000
const SIZE = 500
const GOAL = 2
const LIFETIME_SECONDS = 86_400
const at = randomOrder(SESSIONS)

const connectRedis = { id: 'connect-redis', package: 'connect-redis', redis: true }
const figures = (what) => [
  { id: 'rate', title: `${what} a second` },
  { id: 'p50', title: 'p50, ms' },
  { id: 'p99', title: 'p99, ms' },
]
const WHOSE = `${SESSIONS.toLocaleString('en')} sessions of ${SIZE} bytes of JSON, at random`

export const sessions = {
  id: 'sessions',
  title: 'A session of a request',
  about:
    `What each request of a client who is logged in costs: its session is read, parsed, and noted as used; ${TOGETHER} ` +
    `at a time, ${WHOSE}. connect-redis notes each use: \`store.get\`, then \`store.touch\`, both awaited, over ` +
    'node-redis, as express-session calls them. **Ours as it is set up notes a use once a minute at most**, so that in ' +
    'this run no read is followed by a note; with `touchAfter: 0` each is, though no caller waits for it. "Notes a ' +
    'read" counts them on the server.',
  columns: [...figures('reads'), { id: 'notes', title: 'notes a read' }],
  contenders: [
    { ...holdfast, id: 'holdfast', label: 'Holdfast, getSession (a use is noted once a minute)', redis: true, open: (settings) => openOurs(settings) },
    {
      ...holdfast,
      id: 'holdfast-each',
      label: 'Holdfast, getSession, touchAfter: 0 (each use is noted)',
      redis: true,
      open: (settings) => openOurs(settings, { touchAfter: 0 }),
    },
    { ...connectRedis, label: 'connect-redis, get + touch (each use is noted)', open: openTheirs },
  ],
  measure: measureReads,
  goals: [['holdfast', 'as it is set up'], ['holdfast-each', 'each use noted']].map(([id, how]) => ({
    text: `session of a request, ${how}: at least ${GOAL} times the rate of connect-redis' get + touch`,
    of: [id, 'rate'],
    by: [connectRedis.id, 'rate'],
    atLeast: GOAL,
  })),
}

export const sessionChanges = {
  id: 'session-changes',
  title: 'A change of a session',
  about:
    `One field of a session is given another number; ${TOGETHER} at a time, ${WHOSE}. \`updateSession\` writes the ` +
    'field alone, so that changes of other fields by others stay. `update` reads the session, calls a function of its ' +
    'data, and writes what differs if nobody changed it meanwhile. connect-redis reads the session with `store.get` and ' +
    'writes all of it with `store.set`, whatever others wrote meanwhile.',
  columns: figures('changes'),
  contenders: [
    { ...holdfast, id: 'holdfast', label: 'Holdfast, updateSession', redis: true, open: (settings) => openOurs(settings) },
    { ...holdfast, id: 'holdfast-function', label: 'Holdfast, update with a function', redis: true, open: openOursByFunction },
    { ...connectRedis, label: 'connect-redis, get + set', open: openTheirs },
  ],
  measure: measureChanges,
  goals: [],
}

/** What a shop keeps of a client: its JSON is exactly as long as it should be. */
function dataOf(index) {
  const data = {
    index,
    email: `client-${index}@example.com`,
    roles: ['customer', 'reviewer'],
    locale: 'en-GB',
    theme: { name: 'dark', contrast: 1 },
    cart: [{ sku: 'AB-1009', count: 1, cents: 1_299 }, { sku: 'KX-0412', count: 3, cents: 450 }],
    visits: 100_000,
    csrf: 'b2c7a9f1e45d4c0f8a6be31f0d9c7e55',
    note: '',
  }
  const room = SIZE - JSON.stringify(data).length
  if (room < 0) throw new Error(`A session of ${SIZE} bytes is too small for its own fields.`)
  return { ...data, note: 'came by a link of the spring letter, '.repeat(20).slice(0, room) }
}

async function filled({ open }, port) {
  const store = await open({ port })
  const ids = []
  await closedLoop(async (index) => (ids[index] = await store.create(dataOf(index), index)), SESSIONS)
  for (let index = 0; index < SESSIONS; index += 1) {
    const found = await store.read(ids[index])
    if (!isDeepStrictEqual(found, dataOf(index))) throw new Error(`Session ${index} did not come back as it was made.`)
  }
  return { ...store, ids }
}

async function measureReads(contender, { port }) {
  const { ids, read, notes } = await filled(contender, port)
  let before = null
  const call = async (turn) => {
    const index = at(turn)
    const data = await read(ids[index])
    if (data?.index !== index) throw new Error(`Session ${index} got a wrong answer.`)
  }
  const found = await measured(call, { begun: async () => (before = await commandsOf(port)) })
  const noted = notes(before, await commandsOf(port))
  return { rate: found.rate, p50: found.p50Ms, p99: found.p99Ms, notes: noted / found.calls }
}

async function measureChanges(contender, { port }) {
  const { ids, change, read } = await filled(contender, port)
  const found = await measured((turn) => change(ids[at(turn)], 100_001 + turn))
  for (let index = 0; index < SESSIONS; index += 1) {
    const { visits, ...others } = await read(ids[index])
    const { visits: before, ...kept } = dataOf(index)
    if (!(visits > before) || !isDeepStrictEqual(others, kept)) throw new Error(`Session ${index} is not as it was changed.`)
  }
  return { rate: found.rate, p50: found.p50Ms, p99: found.p99Ms }
}

async function openOurs({ port }, options = {}) {
  const { createSessionManager } = await openHoldfast({ port })
  const manager = createSessionManager({ ttl: LIFETIME_SECONDS, ...options })
  return {
    manager,
    create: (data, index) => manager.createSession(`user-${index}`, data),
    async read(id) {
      const session = await manager.getSession(id)
      if (session === null || session.degraded) throw new Error('A session was not read from Redis.')
      return session.data
    },
    async change(id, visits) {
      if (!(await manager.updateSession(id, { visits }))) throw new Error('A session was not changed.')
    },
    // A read is no script, a note is one.
    notes: (before, after) => ranBetween(before, after, ['eval', 'evalsha', 'fcall']),
  }
}

async function openOursByFunction(settings) {
  const store = await openOurs(settings)
  return {
    ...store,
    async change(id, visits) {
      const session = await store.manager.update(id, (data) => ({ ...data, visits }))
      if (session?.data.visits !== visits) throw new Error('A session was not changed.')
    },
  }
}

/** As its page says; what it keeps also has the cookie that express-session puts into each session. */
async function openTheirs({ port }) {
  const { RedisStore } = await import('connect-redis')
  const store = new RedisStore({ client: await openNodeRedis({ port }), prefix: 'myapp:' })
  const cookie = { originalMaxAge: null, expires: null, httpOnly: true, path: '/' }
  return {
    async create(data, index) {
      const id = `${'0123456789abcdefghijklmnopqrstuv'.slice(0, 26)}${String(index).padStart(6, '0')}`
      await store.set(id, { cookie, ...data })
      return id
    },
    async read(id) {
      const session = await store.get(id)
      await store.touch(id, session)
      const { cookie: _, ...data } = session
      return data
    },
    async change(id, visits) {
      const session = await store.get(id)
      session.visits = visits
      await store.set(id, session)
    },
    notes: (before, after) => ranBetween(before, after, ['expire']),
  }
}
