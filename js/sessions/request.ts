// The session that a request carries: its cookie is read once, and nothing is made before there is something to keep.

import { HoldfastError } from '../errors.js'
import { inTurn } from '../timing.js'
import { maybeApplied } from './applied.js'
import { changesOf, checkChange } from './changes.js'
import { asChange, checkOutside } from './changing.js'
import type { CookieSource, CookieTarget } from './cookies.js'
import type { SessionData, SessionManager, SessionUpdate } from './manager.js'
import type { SessionFields, SessionOptions } from './options.js'

/** For so long the next call waits for one that has begun: that one may wait for something of the app's own. */
const LONGEST_TURN_MS = 30_000

/** Options of `openSession`. */
export interface OpenOptions extends SessionOptions {}

/** A request's session. What changes the id has to be given to the client: `commit(response)`. */
export class RequestSession<Data extends object = SessionFields> {
  private sent: string | null
  /** The client's cookie opens nothing any more. */
  private wasEnded: boolean
  private isDestroyed = false
  /** An id that a write has made, until it was seen what it holds. */
  private made: string | null = null
  /** An id whose end was asked for, until it is known that it is ended. */
  private ending: string | null = null
  /** It was ended while this request had it. */
  private isLost = false
  /** The last call, until it is done. */
  private last: Promise<unknown> | undefined

  /** @internal */
  static async open<Data extends object>(
    manager: SessionManager,
    source: CookieSource,
    options: OpenOptions,
  ): Promise<RequestSession<Data>> {
    const id = manager.cookies.read(source)
    const { session, isKnown } = await manager.lookUp<Data>(id, options)
    // A cookie that opens nothing is not one of which Redis does not answer.
    return new RequestSession<Data>(manager, options, id, session, id !== null && session === null && isKnown)
  }

  private constructor(
    private readonly manager: SessionManager,
    private readonly options: SessionOptions,
    cookie: string | null,
    private found: SessionData<Data> | null,
    isStale: boolean,
  ) {
    this.sent = cookie
    this.wasEnded = isStale
  }

  /** The session; null: the client has none yet. */
  get session(): SessionData<Data> | null {
    return this.found
  }

  /** Its id; null: the client has none yet. */
  get id(): string | null {
    return this.found?.id ?? null
  }

  /** Whose it is; null: a guest's, or nobody's yet. */
  get userId(): string | null {
    return this.found?.userId ?? null
  }

  /** What it holds. */
  get data(): Partial<Data> {
    return this.found?.data ?? {}
  }

  /**
   * Sets fields; undefined removes one. Makes a guest's session where there is none. One that was ended meanwhile
   * takes nothing (`E_CONFLICT`), by a log-in beside this perhaps. Nor does one that nobody can vouch for
   * while Redis is away (`E_UNAVAILABLE`).
   */
  set(data: Partial<Data>): Promise<void> {
    return this.inTurn('RequestSession.set', () => this.setNow(data))
  }

  private async setNow(data: Partial<Data>): Promise<void> {
    const { manager, options, found } = this
    const operation = 'RequestSession.set'
    if (found !== null) {
      if (await manager.updateSession(found.id, data, callOf(options))) return await this.look(found.id, operation)
      if (!(await this.isGone(found.id))) throw unavailable(operation, 'no')
    }
    // By a login beside this, or by whoever logs it out: another one in its place would undo that.
    if (this.isLost) {
      throw new HoldfastError({
        code: 'E_CONFLICT',
        message: 'the session was ended meanwhile; nothing was written',
        operation,
      })
    }
    if (changesOf(data, 'data', operation).every(([, value]) => value === null)) return
    // A guest's cookie in its place would log the user out for good.
    if (this.isUnknown && this.sent?.startsWith('u') === true) throw unavailable(operation, 'no')
    await this.look(await manager.createSession(null, data, options), operation)
  }

  /** Changes the data by a function of it, as `sessionManager.update`. False: there is no session. */
  update(change: SessionUpdate<Data>): Promise<boolean> {
    return this.inTurn('RequestSession.update', () => this.updateNow(change))
  }

  private async updateNow(change: SessionUpdate<Data>): Promise<boolean> {
    const { found } = this
    checkChange(change, 'RequestSession.update')
    if (found === null) return false
    const session = await this.manager.update<Data>(found.id, (data) => asChange(this, '', change, data), callOf(this.options))
    if (session === null) await this.isGone(found.id)
    else this.found = session
    return session !== null
  }

