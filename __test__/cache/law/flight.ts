// A load as the law knows it: who asked, what its loader does in the end, and where it stands.
import { gate } from '../stores'
import { Broken, text, type How } from './player'
import type { Core, Spot } from './scene'
import type { Entry, Lease, World } from './world'

/** What a loader gets. */
export type Context = Parameters<Parameters<Core['instance']['cacheManager']['getOrSet']>[1]>[0]

/** What a loader does in the end. */
export type Ending = 'value' | 'nothing' | 'skip' | 'throw' | 'fail' | 'tags'

/** How a load is asked for. */
export interface Plan {
  readonly how: How
  readonly tags: readonly string[]
  /** Of each caller: whether an old value will do. */
  readonly graces: readonly boolean[]
  /** An old value serves at once. */
  readonly isSoft: boolean
  readonly isForced: boolean
  /** Another load is not waited for. */
  readonly isImpatient: boolean
  readonly ending: Ending
  readonly value: unknown
}

/** What a caller got. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown }

/** What becomes of a loader. */
export interface Run {
  readonly called: { told: { value: unknown } | null }[]
  readonly begun: ReturnType<typeof gate<void>>
  readonly isOpen: ReturnType<typeof gate<void>>
  readonly error: Error
}

export interface Caller {
  readonly hasGrace: boolean
  readonly outcome: Promise<Outcome>
  /** What he may get as well. */
  besides: Entry | null
}

export interface Flight {
  readonly core: Core
  readonly spot: Spot
  readonly world: World
  readonly name: string
  readonly flags: string
  readonly plan: Plan
  readonly run: Run
  /** Of whom it is: if its loader fails, whether an old value serves. */
  hasGrace: boolean
  readonly callers: Caller[]
  /** It found what it was asked for; or runs its loader; or waits for another load. */
  state: 'found' | 'running' | 'waiting' | 'over'
  lease: Lease | null
  /** When its load began. */
  since: number
  /** It began while a walk over the keys went on, which may take what it brings. */
  isDoubtful: boolean
  /** Something was invalidated that it has nothing to do with: whether it may be joined is nowhere said. */
  isLoose: boolean
  /** What is there though it is not fresh, as the loader is told. */
  old: Entry | null
}

const HANGING_MS = 30_000

export function newRun({ key }: Spot, { value }: Plan): Run {
  return { called: [], begun: gate(), isOpen: gate(), error: new Error(`the loader of ${key} for ${text(value)}`) }
}

/** A bound that only guards against hanging. */
export async function answered<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const never = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Broken(`waited in vain for ${what}`)), HANGING_MS)
  })
  return await Promise.race([promise, never]).finally(() => clearTimeout(timer))
}

export function isSame(got: Outcome, expected: Outcome): boolean {
  return 'value' in expected ? 'value' in got && got.value === expected.value : 'error' in got && got.error === expected.error
}

export function said(outcome: Outcome): string {
  return 'value' in outcome ? text(outcome.value) : String(outcome.error)
}
