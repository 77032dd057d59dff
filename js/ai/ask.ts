// One question under way in this process: who answers it, and what becomes of the answer. Either this process runs
// the model (it leads), or it follows the one that does.
//
// A leader is judged by its log alone, as long as that has news: clearing the cache takes its lease, and what it says
// goes on. Only where the log is silent or has a hole the lease is asked, and what is kept counts only where it is of
// the leader that was followed: whoever heard something never hears the rest of another answer.

import type { Connection } from '../connection.js'
import { deleteEntry, fillEntry, loadEntry, ownerOf, type Place, type Reader as EntryReader, type Terms } from '../entries.js'
import { HoldfastError, messageOf } from '../errors.js'
import { FLAG_UNCOUNTED } from '../generated/operations.js'
import { DECODE_FOUND, Found, Loading } from '../inbox.js'
import { LEASE_MS, type Lease } from '../leases.js'
import { encodeValue } from '../serializers.js'
import { sleep } from '../timing.js'
import { isWhole } from './finish.js'
import { LogReader, LogWriter, liveKey } from './live-log.js'
import { nearby } from './nearby.js'
import { unreadable } from './shelf.js'
import { listen, type StreamSource } from './source.js'
import type { HowToStream } from './stream-options.js'
import type { Tail } from './tail.js'

/** @internal A stream as it is stored. */
export interface StoredStream {
  chunks: unknown[]
  model: string
  timestamp: number
  /** Whose it is: the holder of the lease. */
  by: string
}

/** What is asked. */
export interface Question<Chunk> extends HowToStream<Chunk> {
  readonly terms: Terms
  readonly place: Place
  readonly model: string
  readonly source: StreamSource<Chunk>
}

const OPERATION = 'AICacheManager.cacheStream'
const READER: EntryReader = { decoder: DECODE_FOUND }
/** How often another process' stream is looked at, ms. */
const LOOK_MS = 20
/** After so many looks without news its leader is looked after, */
const SILENT_LOOKS = 300
/** and from then on at every so manieth look. */
const LOOKS = 10

/** Who leads in this global, by the holder of the lease. */
const leaders = new Map<string, Ask<unknown>>()

export class Ask<Chunk> {
  leads = false
  over = false
  /** When its last chunk came; at first when it began. */
  aliveAt = performance.now()
  /** Resolves when it is over. */
  readonly ended: Promise<void>
  private readonly controller = new AbortController()
  private lease: Lease | null = null
  private log: LogWriter<Chunk> | null = null
  /** Whether the model has said all, and only keeping it is left. */
  private spoken = false
  private hard: NodeJS.Timeout | null = null
  private idle: NodeJS.Timeout | null = null
  private tellEnded = (): void => {}

  constructor(
    private readonly connection: Connection,
    private readonly question: Question<Chunk>,
    private readonly tail: Tail<Chunk>,
  ) {
    this.ended = new Promise((resolve) => (this.tellEnded = resolve))
  }

  /** Finds out who answers, and starts what has to be started. Answers what is kept, if it is. */
  async begin(): Promise<Found | null> {
    const { hardTimeoutMs } = this.question
    if (hardTimeoutMs !== null) this.hard = setTimeout(this.give, hardTimeoutMs, `${hardTimeoutMs} ms (hardTimeoutMs)`)
    this.wait()
    try {
      let answer = await this.look(0).catch((error: unknown) => this.lookAnew(error))
      if (isHeld(answer) && this.replaces(answer.holder)) answer = await this.look(FLAG_UNCOUNTED)
      if (answer instanceof Found) {
        this.end(null)
        return answer
      }
      this.go(answer)
      return null
    } catch (error) {
      this.end(error)
      throw error
    }
  }

  /** Nobody listens any more. */
  readonly deserted = (): void => {
    if (this.spoken || (this.leads && this.question.continueUnheard)) return
    this.log?.leave()
    this.end(new Error('nobody listens any more'))
  }

  private go(loading: Loading | null): void {
    if (isHeld(loading)) return void this.follow(loading.holder).catch((error: unknown) => this.end(error))
    if (loading !== null && loading.token !== null) this.take(loading.token, loading.degraded)
    if (this.over) return this.giveUp()
    this.leads = true
    void this.lead()
  }

