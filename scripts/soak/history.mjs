// What was called on one key, as far as it decides what may stand there now.
//
// A call is { id, kind: 'set' | 'delete' | 'load', by, called, settled, acked }: `id` names the value, `by` the
// process, `acked` is null until it is settled. Calls stand in the order in which they were made. That is the
// order in which they count: one process' calls on a key take effect in their order, and the other process
// calls only after the key was handed over, when nothing of the first is under way. A load alone takes effect at
// any time until it is settled: it reads first, and writes what it was given later.

/** What a call leaves behind: the id of a value, or null for none. */
export const left = ({ kind, id }) => (kind === 'delete' ? null : id)

/** The last acknowledged call, and those that may have taken effect after it. */
export function open(calls) {
  const last = calls.findLastIndex((call) => call.acked)
  return calls.filter((call, at) => at >= last || isLateLoad(call, calls[last]))
}

const isLateLoad = (call, last) => call.kind === 'load' && (call.settled === null || call.settled > last.called)

export class History {
  #readers = new Set()

  /** `calls` is what a process that had the key before handed over. */
  constructor(key, calls = []) {
    this.key = key
    this.calls = calls
  }

  add(call) {
    this.calls.push(call)
    for (const may of this.#readers) may.add(left(call))
    return call
  }

  /** A load that found a value wrote nothing. */
  remove(call) {
    this.calls = this.calls.filter((other) => other !== call)
  }

  settle(call, acked, at) {
    call.acked = acked
    call.settled = at
    if (acked) this.#forget()
  }

  /**
   * What `read` may answer beside nothing, when nobody else writes the key: what stands when it is called, and
   * what is written while it is under way, since it may be sent a second time when a connection breaks.
   */
  async reading(read) {
    const may = new Set(open(this.calls).map(left))
    this.#readers.add(may)
    const value = await read
    this.#readers.delete(may)
    return { value, may }
  }

  /** Of each process only its last acknowledged call counts, and what may have taken effect after that. */
  #forget() {
    const writers = new Set(this.calls.map(({ by }) => by))
    const kept = new Set([...writers].flatMap((by) => open(this.calls.filter((call) => call.by === by))))
    this.calls = this.calls.filter((call) => kept.has(call))
  }
}
