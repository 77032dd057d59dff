// A stream while it comes, for readers in other processes: a Redis stream that its leader appends to and that they
// look at again and again. It is beside the cache: what is lost of it costs a reader his tail, never a wrong answer.
// For that each entry says how many chunks there were before it, so that a hole is seen.
//
// Each leader has one of his own, so that nobody takes an earlier leader's end for this one's. A leader whose model
// is silent says every two seconds that he is there; a log without news for long is one whose leader is gone.

import { deserialize, serialize } from 'node:v8'

import type { Connection } from '../connection.js'
import { encodeCommand, type RawArgument } from '../generated/operations.js'
import { DECODE_RAW } from '../inbox.js'
import { SOFT_NEVER } from '../slots.js'
import { every, later } from '../timing.js'

const CHUNK = 'c'
/** The leader is there. */
const BEAT = 'b'
/** How a log ends: the answer is whole, */
const ENDED = 'd'
/** its model failed, */
const FAILED = 'e'
/** nobody listens to its model any more, */
const LEFT = 'l'
/** or what comes can't be told here. */
const LOST = 'x'

/** How long it outlives its last entry, s. */
const KEPT_SECONDS = '60'
const FLUSH_MS = 25
const BEAT_MS = 2_000
/** A model that is silent for so many beats, two minutes, is taken for one that hangs. */
const MOST_BEATS = 60
const OPERATION = 'AICacheManager.cacheStream'

export type LogEnd = 'ended' | 'failed' | 'left' | 'lost'
const ENDS: Readonly<Record<string, LogEnd>> = { [ENDED]: 'ended', [FAILED]: 'failed', [LEFT]: 'left', [LOST]: 'lost' }

/** What a look brought. */
export interface LogPage<Chunk> {
  readonly chunks: Chunk[]
  /** Whether there was anything at all. */
  readonly news: boolean
  /** Whether chunks are missing; those of this page are before them. */
  readonly hole: boolean
  readonly end: LogEnd | null
  /** What the leader said of a failure. */
  readonly message: string
}

type Item = readonly [id: string, fields: readonly [kind: string, text: string, name: 'n', before: string]]

/** Next to the stored stream, and out of sight of what watches the cache's families. */
export function liveKey(question: string, holder: string): string {
  // Loaded here: nobody pays for it who caches no stream.
  const { createHash } = require('node:crypto') as typeof import('node:crypto')
  return `ai-live:${createHash('sha256').update(question).digest('hex')}:${holder}`
}

/** The leader's side. Nothing of it throws or rejects. */
export class LogWriter<Chunk> {
  private waiting: [kind: string, text: string, before: number][] = []
  private count = 0
  private beats = 0
  private closed = false
  private timer: NodeJS.Timeout | null = null
  private readonly pulse: NodeJS.Timeout

  constructor(
    private readonly connection: Connection,
    private readonly key: string,
  ) {
    this.pulse = every(this.beat, BEAT_MS)
    this.pulse.unref()
    this.beat()
  }

  append(chunk: Chunk): void {
    if (this.closed) return
    let text: string
    try {
      text = serialize(chunk).toString('base64')
    } catch {
      // Its own listeners have it. What V8 says shows what is in it.
      return this.close(LOST, 'a chunk of it can not be sent to other processes')
    }
    this.waiting.push([CHUNK, text, this.count++])
    this.beats = 0
    this.timer ??= later(this.flush, FLUSH_MS)
  }

  end(): void {
    this.close(ENDED, '')
  }

  fail(message: string): void {
    this.close(FAILED, message)
  }

  leave(): void {
    this.close(LEFT, 'nobody listens to it any more')
  }

  private close(kind: string, text: string): void {
    if (this.closed) return
    this.closed = true
    clearInterval(this.pulse)
    this.waiting.push([kind, text, this.count])
    this.flush()
  }

  private readonly beat = (): void => {
    if (this.beats++ >= MOST_BEATS) return
    this.waiting.push([BEAT, '', this.count])
    this.flush()
  }

  private readonly flush = (): void => {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    const items = this.waiting
    this.waiting = []
    // Readers who miss a chunk see the hole.
    for (const [kind, text, before] of items) this.send(['XADD', this.key, '*', kind, text, 'n', String(before)])
    this.send(['EXPIRE', this.key, KEPT_SECONDS])
  }

  private send(args: readonly RawArgument[]): void {
    send(this.connection, args).catch(() => {})
  }
}

/** A follower's side. */
export class LogReader<Chunk> {
  private last = ''
  private count = 0

  constructor(
    private readonly connection: Connection,
    private readonly key: string,
  ) {}

  /** What came since the last look. Rejects when Redis doesn't answer, or for a chunk that can't be read here. */
  async look(): Promise<LogPage<Chunk>> {
    const from = this.last === '' ? '-' : `(${this.last}`
    const items = (await send(this.connection, ['XRANGE', this.key, from, '+'])) as readonly Item[]
    const chunks: Chunk[] = []
    const page = { chunks, news: items.length > 0, hole: false, end: null, message: '' }
    for (const [id, [kind, text, , before]] of items) {
      this.last = id
      if (Number(before) > this.count) return { ...page, hole: true }
      const end = ENDS[kind]
      if (end !== undefined) return { ...page, end, message: text }
      if (kind !== CHUNK || Number(before) < this.count) continue
      chunks.push(deserialize(Buffer.from(text, 'base64')) as Chunk)
      this.count++
    }
    return page
  }
}

function send(connection: Connection, args: readonly RawArgument[]): Promise<unknown> {
  try {
    const batch = connection.batch(OPERATION)
    const slot = batch.begin(DECODE_RAW, SOFT_NEVER, OPERATION, 0)
    encodeCommand(batch.outbox, slot.id, args, 0)
    return batch.commit(slot)
  } catch (error) {
    return Promise.reject(error as Error)
  }
}
