// Sessions as they cross: what is asked, and what comes back.

import type { Connection } from '../connection.js'
import { closed } from '../errors.js'
import {
  DEED_CHANGE,
  DEED_COUNT,
  DEED_CREATE,
  DEED_END,
  DEED_END_ALL,
  DEED_LIST,
  DEED_MOVE,
  DEED_READ,
  DEED_SWEEP,
  DEED_TOUCH,
  FATE_ABSENT,
  FATE_CONFLICT,
  FATE_DONE,
  FATE_MOVED,
  OUTAGE_BRIEF,
  OUTAGE_LOGINS,
  encodeSession,
  encodeSessions,
} from '../generated/operations.js'
import { DECODE_RAW } from '../inbox.js'
import { SOFT_NEVER, type Slot } from '../slots.js'
import { partlyApplied } from './applied.js'
import type { SessionFields, SessionPlan } from './options.js'

/** An answer as it crosses; what is not there leaves most of it empty. */
export interface Told {
  readonly fate: number
  readonly degraded: boolean
  /** ms until it ends if nobody uses it. */
  readonly leftMs: number
  /** ms since it was used. */
  readonly unusedMs: number
  /** ms until it ends however much it is used. */
  readonly absoluteLeftMs: number
  readonly version: number
  /** After so many ms without use it ends. */
  readonly idleMs: number
  /** ms since 1970. */
  readonly createdAt: number
  /** '': a guest. */
  readonly user: string
  /** Of one that moved, the handle of where it is. */
  readonly handle: string
  readonly data: SessionFields
  readonly ip: string | null
  readonly agent: string | null
  /** Guests beyond the bound, with blanks between. */
  readonly spare: string
}

/** A field of a change: its name with what tells users' from ours, and its JSON, or null where it goes. */
export type Change = readonly [name: string, text: string | null]

export const LIST_USER = 0
export const SHARDS = 64
/** The list of all users' sessions in a shard. */
export const usersIn = (shard: number): number => 1 + 2 * shard
/** The list of all guests' sessions in a shard. */
export const guestsIn = (shard: number): number => 2 + 2 * shard

const NO_ARGUMENTS: readonly string[] = []
const ANY_VERSION = -1
/** An id that was rotated leads to one that may have been rotated itself. */
const MOST_MOVES = 64

/** What became of a change. */
export type Changed =
  | { readonly is: 'done' | 'conflict'; readonly session: Told; readonly at: string }
  | { readonly is: 'absent'; readonly degraded: boolean }

export class SessionStore {
  /** The generation of the instance in which this was closed. */
  private closedIn = -1

  constructor(
    private readonly connection: Connection,
    private readonly plan: SessionPlan,
  ) {}

  /** A new id in the place of this one. */
  newIdAfter(id: string, operation: string): string {
    return this.connection.look<string>('sessionIdAfter', operation, id)
  }

  /** Gives it another id. False: it is not there. */
  async move(family: string, id: string, to: string, operation: string): Promise<boolean> {
    const moved = await this.follow(id, (at) =>
      this.ask(DEED_MOVE, family, at, to, this.plan.graceMs, ANY_VERSION, 0, NO_ARGUMENTS, operation, OUTAGE_BRIEF),
    )
    return moved.is === 'done'
  }

  /** Refuses what is asked from now on, until the instance is opened anew. */
  close(): void {
    this.closedIn = this.connection.generation
  }

  /** An id for a session of this user; of a guest, ''. */
  newId(user: string, operation: string): string {
    return this.connection.look<string>('sessionId', operation, user)
  }

  /** A session by its id or handle, and under which of them it is; null: it is not there. */
  async read(family: string, id: string, operation: string): Promise<Changed> {
    return await this.follow(id, (at) => this.readOne(family, at, operation))
  }

  /** Whether it is there. */
  async exists(family: string, id: string, operation: string): Promise<boolean> {
    const found = await this.follow(id, (at) =>
      this.ask(DEED_READ, family, at, '', 0, ANY_VERSION, 0, NO_ARGUMENTS, operation, OUTAGE_BRIEF),
    )
    return found.is === 'done'
  }

  /** A session of this very id: another may have taken its place. */
  readOne(family: string, id: string, operation: string): Promise<Told> {
    return this.ask(DEED_READ, family, id, '', 0, ANY_VERSION, 0, NO_ARGUMENTS, operation)
  }

  async create(
    family: string,
    id: string,
    user: string,
    absoluteMs: number,
    changes: readonly Change[],
    logins: boolean,
    behind: number,
    operation: string,
  ): Promise<Changed> {
    // Each shard has its part of the guests.
    const most = user === '' && this.plan.maxGuests > 0 ? Math.ceil(this.plan.maxGuests / SHARDS) : 0
    const fields = argumentsOf(changes)
    const how = logins ? OUTAGE_LOGINS | OUTAGE_BRIEF : OUTAGE_BRIEF
    return changed(await this.ask(DEED_CREATE, family, id, user, absoluteMs, behind, most, fields, operation, how), id)
  }

