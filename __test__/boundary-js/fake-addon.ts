// An addon in plain JS for tests of the bridge: reads batches by the generated list of operations, answers
// as it is told, and shows what crossed. One text per answer, numbers and extras as the real one has them.

import {
  OPERATIONS,
  REPLY_BOOLEAN,
  REPLY_ENTRY,
  REPLY_ERROR,
  REPLY_EVENT,
  REPLY_EXTRA,
  REPLY_LOADING,
  REPLY_NULL,
  REPLY_TEXT,
} from '../../js/generated/operations'
import type { NativeEnvironment, NativeModule } from '../../js/native-module'

/** A value as the fake answers it. */
export interface FakeEntry {
  /** Or `bytes`, which cross beside the text. */
  text?: string
  bytes?: Uint8Array
  format?: number
  source?: number
  /** -1: for good. */
  ttlMs?: number
  /** -1: as long as it lives. */
  freshMs?: number
  ageMs?: number
  loadMs?: number
  /** For how long it may be kept; -1: no limit of its own. */
  keepMs?: number
  /** Where its mark stands; 0: it may not be kept. */
  place?: number
  mark?: number
  /** -1: it has none. */
  tags?: number
}

/** What the fake answers. */
export type FakeReply =
  | { kind: 'null' }
  | { kind: 'boolean'; value: boolean }
  | { kind: 'text'; value: string }
  | { kind: 'extra'; value: unknown }
  | ({ kind: 'entry' } & FakeEntry)
  | { kind: 'loading'; waitMs?: number; degraded?: boolean; token?: string; holder?: string; stale?: FakeEntry }
  | { kind: 'error'; code: string; message?: string; applied?: 'no' | 'unknown' }
  | { kind: 'event'; type: string }

/** One operation as it crossed. */
export interface Crossed {
  id: number
  name: string
  fields: unknown[]
}

type Answerer = (operation: Crossed) => FakeReply | 'pending'

export class FakeAddon {
  /** Every batch that was submitted. */
  readonly batches: Crossed[][] = []
  /** How an operation is answered in the same call; `pending` is answered by `reply`. */
  answer: Answerer = () => ({ kind: 'null' })
  /** Rows that are handed out in one go. */
  rowsPerDrain = Infinity
  drains = 0
  closed: number[] = []
  /** Thrown by the next submit. */
  failure: Error | null = null
  /** The marks of every instance; null where the two sides can't see the same memory. */
  marks: Uint32Array | null = null
  private wake: () => void = () => {}
  private waiting: { id: number; reply: FakeReply }[] = []
  private extras: unknown[] = []

  readonly module: NativeModule

  constructor() {
    const fake = this
    this.module = {
      Environment: class implements NativeEnvironment {
        constructor(wake: () => void) {
          fake.wake = wake
        }
        open(): number {
          return 0
        }
        submit(
          _: number,
          meta: Float64Array,
          used: number,
          text: string,
          extras: unknown[] | null,
          inbox: Float64Array,
        ) {
          return fake.submit(meta, used, text, extras, inbox)
        }
        drain(inbox: Float64Array) {
          return fake.drain(inbox)
        }
        told() {
          return new Float64Array(0)
        }
        cells() {
          return new Int32Array(0)
        }
        seat() {}
        spend() {
          return -1
        }
        takeExtras() {
          const taken = fake.extras
          fake.extras = []
          return taken
        }
        marks() {
          return fake.marks
        }
        inspect(_: number, what: string): string {
          // By this word the other side sees whether it is the same memory.
          if (what === 'echoMarks' && fake.marks !== null) fake.marks[2] = (fake.marks[2] as number) + 1
          return '{"ok":{"defaultTtl":3600}}'
        }
        close(handle: number): void {
          fake.closed.push(handle)
        }
      },
    }
  }

  /** Answers a pending operation, as if it had come from the network. */
  reply(id: number, reply: FakeReply, wake = true): void {
    this.waiting.push({ id, reply })
    if (wake) this.wake()
  }

