// Signals that end things: one listener on each, however many wait for it.

/** A signal, or what has one, such as a request. */
export type Abortable = AbortSignal | { readonly signal: AbortSignal }

export function signalOf(source: Abortable): AbortSignal {
  return 'signal' in source ? source.signal : source
}

const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls once the signal is aborted. What is called must not throw. Whoever waits must keep this. */
export class AbortWait {
  private readonly signal: AbortSignal

  constructor(
    /** Kept, because Node does not abort the signal of a Request that was collected. */
    readonly source: Abortable,
    private readonly call: () => void,
  ) {
    this.signal = signalOf(source)
    const calls = waiting.get(this.signal)
    if (calls !== undefined) calls.add(call)
    else {
      waiting.set(this.signal, new Set([call]))
      this.signal.addEventListener('abort', abort)
    }
  }

  stop(): void {
    const calls = waiting.get(this.signal)
    if (calls?.delete(this.call) && calls.size === 0) forget(this.signal)
  }
}

function forget(signal: AbortSignal): void {
  waiting.delete(signal)
  signal.removeEventListener('abort', abort)
}

function abort(this: AbortSignal): void {
  const calls = waiting.get(this)
  forget(this)
  for (const call of calls ?? []) call()
}
