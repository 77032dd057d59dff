// Sessions: made, read, changed and ended, each by an id that only its owner knows.

import type { Connection } from '../connection.js'
import { lifetimeMs } from '../durations.js'
import { HoldfastError, describe, invalid } from '../errors.js'
import { FATE_DONE, FATE_MOVED } from '../generated/operations.js'
import { inTurn, sleep } from '../timing.js'
import { isDamage, maybeApplied } from './applied.js'
import { SessionCookies, type CookieSource } from './cookies.js'
import {
  callOptions,
  sessionPlan,
  shown,
  touchMsOf,
  type SessionFields,
  type SessionManagerOptions,
  type SessionOptions,
  type SessionPlan,
} from './options.js'
import { guestSessionsOf, type GuestSessions } from './guests.js'
import { RequestSession, type OpenOptions } from './request.js'
import { asChange, checkOutside } from './changing.js'
import { changesOf, checkChange, differences, fieldsOf, isName, parsed } from './changes.js'
import { LIST_USER, SHARDS, SessionStore, guestsIn, usersIn, type Change, type Told } from './store.js'

/** A session as its user sees it. */
export interface SessionData<Data extends object = SessionFields> {
  /**
   * As it was asked for; in lists the handle, which names a session and opens none. It is read by its name alone: what is
   * logged, copied or sent of a session does not hold it.
   */
  readonly id: string
  /** By which `revoke` knows it. Not secret. */
  handle: string
  userId?: string
  isGuest: boolean
  data: Data
  /** When it was made, ms since 1970. */
  createdAt: number
  /** When it was used, ms since 1970. */
  lastAccessedAt: number
  /** When it ends if nobody uses it, ms since 1970. */
  expiresAt: number
  /** When it ends however much it is used, ms since 1970. */
  absoluteExpiresAt: number
  ipAddress?: string
  userAgent?: string
  /** Grows with every change. */
  version: number
  /** Memory answered for a Redis that doesn't: what changed elsewhere since may be missing. */
  degraded: boolean
}

/** How many sessions there are. */
export interface SessionStats {
  totalSessions: number
  /** Those that have not ended. */
  activeSessions: number
  guestSessions: number
  authenticatedSessions: number
  backend: 'redis' | 'memory'
}

/** The counts of nothing. */
export function noSessions(backend: SessionStats['backend']): SessionStats {
  return { totalSessions: 0, activeSessions: 0, guestSessions: 0, authenticatedSessions: 0, backend }
}

/** What `update` does with the data: changed fields are written, missing ones removed. Undefined: nothing. */
export type SessionUpdate<Data extends object> = (data: Data) => Data | undefined | Promise<Data | undefined>

const ID = /^[ug][\w-]{65}$/
const HANDLE = /^[ug][\w-]{22}\.[\w-]{43}$/
const MOST_TRIES = 16
/** For so long the next change by a function waits for one that has begun. */
const LONGEST_TURN_MS = 5_000
const PAGE = 500
const MOST_USER = 512

export class SessionManager {
  /** The last change of each session by a function, until it is done. */
  private readonly updating = new Map<string, Promise<unknown>>()
  private decided: { readonly plan: SessionPlan; readonly store: SessionStore; readonly cookies: SessionCookies } | null = null

  /** @internal */
  constructor(
    private readonly connection: Connection,
    private readonly options: SessionManagerOptions = {},
    private readonly name = 'sessionManager',
  ) {}

  /** Reads and writes the cookie that carries the id. */
  get cookies(): SessionCookies {
    return this.decide().cookies
  }

  /** @internal What is decided when it is used first: the environment may be wrong, and an import must not throw. */
  decide(): { readonly plan: SessionPlan; readonly store: SessionStore; readonly cookies: SessionCookies } {
    if (this.decided !== null) return this.decided
    const plan = sessionPlan(this.options, this.name)
    const store = new SessionStore(this.connection, plan)
    this.decided = { plan, store, cookies: new SessionCookies(plan.cookie, plan.absoluteMs) }
    return this.decided
  }

  private get plan(): SessionPlan {
    return this.decide().plan
  }

  private get store(): SessionStore {
    return this.decide().store
  }