  private submit(
    meta: Float64Array,
    used: number,
    text: string,
    extras: unknown[] | null,
    inbox: Float64Array,
  ): string | null {
    if (this.failure !== null) {
      const failure = this.failure
      this.failure = null
      throw failure
    }
    const batch = decode(meta, used, text, extras)
    this.batches.push(batch)
    const rows: { id: number; reply: FakeReply }[] = []
    let pending = 0
    for (const operation of batch) {
      const reply = this.answer(operation)
      if (reply === 'pending') pending++
      else rows.push({ id: operation.id, reply })
    }
    return this.write(rows, pending, inbox)
  }

  private drain(inbox: Float64Array): string | null {
    this.drains++
    return this.write(this.waiting.splice(0, this.rowsPerDrain), 0, inbox)
  }

  private write(rows: { id: number; reply: FakeReply }[], pending: number, inbox: Float64Array): string | null {
    let text = ''
    let at = 4
    for (const [index, { id, reply }] of rows.entries()) {
      const numbers: number[] = [id]
      let said = ''
      const write = (value: string): void => {
        numbers.push(REPLY_TEXT, value.length)
        said += value
      }
      const entry = (given: FakeEntry): void => {
        const { source = 0, format = 0, ttlMs = -1, freshMs = -1, ageMs = 0, loadMs = 0 } = given
        const { keepMs = -1, place = 0, mark = 0, tags = -1, bytes } = given
        numbers.push(REPLY_ENTRY, source, format, ttlMs, freshMs, ageMs, loadMs, keepMs, place, mark, tags)
        if (bytes === undefined) write(given.text ?? '')
        else numbers.push(REPLY_EXTRA, this.extras.push(bytes) - 1)
      }
      if (reply.kind === 'null') numbers.push(REPLY_NULL)
      else if (reply.kind === 'boolean') numbers.push(REPLY_BOOLEAN, reply.value ? 1 : 0)
      else if (reply.kind === 'text') write(reply.value)
      else if (reply.kind === 'entry') entry(reply)
      else if (reply.kind === 'loading') {
        numbers.push(REPLY_LOADING, reply.waitMs ?? 0, reply.degraded === true ? 1 : 0)
        if (reply.token === undefined) numbers.push(REPLY_NULL)
        else write(reply.token)
        write(reply.holder ?? '')
        if (reply.stale === undefined) numbers.push(REPLY_NULL)
        else entry(reply.stale)
      } else if (reply.kind === 'extra') numbers.push(REPLY_EXTRA, this.extras.push(reply.value) - 1)
      else if (reply.kind === 'event')
        numbers.push(REPLY_EVENT, this.extras.push(JSON.stringify({ type: reply.type })) - 1)
      else {
        const { code, message = code, applied = 'no' } = reply
        const record = { code, message, retryable: false, applied, operation: '' }
        numbers.push(REPLY_ERROR, this.extras.push(JSON.stringify(record)) - 1)
      }
      if (at + numbers.length > inbox.length) {
        this.waiting.unshift(...rows.slice(index))
        break
      }
      inbox.set(numbers, at)
      at += numbers.length
      text += said
    }
    inbox[0] = at
    inbox[1] = this.extras.length > 0 ? 1 : 0
    inbox[2] = this.waiting.length > 0 ? 16 : 0
    inbox[3] = pending
    return text === '' ? null : text
  }
}

/** Reads a batch by the list of operations, as the native side does. */
function decode(meta: Float64Array, used: number, text: string, extras: unknown[] | null): Crossed[] {
  let at = 0
  let cursor = 0
  const next = (): number => meta[at++] as number
  const cut = (): string => text.slice(cursor, (cursor += next()))
  const value = (): unknown => ((meta[at] as number) >= 0 ? cut() : extras?.[-next() - 1])
  const list = (): unknown[] => Array.from({ length: next() }, value)
  const operations: Crossed[] = []
  while (at < used) {
    const [name, types] = OPERATIONS[next()] as (typeof OPERATIONS)[number]
    const id = next()
    const fields = types.map((type) => {
      if (type === 'text') return cut()
      if (type === 'number') return next()
      if (type === 'value') return value()
      if (type === 'args') return list()
      return Array.from({ length: next() }, list)
    })
    operations.push({ id, name, fields })
  }
  if (cursor !== text.length) throw new Error(`${text.length - cursor} characters of the text belong to no operation`)
  return operations
}