  /**
   * Whether this takes the place of who leads. One of this instance would have been joined, unless it was
   * invalidated, which a tag's lease survives, or hangs: so its right ends, and it goes on for who listens.
   */
  private replaces(holder: string): boolean {
    const leader = leaders.get(holder)
    if (leader === undefined || leader.connection !== this.connection) return false
    leader.giveBack()
    return true
  }

  /** Takes the right to lead, and lets others hear of it. */
  private take(token: string, degraded: boolean): void {
    const { connection, question, tail } = this
    const holder = holderOf(token)
    this.lease = this.hold(token)
    leaders.set(holder, this as unknown as Ask<unknown>)
    void this.ended.then(() => leaders.delete(holder))
    // What memory knows of is in this process.
    const beside = degraded || connection.view(OPERATION).memoryOnly
    if (beside && !this.over) nearby.offer(holder, tail, this.ended)
    if (!beside) this.log = new LogWriter(connection, liveKey(question.place.key, holder))
  }

  private hold(token: string): Lease {
    return this.connection.leases.hold(this.question.place, token)
  }

  private giveUp(): void {
    this.log?.leave()
    this.giveBack()
  }

  private giveBack(): void {
    if (this.lease !== null) this.connection.leases.giveBack(this.lease)
    this.lease = null
  }

  private async look(flags: number): Promise<Found | Loading | null> {
    const { place, terms } = this.question
    const batch = this.connection.batch(OPERATION)
    const asked = { ...place, flags: place.flags | flags }
    const answer = (await loadEntry(batch, READER, asked, LEASE_MS, terms, OPERATION)) as Found | Loading | null
    if (answer instanceof Found && !isStored(answer.value)) throw unreadable('stream', OPERATION)
    return answer
  }

  /** What is kept and can't be read is a miss; its place is made free for what the model says. */
  private async lookAnew(error: unknown): Promise<Found | Loading | null> {
    if (!HoldfastError.isInstance(error) || error.code !== 'E_DATA') throw error
    try {
      const { connection, question } = this
      await deleteEntry(connection.batch(OPERATION), question.place, OPERATION)
      return await this.look(FLAG_UNCOUNTED)
    } catch {
      // Then nothing is kept.
      return null
    }
  }

  /** Runs the model. */
  private async lead(): Promise<void> {
    const { connection, tail, question } = this
    const counts = connection.tally.of(ownerOf(question.place))
    counts.loads++
    const began = performance.now()
    try {
      await listen(question.source, this.controller.signal, OPERATION, (chunk) => {
        tail.push(chunk)
        this.log?.append(chunk)
        this.goesOn()
      })
      this.spoken = true
      this.stopWaiting()
      const { isComplete } = question
      // Nothing but true: a promise is no answer.
      const whole = isComplete === undefined ? isWhole(tail.chunks) : isComplete(tail.chunks) === true
      if (whole) await this.keep(performance.now() - began)
      this.end(null)
    } catch (error) {
      counts.loadErrors++
      this.end(error)
    }
  }

  private goesOn(): void {
    this.aliveAt = performance.now()
    if (this.lease !== null) this.connection.leases.goesOn(this.lease)
    this.wait()
  }

  private async keep(loadMs: number): Promise<void> {
    const { connection, tail, lease } = this
    const { place, terms, model } = this.question
    if (lease === null) return
    try {
      const by = holderOf(lease.token)
      const stored: StoredStream = { chunks: [...tail.chunks], model, timestamp: Date.now(), by }
      // Chunks of SDKs hold dates and bytes, which JSON would change.
      const texts = tail.chunks.every((chunk) => typeof chunk === 'string')
      const written = encodeValue(stored, texts ? 'json' : 'structured', 'source', OPERATION)
      connection.leases.end(lease)
      await fillEntry(connection.batch(OPERATION), place, lease.token, written, terms, loadMs, OPERATION)
      this.lease = null
    } catch {
      // Its callers have the answer. That it was not kept shows in the statistics.
    }
  }