  /** Makes a session: of a user, or without one of a guest. Resolves to its id, which only its owner may know. */
  async createSession(
    userId?: string | null,
    initialData: SessionFields = {},
    options?: SessionOptions,
  ): Promise<string> {
    const operation = `${this.name}.createSession`
    const user = userId === undefined || userId === null ? '' : checkUser(userId, 'userId', operation)
    return await this.make(user, changesOf(initialData, 'initialData', operation), options, operation)
  }

  /** A session by its id; null: there is none, or it has ended. Reading counts as use, unless `sliding` is false. */
  async getSession<Data extends object = SessionFields>(
    sessionId: string,
    options?: SessionOptions,
  ): Promise<SessionData<Data> | null> {
    const operation = `${this.name}.getSession`
    const { family, sliding = this.plan.sliding } = callOptions(this.plan, options, operation)
    if (!isId(sessionId, operation)) return null
    const told = await this.store.readOne(family, sessionId, operation)
    if (told.fate === FATE_DONE) return this.shownOf(family, sessionId, sessionId, told, sliding, operation) as SessionData<Data>
    if (told.fate !== FATE_MOVED) return null
    const found = await this.store.read(family, sessionId, operation)
    if (found.is !== 'done') return null
    return this.shownOf(family, sessionId, found.at, found.session, sliding, operation) as SessionData<Data>
  }

  /**
   * Sets fields of a session's data, each by itself: changes of other fields by others stay. A field that is undefined is
   * removed. False: there is no such session. What is left of its time stays, unless a `ttl` is given.
   */
  async updateSession(sessionId: string, data: SessionFields, options?: SessionOptions): Promise<boolean> {
    const operation = `${this.name}.updateSession`
    const { family, ttl } = callOptions(this.plan, options, operation)
    const changes = [...changesOf(data, 'data', operation), ...this.lifetimeOf(ttl, operation)]
    if (!isId(sessionId, operation)) return false
    if (changes.length === 0) return await this.sessionExists(sessionId, options)
    return await this.store.change(family, sessionId, changes, ttl !== undefined, operation)
  }

  /**
   * Changes a session's data by a function of it: if somebody else changed it meanwhile, the function is called again with
   * what is there then, up to sixteen times (`E_CONFLICT`). Those of this process wait for each other. Resolves to the
   * session; null: there is none.
   */
  async update<Data extends object = SessionFields>(
    sessionId: string,
    change: SessionUpdate<Data>,
    options?: SessionOptions,
  ): Promise<SessionData<Data> | null> {
    const operation = `${this.name}.update`
    const { family, ttl } = callOptions(this.plan, options, operation)
    checkChange(change, operation)
    if (!isId(sessionId, operation)) return null
    checkOutside(this, sessionId, operation)
    const before = this.updating.get(sessionId)
    const run = () => this.updateNow(family, sessionId, change as unknown as SessionUpdate<SessionFields>, ttl, operation)
    // Whoever waits is spared a conflict, and no more.
    const { result, turn } = inTurn(before, run, LONGEST_TURN_MS)
    this.updating.set(sessionId, turn)
    void turn.then(() => {
      if (this.updating.get(sessionId) === turn) this.updating.delete(sessionId)
    })
    return (await result) as SessionData<Data> | null
  }

  /** Ends a session for good: nothing that is under way brings it back. False: there was none. */
  async deleteSession(sessionId: string, options?: SessionOptions): Promise<boolean> {
    const operation = `${this.name}.deleteSession`
    const { family } = callOptions(this.plan, options, operation)
    return isId(sessionId, operation) && (await this.store.end(family, sessionId, operation)).fate === FATE_DONE
  }

  /** The same by the handle that a list shows. Takes an id, too. */
  async revoke(handle: string, options?: SessionOptions): Promise<boolean> {
    const operation = `${this.name}.revoke`
    const { family } = callOptions(this.plan, options, operation)
    const known = (typeof handle === 'string' && HANDLE.test(handle)) || isId(handle, operation, 'handle')
    return known && (await this.store.end(family, handle, operation)).fate === FATE_DONE
  }

  /** Whether a session is there. Does not count as use. */
  async sessionExists(sessionId: string, options?: SessionOptions): Promise<boolean> {
    const operation = `${this.name}.sessionExists`
    const { family } = callOptions(this.plan, options, operation)
    return isId(sessionId, operation) && (await this.store.exists(family, sessionId, operation))
  }

  /** A session's data; null: there is no such session. */
  async getSessionData<Data extends object = SessionFields>(sessionId: string): Promise<Data | null> {
    return (await this.getSession<Data>(sessionId))?.data ?? null
  }

