// What specs about loading share: old values, and calls that must be refused.
import { expect } from 'vitest'
import { waitFor } from '../support/wait-for'
import type { Instance } from './stores'

export type Cache = Instance['cacheManager']

/** A value whose time is over and which grace keeps for a minute. */
export async function makeStale(cache: Cache, key: string, value: unknown = 'old', options: object = {}): Promise<void> {
  await cache.set(key, value, { ttl: 0.02, grace: 60, ...options })
  await waitFor(`${key} to be stale`, async () => !(await cache.exists(key, options)))
}

/** Every value is refused with `E_INVALID` and this path, and nothing else happens. */
export async function areRefused(path: string, values: readonly unknown[], call: (value: never) => unknown): Promise<void> {
  for (const value of values) {
    const outcome = await Promise.resolve()
      .then(() => call(value as never))
      .then((answer) => ({ wasAccepted: typeof answer, for: String(value) }), (error: unknown) => error)
    expect(outcome).toMatchObject({ name: 'HoldfastError', code: 'E_INVALID', path, applied: 'no', retryable: false })
    expect((outcome as Error).message).toContain('; allowed: ')
  }
}

/** What a promise rejects with. */
export async function reasonOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    (answer) => expect.unreachable(`it was answered with ${JSON.stringify(answer)}`),
    (reason: unknown) => reason,
  )
}

/** The lengths of time that are none. */
export const wrongDurations = [-1, Number.NaN, Number.POSITIVE_INFINITY, 200 * 365 * 86_400, '90', '1w', 'soon', null, {}, true]

/** What is no number of ms. */
export const wrongTimeouts = [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '100', '1s', null, {}, true]

/** What is no boolean. */
export const wrongSwitches = ['yes', 1, 0, null, {}]