  /** Logs a user in, under a new id; what a guest has kept stays. */
  authenticate(userId: string, data?: SessionFields): Promise<void> {
    return this.inTurn('RequestSession.authenticate', async () =>
      this.look(await this.manager.authenticate(this.id, userId, data, this.options), 'RequestSession.authenticate'),
    )
  }

  /** Gives it a new id. False: there is no session. */
  rotate(): Promise<boolean> {
    return this.inTurn('RequestSession.rotate', () => this.rotateNow())
  }

  private async rotateNow(): Promise<boolean> {
    const { found } = this
    if (found === null) return false
    const id = await this.manager.rotate(found.id, callOf(this.options))
    if (id === null) await this.isGone(found.id)
    else await this.look(id, 'RequestSession.rotate')
    return id !== null
  }

  /** Ends it. */
  destroy(): Promise<void> {
    return this.inTurn('RequestSession.destroy', () => this.destroyNow())
  }

  private async destroyNow(): Promise<void> {
    const { found, isUnknown, sent } = this
    // Redis may know what this process does not.
    this.ending = this.made ?? found?.id ?? (isUnknown ? sent : this.ending)
    this.found = null
    this.made = null
    this.wasEnded = true
    this.isDestroyed = true
    this.isLost = false
    if (this.ending !== null) await this.manager.deleteSession(this.ending, callOf(this.options))
    this.ending = null
  }

  /**
   * Tells the client of its id, where it has another or none: a response, its headers, or the cookie store of Next. Answers
   * the target, or a copy of a response whose headers can't be changed (`Response.redirect`).
   */
  commit<Target extends CookieTarget>(target: Target): Target {
    const { cookies } = this.manager
    const { found, sent, made } = this
    if (made !== null && made !== sent) {
      const answer = cookies.set(target, made)
      this.sent = made
      return answer
    }
    if (found !== null && found.id !== sent) {
      const answer = cookies.set(target, found.id, Math.max(0, found.absoluteExpiresAt - Date.now()))
      this.sent = found.id
      return answer
    }
    if (found === null && sent !== null && this.isOver) {
      const answer = cookies.clear(target)
      this.sent = null
      return answer
    }
    return target
  }

  /** Each call goes by what the one before it has come to. */
  private inTurn<Result>(operation: string, call: () => Promise<Result>): Promise<Result> {
    try {
      checkOutside(this, '', operation)
    } catch (thrown) {
      return Promise.reject(thrown as Error)
    }
    const { result, turn } = inTurn(this.last, call, LONGEST_TURN_MS)
    this.last = turn
    void turn.then(() => {
      if (this.last === turn) this.last = undefined
    })
    return result
  }

  /**
   * Whether the client is to forget its cookie. A guest's that opens nothing does no harm, and where somebody logs in
   * beside this request, taking it away could take away the user's that came in its place.
   */
  private get isOver(): boolean {
    return this.isDestroyed || (this.wasEnded && this.sent?.startsWith('g') !== true)
  }

  /** The cookie names a session that may be there: Redis did not answer when it was read. */
  private get isUnknown(): boolean {
    return this.found === null && this.sent !== null && !this.wasEnded
  }

  /** Shows what a write has made. */
  private async look(id: string, operation: string): Promise<void> {
    this.made = id
    const { session, isKnown } = await this.lookUp(id).catch(maybeApplied)
    if (!isKnown) throw unavailable(operation, 'unknown')
    this.made = null
    this.found = session
    this.wasEnded = session === null
    this.isLost = session === null
  }

  /** Whether a session that a call did not find is gone. While Redis is away nobody knows, and all stays as it was. */
  private async isGone(id: string): Promise<boolean> {
    const { session, isKnown } = await this.lookUp(id)
    if (!isKnown) return false
    this.found = session
    this.wasEnded = session === null
    this.isLost = session === null
    return this.wasEnded
  }

  private lookUp(id: string): Promise<{ session: SessionData<Data> | null; isKnown: boolean }> {
    return this.manager.lookUp<Data>(id, { ...callOf(this.options), sliding: false })
  }
}

function unavailable(operation: string, applied: 'no' | 'unknown'): HoldfastError {
  return new HoldfastError({
    code: 'E_UNAVAILABLE',
    message: 'Redis is not available, and this process does not know the session',
    retryable: true,
    applied,
    operation,
  })
}

/** What concerns a session that is there. */
function callOf({ prefix }: SessionOptions): SessionOptions {
  return prefix === undefined ? {} : { prefix }
}