  /** Sets one field of a session's data; undefined removes it. False: there is no such session. */
  async setSessionData(sessionId: string, key: string, value: unknown): Promise<boolean> {
    if (typeof key !== 'string' || !isName(key))
      throw invalid('key', `key is ${typeof key === 'string' ? 'empty, too long or no well-formed text' : describe(key)}; allowed: the name of a field, 1 to 256 characters`, `${this.name}.setSessionData`)
    return await this.updateSession(sessionId, { [key]: value })
  }

  /**
   * Gives a session a new id, as after a change of what its user may do; the absolute lifetime goes on. The old one leads
   * to it for a moment still, for requests that are under way. Resolves to the new id; null: there is no such session.
   */
  async rotate(sessionId: string, options?: SessionOptions): Promise<string | null> {
    const operation = `${this.name}.rotate`
    const { family } = callOptions(this.plan, options, operation)
    if (!isId(sessionId, operation)) return null
    const id = this.store.newIdAfter(sessionId, operation)
    return (await this.store.move(family, sessionId, id, operation)) ? id : null
  }

  /**
   * Logs a user in. A guest's session goes on as theirs, with its data, under a new id, and the old id is worth nothing
   * from then on; so does a session of their own. Without one, or from another user's, a new one begins. Resolves to
   * the new id.
   */
  async authenticate(
    sessionId: string | null | undefined,
    userId: string,
    data: SessionFields = {},
    options?: SessionOptions,
  ): Promise<string> {
    const operation = `${this.name}.authenticate`
    const { family, absoluteMs, own } = this.termsOf(options, operation)
    const user = checkUser(userId, 'userId', operation)
    const changes = changesOf(data, 'data', operation)
    let others: string | null = null
    if (sessionId !== null && sessionId !== undefined && isId(sessionId, operation)) {
      const found = await this.store.read(family, sessionId, operation)
      if (found.is === 'done') {
        const { session, at } = found
        if (session.user === '' || session.user === user) {
          const moved = await this.move(family, at, session, user, [...changes, ...own], absoluteMs, operation)
          if (moved !== null) return moved
        } else others = at
      }
    }
    const id = await this.make(user, changes, options, operation)
    // A login that is refused ends nothing.
    if (others !== null) await this.store.end(family, others, operation).catch(maybeApplied)
    return id
  }

  /** @internal A guest's session as a user's; null: it is no guest's, or not there. */
  async convertGuest(sessionId: string, userId: string, operation: string): Promise<string | null> {
    const user = checkUser(userId, 'userId', operation)
    const { family, absoluteMs, own } = this.termsOf(undefined, operation)
    if (!isId(sessionId, operation)) return null
    const found = await this.store.read(family, sessionId, operation)
    if (found.is !== 'done' || found.session.user !== '') return null
    return await this.move(family, found.at, found.session, user, own, absoluteMs, operation)
  }

  /** A user's sessions, those first that were used last. Each has its handle for an id. What is damaged is left out. */
  async getUserSessions<Data extends object = SessionFields>(
    userId: string,
    options?: SessionOptions,
  ): Promise<SessionData<Data>[]> {
    const operation = `${this.name}.getUserSessions`
    const { family } = callOptions(this.plan, options, operation)
    const user = checkUser(userId, 'userId', operation)
    const found = await this.readAll(family, user, operation)
    return found.sort((one, other) => other.lastAccessedAt - one.lastAccessedAt) as SessionData<Data>[]
  }

  /** Ends all of a user's sessions at once, however many there are. Resolves to how many there were. */
  async invalidateUserSessions(userId: string, options?: SessionOptions): Promise<number> {
    const operation = `${this.name}.invalidateUserSessions`
    const { family } = callOptions(this.plan, options, operation)
    return await this.endAll(family, checkUser(userId, 'userId', operation), '', operation)
  }

  /** Ends all sessions of this one's user but this one. Resolves to how many there were; of a guest 0. */
  async revokeOthers(sessionId: string, options?: SessionOptions): Promise<number> {
    const operation = `${this.name}.revokeOthers`
    const { family } = callOptions(this.plan, options, operation)
    if (!isId(sessionId, operation)) return 0
    const found = await this.store.read(family, sessionId, operation)
    if (found.is !== 'done' || found.session.user === '') return 0
    return await this.endAll(family, found.session.user, found.session.handle, operation)
  }

