// A stream while it comes, for readers in other processes: a Redis stream that its leader appends to and that they
// look at again and again. It is beside the cache: what is lost of it costs a reader his tail, never a wrong answer.
// Each leader has one of his own, so that nobody takes an earlier leader's end for this one's.

import { deserialize, serialize } from 'node:v8'

import type { Connection } from '../connection.js'
import { encodeCommand, type RawArgument } from '../generated/operations.js'
import { DECODE_RAW } from '../inbox.js'
import { SOFT_NEVER } from '../slots.js'

const ENDED = 'd'
const FAILED = 'e'
const CHUNK = 'c'
/** How long it outlives its last chunk, s. */
const KEPT_SECONDS = '60'
const FLUSH_MS = 25
const OPERATION = 'AICacheManager.cacheStream'

/** What a look brought. */
export interface LogPage<Chunk> {
  readonly chunks: Chunk[]
  readonly ended: boolean
  readonly failure: string | null
}

type Item = readonly [id: string, fields: readonly [kind: string, text: string]]

export class LiveLog<Chunk> {
  private waiting: [kind: string, text: string][] = []
  private timer: NodeJS.Timeout | null = null
  private last = '-'

  constructor(
    private readonly connection: Connection,
    private readonly key: string,
  ) {}

  append(chunk: Chunk): void {
    this.waiting.push([CHUNK, serialize(chunk).toString('base64')])
    this.timer ??= setTimeout(this.flush, FLUSH_MS)
  }

  end(): void {
    this.close(ENDED, '')
  }

  fail(message: string): void {
    this.close(FAILED, message)
  }

  /** What came since the last look. Rejects when Redis doesn't answer. */
  async look(): Promise<LogPage<Chunk>> {
    const from = this.last === '-' ? '-' : `(${this.last}`
    const items = (await this.send(['XRANGE', this.key, from, '+'])) as readonly Item[]
    const chunks: Chunk[] = []
    for (const [id, [kind, text]] of items) {
      this.last = id
      if (kind === ENDED) return { chunks, ended: true, failure: null }
      if (kind === FAILED) return { chunks, ended: true, failure: text }
      chunks.push(deserialize(Buffer.from(text, 'base64')) as Chunk)
    }
    return { chunks, ended: false, failure: null }
  }

  private close(kind: string, text: string): void {
    this.waiting.push([kind, text])
    this.flush()
  }

  private readonly flush = (): void => {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    const items = this.waiting
    this.waiting = []
    // Readers who miss a chunk never see the end, and load for themselves.
    for (const [kind, text] of items) this.send(['XADD', this.key, '*', kind, text]).catch(() => {})
    this.send(['EXPIRE', this.key, KEPT_SECONDS]).catch(() => {})
  }

  private send(args: readonly RawArgument[]): Promise<unknown> {
    try {
      const batch = this.connection.batch(OPERATION)
      const slot = batch.begin(DECODE_RAW, SOFT_NEVER, OPERATION, 0)
      encodeCommand(batch.outbox, slot.id, args, 0)
      return batch.commit(slot)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }
}
