// The native module as this side sees it, and the one place that loads it.

import { HoldfastError, messageOf } from './errors.js'

/** One environment's side of the addon. Nothing but bridge.ts and connection.ts may call it. */
export interface NativeEnvironment {
  /** Opens an instance from `{"options": {...}, "env": {...}}` and answers its handle. Dials nothing. */
  open(config: string): number
  /** Hands over a batch. Answers what can be answered at once into the inbox; returns the replies' text. */
  submit(
    handle: number,
    meta: Float64Array,
    used: number,
    text: string,
    extras: unknown[] | null,
    inbox: Float64Array,
  ): string | null
  /** Collects replies and events that wait. Returns the replies' text. */
  drain(inbox: Float64Array): string | null
  /** What the last submit or drain could not put into numbers and one-byte text. */
  takeExtras(): unknown[]
  /** The marks of an instance's keys: memory that the native side changes. */
  marks(handle: number): Uint32Array | null
  /** The numbers of the last `spend`: who decided, how many takes more are lent, for how many ms, then those of each limit. */
  told(): Float64Array
  /** How many takes each seat may decide by itself; counted down on both sides. */
  cells(): Int32Array
  /** Names a key of a limiter by a number from now on. */
  seat(handle: number, limiter: number, key: string, seat: number): void
  /** Decides a take at once, if that can be done: the outcome, or -1. */
  spend(seat: number, cost: number): number
  /** A question or a switch, answered at once: JSON of `{ok}` or `{error}`. */
  inspect(handle: number, what: string, argument: string): string
  /** Lets go of an instance. What was handed over before is still sent and answered. */
  close(handle: number): void
}

/** The raw exports of the addon. */
export interface NativeModule {
  /**
   * `wake` is called, at most once until the next drain, when replies wait. `resource` stands for it in
   * async hooks; by its `hasRef` jest's search for open handles sees that an idle instance holds nothing.
   */
  readonly Environment: new (wake: () => void, resource: { hasRef: () => boolean }) => NativeEnvironment
}

let loaded: NativeModule | undefined

/** The addon, loaded at the first call that needs it. Throws `E_UNSUPPORTED` where there is none. */
export function nativeModule(): NativeModule {
  loaded ??= load()
  return loaded
}

function load(): NativeModule {
  try {
    // Not an import: nothing native may load before something is asked of it.
    return require('../native.js') as NativeModule
  } catch (cause) {
    const name = platformPackage()
    const reason = messageOf(cause).split('\n', 1)[0]
    throw new HoldfastError({
      code: 'E_UNSUPPORTED',
      message:
        `holdfast could not load its native module for this platform; the package ${name} is missing or damaged. ` +
        'Install again with optional dependencies, on the platform where the app runs: npm install --include=optional. ' +
        `If a bundler packs the server, keep holdfast external (Next.js: serverExternalPackages: ['holdfast']). ` +
        `(${reason})`,
      cause,
    })
  }
}

/** The name of the package that holds the addon for this platform. */
export function platformPackage(): string {
  const { platform, arch } = process
  if (platform === 'win32') return `holdfast-win32-${arch}-msvc`
  if (platform === 'linux') return `holdfast-linux-${arch}-${isMusl() ? 'musl' : 'gnu'}`
  return `holdfast-${platform}-${arch}`
}

function isMusl(): boolean {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean }
  // Without it the report looks up the name of every peer, which can take seconds.
  report.excludeNetwork = true
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined
}
