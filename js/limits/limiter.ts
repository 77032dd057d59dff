// A limiter: its limits, and what can be asked of them for a key.

import type { Batch } from '../batch.js'
import { named } from '../checks.js'
import type { Connection } from '../connection.js'
import {
  VERB_PEEK,
  VERB_REFUND,
  VERB_RELEASE,
  VERB_RESET,
  VERB_SETTLE,
  VERB_TAKE,
  encodeRate,
} from '../generated/operations.js'
import { DECODE_RAW } from '../inbox.js'
import { describe, invalid } from '../errors.js'
import { checkKey } from '../keys.js'
import { SOFT_NEVER } from '../slots.js'
import { costsOf, planOf, type LimiterOptions, type LimiterPlan } from './options.js'
import { Reservation, reserveTerms, type ReserveOptions } from './reservation.js'
import { MOST_SEATED_LIMITS, type Seated } from './seats.js'
import { isDone, resultOf, type Decision, type RateLimitResult } from './result.js'

/** What a call costs: so much at every limit, or so much at those that are named and 1 at the others. */
export type RateLimitCost = number | Readonly<Record<string, number>>

/** Options of `check`. */
export interface CheckOptions {
  /** A whole number; 0 only looks. Default: 1. */
  cost?: RateLimitCost | undefined
}

const CHECK_NAMES: readonly string[] = ['cost']
const NO_COSTS: readonly string[] = []
/** Longer keys are not kept on this side. */
const LONGEST_SEATED = 128

export class RateLimiter {
  /** @internal */
  readonly plan: LimiterPlan
  private readonly description: string
  private readonly checking: string
  private seated: Seated = new Map()
  private known: { readonly batch: Batch; readonly number: number } | null = null

  /** @internal */
  constructor(
    private readonly connection: Connection,
    options: LimiterOptions,
    readonly operation: string,
  ) {
    this.plan = planOf(options, operation)
    this.description = JSON.stringify(this.plan.definition)
    this.checking = `${operation}.check`
  }

  /** Under which its counts are kept. */
  get name(): string {
    return this.plan.definition.name
  }

  /**
   * Charges a key at every limit, or at none: what is refused costs nothing. Never rejects because Redis does not answer:
   * `source` and `reason` say who decided, and why.
   */
  check(key: string, options?: CheckOptions): Promise<RateLimitResult> {
    const operation = this.checking
    try {
      checkKey(key, 'key', operation)
      if (this.plan.hasSlots)
        throw invalid('key', `${this.operation} has slots, which have to be given back: ask it with reserve() or wrap()`, operation)
      if (options !== undefined) named(options, 'options', CHECK_NAMES, operation)
      const costs = costsOf(this.plan, options?.cost, operation)
      if (typeof costs === 'number' && key.length <= LONGEST_SEATED && this.plan.names.length <= MOST_SEATED_LIMITS) {
        const result = this.spend(key, costs)
        if (result !== null) return Promise.resolve(result)
      }
      return this.ask(VERB_TAKE, key, '', 0, costs, this.shape, operation) as Promise<RateLimitResult>
    } catch (thrown) {
      return Promise.reject(thrown as Error)
    }
  }

  /** How a key stands. Charges nothing. */
  async status(key: string): Promise<RateLimitResult> {
    return (await this.ask(VERB_PEEK, key, '', 0, 0, this.shape, `${this.operation}.status`)) as RateLimitResult
  }

  /**
   * Charges an estimate, until it is known what it came to: `commit` counts that instead, `release` nothing. Also takes a
   * slot of every limit that is `'concurrency'`. What is neither committed nor released comes back when this process ends
   * or lets go of it.
   */
  async reserve(key: string, options: ReserveOptions = {}): Promise<Reservation> {
    const operation = `${this.operation}.reserve`
    const { estimate, ...terms } = reserveTerms(options, this.plan.slotMs, operation)
    const costs = costsOf(this.plan, estimate, operation, 'options.estimate')
    const decision = (await this.ask(VERB_TAKE, key, '', terms.leaseMs, costs, null, operation)) as Decision
    return new Reservation(this, key, decision.id, resultOf(this.plan.names, decision), terms)
  }

