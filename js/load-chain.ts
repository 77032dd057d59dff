// Which loader waits for which. A loader that asks for a key whose load waits for that loader would wait for ever:
// for its own key, or for one whose loader asks for its own. Each load knows for which others its loader waits, and
// the loader that asks is known by the context in which it runs.

import type { AsyncLocalStorage } from 'node:async_hooks'

import { HoldfastError } from './errors.js'

/** A loader under way, as others wait for it. */
export class Link {
  /** For whom its loader waits now; one that it waits for twice stands there twice. */
  readonly waits: Link[] = []
  isOver = false

  /** `room`: in whose limits it has room. */
  constructor(public room: object | null = null) {}

  /** Whether this one waits for another, be it by way of others. */
  reaches(other: Link, passed = new Set<Link>()): boolean {
    if (this === other) return true
    if (passed.has(this)) return false
    passed.add(this)
    return this.waits.some((next) => next.reaches(other, passed))
  }
}

let storage: AsyncLocalStorage<Link> | null = null
let running = 0

/** The loader that runs here, if one does. What it left behind when it ended is no loader any more. */
export function loaderHere(): Link | null {
  if (running === 0) return null
  const link = storage?.getStore()
  return link === undefined || link.isOver ? null : link
}

/** Runs a loader, so that it is known in all that it calls. Ends with `endOf`. */
export function asLoader<Value>(link: Link, load: () => Value): Value {
  // Loaded here: nobody pays for it who never loads.
  const hooks = require('node:async_hooks') as typeof import('node:async_hooks')
  storage ??= new hooks.AsyncLocalStorage<Link>()
  running++
  return storage.run(link, load)
}

/** The loader ended, or nobody waits for it any more. */
export function endOf(link: Link): void {
  link.isOver = true
  // While one is in use every promise of the process costs more: reads that are answered at once would pay for it.
  if (--running === 0) storage?.disable()
}

/** Waits for another load; `loader` is the one that asks. */
export async function waitingFor<Value>(loader: Link, other: Link, wait: () => Promise<Value>): Promise<Value> {
  loader.waits.push(other)
  try {
    return await wait()
  } finally {
    loader.waits.splice(loader.waits.indexOf(other), 1)
  }
}

/** The error of a loader that would wait for itself. */
export function waitsForItself(operation: string): HoldfastError {
  const message =
    'the load of this key waits for the loader that asks for it here; allowed: keys whose loaders do not wait for each other'
  return new HoldfastError({ code: 'E_INVALID', message, path: 'key', operation })
}