  /** Follows who leads elsewhere. */
  private async follow(leader: string): Promise<void> {
    const beside = nearby.find<Chunk>(leader)
    if (beside !== null) return await this.copy(beside)
    const { connection, tail, question } = this
    const log = new LogReader<Chunk>(connection, liveKey(question.place.key, leader))
    // Where there is no log, the lease tells all that can be known.
    let lost = connection.view(OPERATION).memoryOnly
    let quiet = 0
    try {
      while (!this.over) {
        if (!lost) {
          const page = await log.look()
          for (const chunk of page.chunks) tail.push(chunk)
          if (page.chunks.length > 0) this.goesOn()
          if (page.end === 'ended') return this.end(null)
          if (page.end === 'failed') return this.end(brokenOff(page.message))
          if (page.end !== null) return await this.without(leader, page.message)
          if (page.news) quiet = 0
          lost = page.hole
        }
        if ((lost || quiet >= SILENT_LOOKS) && quiet % LOOKS === 0 && !(await this.lookAfter(leader))) return
        quiet++
        await sleep(LOOK_MS)
      }
    } catch (error) {
      // Redis is gone, or what the leader says can't be read here.
      await this.without(leader, messageOf(error))
    }
  }

  /** Whether the leader still leads. If not, this went on in another way. */
  private async lookAfter(leader: string): Promise<boolean> {
    const answer = await this.look(FLAG_UNCOUNTED)
    if (this.over) {
      if (!(answer instanceof Found)) this.go(answer)
      return false
    }
    if (answer instanceof Found) this.resume(answer, leader)
    else if (isHeld(answer) && answer.holder === leader) return true
    else if (this.tail.chunks.length === 0) this.go(answer)
    else {
      if (answer !== null && answer.token !== null) this.lease = this.hold(answer.token)
      this.end(brokenOff('its process is gone'))
    }
    return false
  }

  /** Goes on without the leader: who has heard nothing yet can still be answered. */
  private async without(leader: string, why: string): Promise<void> {
    if (this.over) return
    if (this.tail.chunks.length > 0) return this.end(brokenOff(why))
    const answer = await this.look(FLAG_UNCOUNTED).catch(() => null)
    if (answer instanceof Found) return this.resume(answer, leader)
    // He may still have the right to lead, but nothing of his can be heard here.
    this.go(isHeld(answer) && answer.holder === leader ? null : answer)
  }

  /** Gives what is kept, from where readers are. */
  private resume(found: Found, leader: string): void {
    const { chunks, by } = found.value as StoredStream
    const heard = this.tail.chunks.length
    if (heard > 0 && by !== leader) return this.end(brokenOff('another answer took its place'))
    for (const chunk of chunks.slice(heard)) this.tail.push(chunk as Chunk)
    this.end(null)
  }

  /** Follows a leader in this process: another copy of this package, or another instance. */
  private async copy(leader: Tail<Chunk>): Promise<void> {
    const reader = leader.follow({ signal: this.controller.signal })
    try {
      for await (const chunk of reader) {
        this.tail.push(chunk)
        this.wait()
      }
      this.end(null)
    } catch (error) {
      this.end(error)
    }
  }

  /** The wait for the next chunk begins. */
  private wait(): void {
    const { idleTimeoutMs } = this.question
    if (idleTimeoutMs === null || this.over) return
    if (this.idle !== null) this.idle.refresh()
    else this.idle = setTimeout(this.give, idleTimeoutMs, `${idleTimeoutMs} ms since the last chunk (idleTimeoutMs)`)
  }

  private stopWaiting(): void {
    if (this.hard !== null) clearTimeout(this.hard)
    if (this.idle !== null) clearTimeout(this.idle)
  }

  /** The time is over. */
  private readonly give = (limit: string): void => {
    const message = `the model did not end within ${limit}`
    this.end(new HoldfastError({ code: 'E_TIMEOUT', message, retryable: true, operation: OPERATION }))
  }

  private end(error: unknown): void {
    if (this.over) return
    this.over = true
    this.stopWaiting()
    if (error === null) {
      this.log?.end()
      this.tail.finish()
    } else {
      this.log?.fail(messageOf(error))
      this.controller.abort(error)
      this.tail.fail(error)
    }
    this.giveBack()
    this.tellEnded()
  }
}

/** Whether somebody else has the right to lead. */
function isHeld(answer: Found | Loading | null): answer is Loading & { token: null } {
  return answer instanceof Loading && answer.token === null && answer.waitMs > 0
}

/** By what others know who leads. */
function holderOf(token: string): string {
  return token.slice(0, token.indexOf('-'))
}

export function isStored(value: unknown): value is StoredStream {
  return typeof value === 'object' && value !== null && Array.isArray((value as Partial<StoredStream>).chunks)
}

function brokenOff(why: string): HoldfastError {
  return new HoldfastError({
    code: 'E_UNAVAILABLE',
    message: `the stream that was followed broke off: ${why}`,
    retryable: true,
    operation: OPERATION,
  })
}