  /** Counts what a reservation came to; from any process, and once. False: it was settled before. */
  async commit(key: string, id: string, actual: RateLimitCost): Promise<boolean> {
    const operation = `${this.operation}.commit`
    checkId(id, operation)
    const costs = this.checkActual(actual)
    return isDone((await this.ask(VERB_SETTLE, key, id, 0, costs, null, operation)) as Decision)
  }

  /** @internal What nobody knows is no 1. */
  checkActual(actual: RateLimitCost): number | number[] {
    const operation = `${this.operation}.commit`
    if (actual === undefined) throw invalid('actual', 'actual is missing; allowed: what it came to', operation)
    return costsOf(this.plan, actual, operation, 'actual')
  }

  /** Gives back what a reservation holds. False: there was nothing left to give back. */
  async release(key: string, id: string): Promise<boolean> {
    const operation = `${this.operation}.release`
    checkId(id, operation)
    return isDone((await this.ask(VERB_RELEASE, key, id, 0, 0, null, operation)) as Decision)
  }

  /** Gives back what was taken last. */
  async refund(key: string, cost: RateLimitCost = 1): Promise<void> {
    const operation = `${this.operation}.refund`
    await this.ask(VERB_REFUND, key, '', 0, costsOf(this.plan, cost, operation, 'cost'), null, operation)
  }

  /** Forgets what a key was charged. */
  async reset(key: string): Promise<void> {
    await this.ask(VERB_RESET, key, '', 0, 0, null, `${this.operation}.reset`)
  }

  /** @internal */
  keepHold(hold: { key: string; id: string; leaseMs: number; maxHoldMs: number }, lost: () => void): void {
    const operation = `${this.operation}.reserve`
    const limiter = this.number(this.connection.batch(operation))
    this.connection.look('keepHold', operation, JSON.stringify({ limiter, ...hold }))
    this.connection.holds.listen(hold.id, lost)
  }

  /** @internal */
  dropHold(id: string): void {
    this.connection.holds.listen(id, null)
    if (this.connection.isOpen) this.connection.look('dropHold', this.operation, id)
  }

  /** Decides without asking, where this process can: null where it can't. */
  private spend(key: string, cost: number): RateLimitResult | null {
    const batch = this.connection.batch(this.checking)
    if (this.known?.batch !== batch) return null
    const seat = this.seated.get(key)
    if (seat === undefined || seat < 0) {
      batch.seats.note(batch.handle, this.known.number, key, this.seated)
      return null
    }
    if (!batch.mayAnswer(0)) return null
    const result = batch.seats.draw(seat, cost, this.plan.names)
    if (result !== null) return result
    // What was called before is handed over first.
    return batch.isEmpty ? batch.seats.ask(seat, cost, this.plan.names) : null
  }

  private readonly shape = (decision: unknown): unknown => resultOf(this.plan.names, decision as Decision)

  private ask(
    verb: number,
    key: string,
    id: string,
    holdMs: number,
    costs: number | readonly number[],
    shape: ((decision: unknown) => unknown) | null,
    operation: string,
  ): Promise<unknown> {
    checkKey(key, 'key', operation)
    const batch = this.connection.batch(operation)
    const number = this.number(batch)
    // Whatever else is asked of a key comes before its next call.
    const seat = this.seated.get(key)
    if (seat !== undefined && seat >= 0) batch.seats.drop(seat)
    const slot = batch.begin(DECODE_RAW, SOFT_NEVER, operation, key.length)
    slot.shape = shape
    const one = typeof costs === 'number'
    encodeRate(batch.outbox, slot.id, number, verb, key, id, holdMs, one ? costs : 0, one ? NO_COSTS : costs.map(String))
    return batch.commitRead(slot)
  }

  /** The number under which the native side knows it. */
  private number(batch: Batch): number {
    if (this.known?.batch !== batch) {
      this.seated = new Map()
      this.known = { batch, number: this.connection.look<number>('limiter', this.operation, this.description) }
    }
    return this.known.number
  }
}

/** As `reserve` gave it: nothing else may cross in its place. */
function checkId(id: unknown, operation: string): void {
  if (typeof id === 'string' && /^[0-9a-f]{16}$/.test(id)) return
  throw invalid('id', `id is ${describe(id)}; allowed: the id of a reservation, 16 hexadecimal digits`, operation)
}