  /** False: it is not there. */
  async change(family: string, id: string, changes: readonly Change[], uses: boolean, operation: string): Promise<boolean> {
    const fields = argumentsOf(changes)
    const changed = await this.follow(id, (at) =>
      this.ask(DEED_CHANGE, family, at, '', uses ? 1 : 0, ANY_VERSION, 0, fields, operation, OUTAGE_BRIEF),
    )
    return changed.is === 'done'
  }

  /** The same where nobody else changed it since that version; what it is then, or as others left it. */
  async changeAt(
    version: number,
    family: string,
    id: string,
    changes: readonly Change[],
    uses: boolean,
    operation: string,
  ): Promise<Changed> {
    const fields = argumentsOf(changes)
    return await this.follow(id, (at) =>
      this.ask(DEED_CHANGE, family, at, '', uses ? 1 : 0, version, 0, fields, operation),
    )
  }

  /** Notes that it was used. Nobody waits for it. */
  touch(family: string, id: string, operation: string): void {
    const slot = this.begin(operation)
    encodeSession(this.outbox(slot), slot.id, DEED_TOUCH, family, id, '', 0, ANY_VERSION, 0, this.plan.knownMs, this.plan.outage | OUTAGE_BRIEF, NO_ARGUMENTS)
    this.batchOf(slot).commitFor(slot, ignore)
  }

  /** Ends it, and what took its place. */
  async end(family: string, id: string, operation: string): Promise<Told> {
    let at = id
    for (let moves = 0; ; moves++) {
      const told = await this.ask(DEED_END, family, at, '', this.plan.absoluteMs, ANY_VERSION, 0, NO_ARGUMENTS, operation)
      if (told.fate !== FATE_MOVED || moves === MOST_MOVES) return told
      at = told.handle
    }
  }

  /** Ends all of a user's but one: how many there were, and whether some are in the lists still. */
  async endAll(family: string, user: string, keep: string, operation: string): Promise<[count: number, left: number]> {
    return (await this.many(DEED_END_ALL, family, user, keep, LIST_USER, 0, 0, NO_ARGUMENTS, operation)) as [number, number]
  }

  async list(family: string, user: string, list: number, from: number, count: number, operation: string): Promise<string[]> {
    return (await this.many(DEED_LIST, family, user, '', list, from, count, NO_ARGUMENTS, operation)) as string[]
  }

  async count(family: string, list: number, operation: string): Promise<number> {
    return (await this.many(DEED_COUNT, family, '', '', list, 0, 0, NO_ARGUMENTS, operation)) as number
  }

  /** Takes off their list what is no more. */
  async sweep(family: string, handles: readonly string[], operation: string): Promise<void> {
    if (handles.length > 0) await this.many(DEED_SWEEP, family, '', '', LIST_USER, 0, 0, handles, operation)
  }

  private async follow(id: string, ask: (id: string) => Promise<Told>): Promise<Changed> {
    let at = id
    for (let moves = 0; moves < MOST_MOVES; moves++) {
      const told = await ask(at)
      if (told.fate === FATE_DONE || told.fate === FATE_CONFLICT || told.fate === FATE_ABSENT) return changed(told, at)
      at = told.handle
    }
    return { is: 'absent', degraded: false }
  }

  private ask(
    deed: number,
    family: string,
    id: string,
    other: string,
    ms: number,
    version: number,
    most: number,
    fields: readonly string[],
    operation: string,
    how = 0,
  ): Promise<Told> {
    const { knownMs, outage } = this.plan
    const slot = this.begin(operation)
    encodeSession(this.outbox(slot), slot.id, deed, family, id, other, ms, version, most, knownMs, outage | how, fields)
    const told = this.batchOf(slot).commitRead(slot) as Promise<Told>
    return deed === DEED_READ ? told : told.catch(partlyApplied)
  }

  private many(
    deed: number,
    family: string,
    user: string,
    keep: string,
    list: number,
    from: number,
    count: number,
    handles: readonly string[],
    operation: string,
  ): Promise<unknown> {
    const slot = this.begin(operation)
    const { absoluteMs, outage } = this.plan
    encodeSessions(this.outbox(slot), slot.id, deed, family, user, keep, list, from, count, absoluteMs, outage, handles)
    const told = this.batchOf(slot).commitRead(slot)
    return deed === DEED_END_ALL ? told.catch(partlyApplied) : told
  }

  private begin(operation: string): Slot {
    if (this.closedIn === this.connection.generation) throw closed(operation)
    return this.connection.batch(operation).begin(DECODE_RAW, SOFT_NEVER, operation, 0)
  }

  private batchOf(slot: Slot): NonNullable<Slot['batch']> {
    return slot.batch as NonNullable<Slot['batch']>
  }

  private outbox(slot: Slot): NonNullable<Slot['batch']>['outbox'] {
    return this.batchOf(slot).outbox
  }
}

function ignore(): void {}

function argumentsOf(changes: readonly Change[]): string[] {
  const out: string[] = []
  for (const [name, text] of changes) out.push(name, text === null ? '0' : '1', text ?? '')
  return out
}

function changed(told: Told, at: string): Changed {
  const { fate, degraded } = told
  if (fate !== FATE_DONE && fate !== FATE_CONFLICT) return { is: 'absent', degraded }
  return { is: fate === FATE_DONE ? 'done' : 'conflict', session: told, at }
}
