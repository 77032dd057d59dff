// What keeps loads from doing harm: a failing loader is left alone for a moment, and while memory answers for
// a server that doesn't, only so many loaders run at once.

import type { AsyncLocalStorage } from 'node:async_hooks'

/** Loaders of an instance that run at once while it is degraded: each key is then loaded by every process. */
const MOST_DEGRADED = 32
/** So often a key's loader may fail in a row before it is left alone: a caller who tries again is no stampede. */
const FREE_FAILURES = 5
/** The next failure is remembered for so long, each further one twice as long. */
const FIRST_PAUSE = 50
const LONGEST_PAUSE = 1000
/** So many failing keys are remembered. */
const MOST_FAILING = 4096

const now = performance.now.bind(performance)

interface Failing {
  count: number
  until: number
  error: unknown
}

export class LoadLimits {
  private readonly failing = new Map<string, Failing>()
  private readonly resting = new Map<string, number>()
  private running = 0
  private readonly waiting: (() => void)[] = []
  private inside: AsyncLocalStorage<true> | null = null

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

  /** Runs a loader when there is room for it. One that is called by another has its room. */
  async whileDegraded<Value>(load: () => Value | Promise<Value>): Promise<Value> {
    // Loaded here: nobody pays for it who never meets an outage.
    const hooks = require('node:async_hooks') as typeof import('node:async_hooks')
    const inside = (this.inside ??= new hooks.AsyncLocalStorage<true>())
    if (inside.getStore() === true) return await load()
    if (this.running >= MOST_DEGRADED) await new Promise<void>((resolve) => this.waiting.push(resolve))
    else this.running++
    try {
      return await inside.run(true, load)
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.running--
      else next()
    }
  }
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= MOST_FAILING) return
  const [oldest] = map.keys()
  map.delete(oldest as string)
}