  /** How many sessions there are: counted by lists that every change keeps, not by looking at each. */
  async getStats(options?: SessionOptions): Promise<SessionStats> {
    const operation = `${this.name}.getStats`
    const { family } = callOptions(this.plan, options, operation)
    const count = async (listOf: (shard: number) => number): Promise<number> => {
      const counts = Array.from({ length: SHARDS }, (_, shard) => this.store.count(family, listOf(shard), operation))
      return (await Promise.all(counts)).reduce((sum, each) => sum + each, 0)
    }
    const [guestSessions, authenticatedSessions] = await Promise.all([count(guestsIn), count(usersIn)])
    const totalSessions = guestSessions + authenticatedSessions
    const { isUsingFallback } = this.connection.look<{ isUsingFallback: boolean }>('fallback', operation)
    const backend = isUsingFallback || this.connection.view(operation).memoryOnly ? 'memory' : 'redis'
    return { totalSessions, activeSessions: totalSessions, guestSessions, authenticatedSessions, backend }
  }

  /**
   * Ends every session. While Redis does not answer, every one that this process knows. Where something else wrote to keys,
   * so that what is there can't be ended, it ends all others, and then rejects with `E_DATA` and its `failures` by handle.
   */
  async clearAllSessions(options?: SessionOptions): Promise<void> {
    const operation = `${this.name}.clearAllSessions`
    const { family } = callOptions(this.plan, options, operation)
    const failures = new Map<string, Error>()
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const list of [usersIn(shard), guestsIn(shard)]) await this.endListed(family, list, failures, operation)
    }
    if (failures.size > 0)
      throw new HoldfastError({
        code: 'E_DATA',
        message: `${failures.size} of the sessions can't be ended, since something else wrote to their keys; all others are ended`,
        applied: 'unknown',
        operation,
        failures,
      })
  }

  /** @internal The same as `getSession`, and whether it is known that there is none. */
  async lookUp<Data extends object>(sessionId: string | null, options: SessionOptions): Promise<{ session: SessionData<Data> | null; isKnown: boolean }> {
    const operation = `${this.name}.openSession`
    const { family, sliding = this.plan.sliding } = callOptions(this.plan, options, operation)
    if (sessionId === null || !ID.test(sessionId)) return { session: null, isKnown: true }
    const found = await this.store.read(family, sessionId, operation)
    if (found.is !== 'done') return { session: null, isKnown: !('degraded' in found && found.degraded) }
    return { session: this.shownOf(family, sessionId, found.at, found.session, sliding, operation) as SessionData<Data>, isKnown: true }
  }

  /** The session that a request carries: read when it is asked for, and made when it has something to keep. */
  openSession<Data extends object = SessionFields>(
    source: CookieSource,
    options: OpenOptions = {},
  ): Promise<RequestSession<Data>> {
    return RequestSession.open<Data>(this, source, options)
  }

  /** Refuses every later call of this manager with `E_CLOSED`, until the system is initialised anew. Sessions stay. */
  async shutdown(): Promise<void> {
    this.decided?.store.close()
  }

  /** Those of guests, under the seed's names. */
  get guests(): GuestSessions {
    return guestSessionsOf(this)
  }

  private async updateNow(
    family: string,
    sessionId: string,
    change: SessionUpdate<SessionFields>,
    ttl: SessionOptions['ttl'],
    operation: string,
  ): Promise<SessionData | null> {
    let found = await this.store.read(family, sessionId, operation)
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (found.is === 'absent') return null
      const { session, at } = found
      const before = new Map(Object.entries(session.data).map(([name, value]) => [`:${name}`, JSON.stringify(value)]))
      const after = await asChange(this, sessionId, change, session.data)
      const changes = after === undefined ? [] : differences(before, changesOf(after, 'data', operation))
      changes.push(...this.lifetimeOf(ttl, operation))
      if (changes.length === 0) return new Session(sessionId, session, session.leftMs, session.unusedMs, parsed(before))
      found = await this.store.changeAt(session.version, family, at, changes, ttl !== undefined, operation)
      if (found.is === 'done') return new Session(sessionId, found.session, found.session.leftMs, found.session.unusedMs)
      // Others are at it: they get the time to end.
      await sleep(Math.random() * 2 ** Math.min(tries, 6))
    }
    if (found.is === 'absent') return null
    throw new HoldfastError({
      code: 'E_CONFLICT',
      message: `others changed this session each time, ${MOST_TRIES} times; nothing was written`,
      retryable: true,
      operation,
    })
  }

  private async make(
    user: string,
    changes: Change[],
    options: SessionOptions | undefined,
    operation: string,
  ): Promise<string> {
    const { family, absoluteMs, own } = this.termsOf(options, operation)
    return await this.begin(family, user, absoluteMs, [...changes, ...own], false, 0, operation)
  }

  /** How a session begins that is made now. */
  private termsOf(
    options: SessionOptions | undefined,
    operation: string,
  ): { family: string; absoluteMs: number; own: Change[] } {
    const { family, ttl, absoluteTtl, ipAddress, userAgent } = callOptions(this.plan, options, operation)
    const idleMs = lifetimeMs(ttl, this.plan.idleMs, 'options.ttl', operation)
    const absoluteMs = lifetimeMs(absoluteTtl, this.plan.absoluteMs, 'options.absoluteTtl', operation)
    const own: Change[] = [
      ['.idle', String(idleMs)],
      ['.created', String(Date.now())],
    ]
    if (typeof ipAddress === 'string') own.push(['.ip', shown(ipAddress)])
    if (typeof userAgent === 'string') own.push(['.agent', shown(userAgent)])
    return { family, absoluteMs, own }
  }

  /** Another time without use after which a session ends, as a change of it. */
  private lifetimeOf(ttl: SessionOptions['ttl'], operation: string): Change[] {
    return ttl === undefined ? [] : [['.idle', String(lifetimeMs(ttl, this.plan.idleMs, 'options.ttl', operation))]]
  }

  /** Makes a session. Resolves to its id. */
  private async begin(
    family: string,
    user: string,
    absoluteMs: number,
    changes: readonly Change[],
    logins: boolean,
    behind: number,
    operation: string,
  ): Promise<string> {
    const id = this.store.newId(user, operation)
    const made = await this.store.create(family, id, user, absoluteMs, changes, logins, behind, operation)
    if (made.is === 'absent')
      throw new HoldfastError({ code: 'E_CONFLICT', message: 'the session was ended while it was made', operation })
    // Those of a shard share a list.
    const { spare } = made.session
    if (spare !== '') void this.store.sweep(family, spare.split(' '), operation).catch(ignore)
    return id
  }

  /** Goes on as another session, which nobody knows before. Null: it was ended meanwhile, which counts for more. */
  private async move(
    family: string,
    at: string,
    session: Told,
    user: string,
    changes: readonly Change[],
    absoluteMs: number,
    operation: string,
  ): Promise<string | null> {
    const kept = fieldsOf(session).filter(([name]) => !isOver(session, name) && !changes.some(([other]) => other === name))
    const all = [...kept, ...changes]
    // Whoever is logged in already does not log in.
    const id = await this.begin(family, user, absoluteMs, all, session.user !== '', session.version, operation)
    const last = await this.store.end(family, at, operation).catch(maybeApplied)
    if (last.fate !== FATE_DONE) {
      await this.store.end(family, id, operation).catch(maybeApplied)
      return null
    }
    if (last.version !== session.version) {
      // Somebody changed it between both steps.
      const before = new Map(fieldsOf(session).map(([name, text]) => [name, text as string]))
      const late = differences(before, fieldsOf(last)).filter(([name]) => !changes.some(([other]) => other === name))
      if (late.length > 0) await this.store.change(family, id, late, false, operation).catch(maybeApplied)
    }
    return id
  }

  /** A session as it is shown; that it is used is noted where it is time. */
  private shownOf(
    family: string,
    id: string,
    at: string,
    session: Told,
    sliding: boolean,
    operation: string,
  ): SessionData {
    const { unusedMs, idleMs, leftMs, absoluteLeftMs } = session
    if (!sliding || unusedMs < touchMsOf(this.plan, idleMs)) return new Session(id, session, leftMs, unusedMs)
    this.store.touch(family, at, operation)
    return new Session(id, session, Math.min(idleMs, absoluteLeftMs), 0)
  }

  private async endAll(family: string, user: string, keep: string, operation: string): Promise<number> {
    const [count, left] = await this.store.endAll(family, user, keep, operation)
    // Nobody can use them any more; what is left of many goes as soon as there is time.
    if (left > 0) void this.readAll(family, user, operation).catch(ignore)
    return count
  }

  /** Reads all of a user's sessions, and takes off the list what is no more. */
  private async readAll(family: string, user: string, operation: string): Promise<SessionData[]> {
    const sessions: SessionData[] = []
    for (let from = 0; ; ) {
      const handles = await this.store.list(family, user, LIST_USER, from, PAGE, operation)
      const found = await Promise.all(handles.map((handle) => this.store.read(family, handle, operation).catch(damage)))
      const gone: string[] = []
      found.forEach((each, index) => {
        const handle = handles[index] as string
        if (each instanceof Error) return
        if (each.is === 'done' && each.at === handle && each.session.user === user) {
          sessions.push(new Session(handle, each.session, each.session.leftMs, each.session.unusedMs))
        } else if (each.is === 'absent' && !each.degraded) gone.push(handle)
      })
      await this.store.sweep(family, gone, operation)
      if (handles.length < PAGE) return sessions
      from += handles.length - gone.length
    }
  }

  private async endListed(family: string, list: number, failures: Map<string, Error>, operation: string): Promise<void> {
    const end = (handle: string): Promise<Told | HoldfastError> => this.store.end(family, handle, operation).catch(damage)
    // Those that can't be ended stay at its head.
    for (let from = 0; ; ) {
      const handles = await this.store.list(family, '', list, from, PAGE, operation)
      if (handles.length === 0) return
      const gone: string[] = []
      const endOne = async (handle: string): Promise<void> => {
        let ended = await end(handle)
        // It may have been ended, though what it held can't be told: then it is not there now.
        if (ended instanceof Error) ended = await end(handle)
        if (ended instanceof Error) {
          failures.set(handle, ended)
          from++
        } else if (ended.fate !== FATE_DONE) gone.push(handle)
      }
      await Promise.all(handles.map(endOne))
      await this.store.sweep(family, gone, operation)
    }
  }
}

