// A slot stands for one operation from the call to its reply. Slots are reused, and never before the
// reply has come: an id that still belongs to a late reply must not name a new call.

import type { Batch } from './batch.js'
import { HoldfastError, fromRecord, messageOf, toRecord, type ErrorRecord } from './errors.js'
import { REPLY_ERROR } from './generated/operations.js'
import { isMarked, type Inbox } from './inbox.js'
import type { Serializer } from './serializers.js'

/** What a call answers when there is no server and memory can't: the error itself, */
export const SOFT_NEVER = 0
/** or null, */
export const SOFT_NULL = 1
/** or false, */
export const SOFT_FALSE = 2
/** or 0. */
export const SOFT_ZERO = 3

const SOFT_ANSWERS: readonly unknown[] = [undefined, null, false, 0]

/** Keeps texts of answers by key. */
export interface KeepFor {
  keep(key: string, inbox: Inbox): void
}

// Known by a mark for the same reason as what the inbox makes.
const FAILED = Symbol.for('holdfast.failed')

type Resolve = (value: unknown) => void

const ignore: Resolve = () => {}
let grabbed: Resolve = ignore
// One function for all promises: a closure for each call would cost more than the call.
const grab = (resolve: Resolve): void => {
  grabbed = resolve
}

/** The error of one among many that are awaited together. */
export class Failed {
  static [Symbol.hasInstance](value: unknown): boolean {
    return isMarked(value, FAILED)
  }

  constructor(readonly record: ErrorRecord) {}
}

Object.defineProperty(Failed.prototype, FAILED, { value: true })

export class Slot {
  batch: Batch | null = null
  /** The batch's turn in which the operation was written. */
  turn = 0
  decoder = 0
  serializer: Serializer | undefined = undefined
  /** Who may keep the text of the answer, and for which key. */
  keeper: KeepFor | null = null
  key = ''
  soft = SOFT_NEVER
  /** What is made of the answer before anybody gets it; runs none of the user's code. */
  shape: ((answer: unknown) => unknown) | null = null
  operation = ''
  /** Whether the caller takes the answer from here, in the same call, instead of by a promise. */
  direct = false
  done = false
  value: unknown = undefined
  failure: ErrorRecord | null = null
  private resolve: Resolve = ignore
  private gathered = false

  constructor(readonly id: number) {}

  /**
   * Hands the answer to `take` instead of a promise: one of many that are awaited together. It runs between the answers
   * of others, so no user's code may run in it; what it throws itself comes back to it as a `Failed`.
   */
  openFor(take: Resolve): void {
    this.resolve = take
    this.gathered = true
  }

  /** The promise of the answer. */
  open(): Promise<unknown> {
    const promise = new Promise<unknown>(grab)
    this.resolve = grabbed
    return promise
  }

  /** Takes the reply that comes next in the inbox. The slot is free afterwards, unless it is direct. */
  settle(inbox: Inbox): void {
    let value: unknown
    let failure: ErrorRecord | null = null
    if (inbox.kind === REPLY_ERROR) {
      const record = inbox.readRecord()
      if (this.soft !== SOFT_NEVER && isOutage(record)) value = SOFT_ANSWERS[this.soft]
      else failure = record
    } else {
      try {
        value =
          this.keeper === null
            ? inbox.decode(this.decoder, this.serializer)
            : inbox.decodeKept(this.decoder, this.serializer, this)
        if (this.shape !== null) value = this.shape(value)
      } catch (thrown) {
        failure = recordOf(thrown)
      }
    }
    this.answer(value, failure)
  }

  answer(value: unknown, failure: ErrorRecord | null): void {
    if (this.direct) {
      this.value = value
      this.failure = failure
      this.done = true
      return
    }
    const { resolve, operation, gathered } = this
    this.free()
    if (gathered) hand(resolve, value, failure)
    else resolve(failure === null ? value : failLater(failure, operation))
  }

  /** The text of the answer may be kept. */
  keep(inbox: Inbox): void {
    this.keeper?.keep(this.key, inbox)
  }

  /** Takes the answer that came in the same call. */
  take(): Promise<unknown> {
    const { value, failure, operation } = this
    this.free()
    return failure === null ? Promise.resolve(value) : Promise.reject(fromRecord(failure, operation))
  }

  /** Lets go of everything and goes back to its bridge. */
  free(): void {
    const batch = this.batch as Batch
    this.batch = null
    this.resolve = ignore
    this.gathered = false
    this.value = undefined
    this.failure = null
    this.serializer = undefined
    this.keeper = null
    this.shape = null
    this.direct = false
    this.done = false
    batch.release(this)
  }
}

/** Gives an answer to who takes it, and never throws: the answers behind it are other calls'. */
function hand(take: Resolve, value: unknown, failure: ErrorRecord | null): void {
  try {
    return take(failure === null ? value : new Failed(failure))
  } catch (thrown) {
    failure ??= recordOf(thrown)
  }
  try {
    take(new Failed(failure))
  } catch {
    // It was told twice.
  }
}

/**
 * Rejects with an error whose stack leads into the caller's code. The engine follows a promise to who
 * awaits it only while a reaction to that promise runs, so the error is made there: after the outer
 * promise has followed this one, which takes one turn of the microtask queue, and not at all for success.
 */
async function failLater(record: ErrorRecord, operation: string): Promise<never> {
  await undefined
  await undefined
  const error = fromRecord(record, operation)
  Error.captureStackTrace(error, failLater)
  throw error
}

/**
 * Whether a call failed only because nobody could serve it now, or had room for it. Too many calls at once
 * are the caller's to know, and so is a write that memory took and the journal's disk did not (`E_FULL`,
 * `'unknown'`): he asked for more.
 */
export function isOutage({ code, applied }: ErrorRecord): boolean {
  return code === 'E_UNAVAILABLE' || code === 'E_TIMEOUT' || (code === 'E_FULL' && applied === 'no')
}

function recordOf(thrown: unknown): ErrorRecord {
  if (HoldfastError.isInstance(thrown)) return toRecord(thrown)
  const message = `a defect in holdfast: ${messageOf(thrown)}`
  return { code: 'E_INTERNAL', message, retryable: false, applied: 'unknown', operation: '' }
}
