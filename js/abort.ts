// Giving a call up. The operation itself can't be called back once it is handed over: its late reply is
// read and dropped, and only then its slot is free.

import { HoldfastError, describe, invalid } from './errors.js'

const ABORTED = Symbol('aborted')

/** What a signal ends. One listener each, however many calls share it: Node warns of more than ten. */
const ended = new WeakMap<AbortSignal, Set<() => void>>()

/** Throws when the signal was aborted before anything was sent, or is no signal. */
export function checkSignal(signal: AbortSignal | undefined, operation: string): void {
  if (signal === undefined) return
  checkIsSignal(signal, operation)
  if (signal.aborted) throw aborted(signal, 'no', operation)
}

/** Throws when it is no signal. One of another global is one as well. */
export function checkIsSignal(signal: unknown, operation: string): asserts signal is AbortSignal {
  const { aborted, addEventListener } = Object(signal) as Partial<AbortSignal>
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function') return
  throw invalid('options.signal', `options.signal is ${describe(signal)}; allowed: an AbortSignal`, operation)
}

/** The answer, unless the options' signal gives the call up. */
export function answered<Value>(
  answer: Promise<Value>,
  options: { signal?: AbortSignal | undefined } | undefined,
  operation: string,
): Promise<Value> {
  return options?.signal === undefined ? answer : abortable(answer, options.signal, operation)
}

/** The answer, or the error of an abort that comes first. */
export async function abortable<Value>(answer: Promise<Value>, signal: AbortSignal, operation: string): Promise<Value> {
  let give = (): void => {}
  const abort = new Promise<typeof ABORTED>((resolve) => {
    give = () => resolve(ABORTED)
  })
  const calls = callsOf(signal)
  calls.add(give)
  try {
    const first = await Promise.race([answer, abort])
    // Thrown here and not in the listener, so that the stack leads to who made the call.
    if (first === ABORTED) throw aborted(signal, 'unknown', operation)
    return first as Value
  } finally {
    calls.delete(give)
  }
}

/** What this signal ends: whoever puts something in takes it out again when it is over. */
export function callsOf(signal: AbortSignal): Set<() => void> {
  let calls = ended.get(signal)
  if (calls === undefined) {
    const fresh = (calls = new Set())
    ended.set(signal, fresh)
    signal.addEventListener('abort', () => fresh.forEach((give) => give()), { once: true })
  }
  return calls
}

function aborted(signal: AbortSignal, applied: 'no' | 'unknown', operation: string): HoldfastError {
  return new HoldfastError({
    code: 'E_TIMEOUT',
    message: applied === 'no' ? 'the call was aborted before it was sent' : 'the call was aborted after it was sent',
    applied,
    operation,
    cause: signal.reason,
  })
}