/** Whether it has the shape of an id. What has not, nobody has given out: there is no such session. */
function isId(value: unknown, operation: string, path = 'sessionId'): value is string {
  if (typeof value === 'string') return ID.test(value)
  throw invalid(path, `${path} is ${describe(value)}; allowed: a text, the id of a session`, operation)
}

function checkUser(value: unknown, path: string, operation: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= MOST_USER && value.isWellFormed()) return value
  const problem = typeof value === 'string' ? (value === '' ? 'empty' : 'too long, or no well-formed text') : describe(value)
  throw invalid(path, `${path} is ${problem}; allowed: a text of 1 to ${MOST_USER} characters`, operation)
}

/** What a guest's session says of itself that is true of nobody else. */
function isOver({ user, data }: Told, name: string): boolean {
  return user === '' && name === ':type' && (data as { type?: unknown }).type === 'guest'
}

/** A session as it was read. Its id opens it, so that it is no part of what is logged or sent. */
class Session implements SessionData {
  readonly #id: string
  declare readonly handle: string
  declare readonly userId?: string
  declare readonly isGuest: boolean
  declare readonly data: SessionFields
  declare readonly createdAt: number
  declare readonly lastAccessedAt: number
  declare readonly expiresAt: number
  declare readonly absoluteExpiresAt: number
  declare readonly ipAddress?: string
  declare readonly userAgent?: string
  declare readonly version: number
  declare readonly degraded: boolean

  constructor(id: string, told: Told, leftMs: number, unusedMs: number, data = told.data) {
    const { user, handle, createdAt, ip, agent, version, degraded, absoluteLeftMs } = told
    const now = Date.now()
    this.#id = id
    this.handle = handle
    if (user !== '') this.userId = user
    this.isGuest = user === ''
    this.data = data
    this.createdAt = createdAt
    this.lastAccessedAt = now - unusedMs
    this.expiresAt = now + leftMs
    this.absoluteExpiresAt = now + absoluteLeftMs
    if (ip !== null) this.ipAddress = ip
    if (agent !== null) this.userAgent = agent
    this.version = version
    this.degraded = degraded
  }

  get id(): string {
    return this.#id
  }
}

/** The error of what something else wrote to, which spoils nothing but itself. */
function damage(thrown: unknown): HoldfastError {
  if (isDamage(thrown)) return thrown
  throw thrown
}

function ignore(): void {}
