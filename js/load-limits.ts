// What keeps loads from doing harm: a failing loader is left alone for a moment, and while memory answers for
// a server that doesn't, only so many loaders run at once.

import { LONGEST_LOAD_MS } from './flights.js'
import { now, within } from './timing.js'

/** Loaders of an instance that run at once while it is degraded: each key is then loaded by every process. */
const MOST_DEGRADED = 32
/** So often a key's loader may fail in a row before it is left alone: a caller who tries again is no stampede. */
const FREE_FAILURES = 5
/** The next failure is remembered for so long, each further one twice as long. */
const FIRST_PAUSE = 50
const LONGEST_PAUSE = 1000
/** So many failing keys are remembered. */
const MOST_FAILING = 4096

interface Failing {
  count: number
  until: number
  error: unknown
}

export class LoadLimits {
  private readonly failing = new Map<string, Failing>()
  private readonly resting = new Map<string, number>()
  private hasTold = false
  private running = 0
  /** Those that wait for room, the first one first. */
  private readonly waiting = new Set<Turn>()

  /** The error that a key's loader ended with a moment ago, if it should be left alone. */
  lately(key: string): { error: unknown } | null {
    if (this.failing.size === 0) return null
    const failing = this.failing.get(key)
    return failing !== undefined && now() < failing.until ? failing : null
  }

  failed(key: string, error: unknown): void {
    const count = (this.failing.get(key)?.count ?? 0) + 1
    const over = count - FREE_FAILURES - 1
    const pause = over < 0 ? 0 : Math.min(FIRST_PAUSE * 2 ** over, LONGEST_PAUSE)
    this.failing.delete(key)
    this.failing.set(key, { count, until: now() + pause, error })
    forgetOldest(this.failing)
  }

  succeeded(key: string): void {
    if (this.failing.size > 0) this.failing.delete(key)
    if (this.resting.size > 0) this.resting.delete(key)
  }

  /** An old value serves for a key, and its loader is left alone for so long. */
  rest(key: string, ms: number): void {
    this.resting.delete(key)
    this.resting.set(key, now() + ms)
    forgetOldest(this.resting)
  }

  rests(key: string): boolean {
    if (this.resting.size === 0) return false
    const until = this.resting.get(key)
    if (until === undefined) return false
    if (now() < until) return true
    this.resting.delete(key)
    return false
  }

  /** Whoever deletes or writes a key wants it loaded again. */
  forget(key: string): void {
    this.succeeded(key)
  }

  forgetAll(prefix: string): void {
    for (const map of [this.failing, this.resting]) {
      for (const key of map.keys()) if (key.startsWith(prefix)) map.delete(key)
    }
  }

  /** Tells, once, that values are loaded anew because they can't be read: after a change of serializers, say. */
  tellOnce(why: string): void {
    if (this.hasTold) return
    this.hasTold = true
    process.emitWarning(`getOrSet loads anew what it can't read: ${why}`, 'HoldfastWarning')
  }

  /** Room for a loader, as soon as there is some. */
  turn(): Turn {
    const turn = new Turn(this.end)
    if (this.running < MOST_DEGRADED) this.begin(turn)
    else this.waiting.add(turn)
    return turn
  }

  /** Redis answers again: nobody has to wait. */
  letAllIn(): void {
    for (const turn of this.waiting) this.begin(turn)
    this.waiting.clear()
  }

  private begin(turn: Turn): void {
    this.running++
    turn.begin()
  }

  private readonly end = (turn: Turn): void => {
    if (!turn.hasBegun) {
      this.waiting.delete(turn)
      return
    }
    this.running--
    const [next] = this.waiting
    if (next === undefined || this.running >= MOST_DEGRADED) return
    this.waiting.delete(next)
    this.begin(next)
  }
}

/** One that has room, or waits for it. */
export class Turn {
  readonly come: Promise<true>
  hasBegun = false
  private tell = (_: true): void => {}
  private isOver = false
  private timer: NodeJS.Timeout | undefined

  constructor(private readonly ended: (turn: Turn) => void) {
    this.come = new Promise((resolve) => (this.tell = resolve))
  }

  begin(): void {
    this.hasBegun = true
    // A loader that hangs must not keep others from theirs for ever.
    this.timer = setTimeout(() => this.end(), LONGEST_LOAD_MS)
    this.timer.unref()
    this.tell(true)
  }

  end(): void {
    if (this.isOver) return
    this.isOver = true
    clearTimeout(this.timer)
    this.ended(this)
  }
}

/** Room for one loader, which the loads of several keys may share. */
export class Room {
  private users = 0
  private turn: Turn | null = null

  constructor(private readonly limits: LoadLimits) {}

  /** False when there was none within so long. Whoever entered leaves. */
  async enter(ms: number): Promise<boolean> {
    this.users++
    this.turn ??= this.limits.turn()
    if (this.turn.hasBegun || (await within(this.turn.come, ms)) === true) return true
    this.leave()
    return false
  }

  leave(): void {
    if (--this.users > 0) return
    this.turn?.end()
    this.turn = null
  }
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= MOST_FAILING) return
  const [oldest] = map.keys()
  map.delete(oldest as string)
}
