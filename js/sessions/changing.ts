// The sessions whose changes by a function run now: a function that changes its own session would wait for itself.

import type { AsyncLocalStorage } from 'node:async_hooks'

import { invalid } from '../errors.js'

/** A session, by whose changes wait for each other. */
type Changing = readonly [owner: object, sessionId: string]

let storage: AsyncLocalStorage<readonly Changing[]> | null = null
let running = 0

/** Refuses what would wait for the function that calls it. */
export function checkOutside(owner: object, sessionId: string, operation: string): void {
  if (running === 0) return
  const around = storage?.getStore() ?? []
  if (!around.some(([other, id]) => other === owner && id === sessionId)) return
  const problem = 'change updates the session whose change it is, and would wait for itself; allowed: to answer what it is to hold'
  throw invalid('change', problem, operation)
}

/** Runs a function of a session's data, so that it is known in all that it calls. */
export async function asChange<Data>(owner: object, sessionId: string, change: (data: Data) => unknown, data: Data): Promise<unknown> {
  // Loaded here: nobody pays for it who never calls this.
  const hooks = require('node:async_hooks') as typeof import('node:async_hooks')
  storage ??= new hooks.AsyncLocalStorage<readonly Changing[]>()
  running++
  try {
    return await storage.run([...(storage.getStore() ?? []), [owner, sessionId]], change, data)
  } finally {
    // While one is in use every promise of the process costs more.
    if (--running === 0) storage.disable()
  }
}
