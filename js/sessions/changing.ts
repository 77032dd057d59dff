// The changes by a function that run now: a function that waits for its own session's next turn would wait for itself.

import type { AsyncLocalStorage } from 'node:async_hooks'

import { invalid } from '../errors.js'

/** A change under way, of one of the sessions of `owner`. What it left behind when it was over is no part of it. */
interface Changing {
  readonly owner: object
  readonly sessionId: string
  readonly around: Changing | undefined
  isOver: boolean
}

let storage: AsyncLocalStorage<Changing> | null = null
let running = 0

/** Refuses what would wait for the function that calls it. */
export function checkOutside(owner: object, sessionId: string, operation: string): void {
  if (running === 0) return
  for (let change = storage?.getStore(); change !== undefined; change = change.around) {
    if (change.isOver || change.owner !== owner || change.sessionId !== sessionId) continue
    const problem = 'change calls what waits until the change of its session is over, and so for itself; allowed: to answer what the session is to hold'
    throw invalid('change', problem, operation)
  }
}

/** Runs a function of a session's data, so that it is known in all that it calls. */
export async function asChange<Data, Result>(
  owner: object,
  sessionId: string,
  change: (data: Data) => Result,
  data: Data,
): Promise<Awaited<Result>> {
  // Loaded here: nobody pays for it who never calls this.
  const hooks = require('node:async_hooks') as typeof import('node:async_hooks')
  storage ??= new hooks.AsyncLocalStorage<Changing>()
  const own: Changing = { owner, sessionId, around: storage.getStore(), isOver: false }
  running++
  try {
    return await storage.run(own, change, data)
  } finally {
    own.isOver = true
    // While one is in use every promise of the process costs more.
    if (--running === 0) storage.disable()
  }
}
