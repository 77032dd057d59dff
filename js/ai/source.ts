// What a model gives, chunk by chunk, until somebody gives it up. A model that never speaks again must not hold
// anything: whoever waits here is let go at once, whatever the model does with its signal.

import { describe, invalid } from '../errors.js'

/** What gives an answer in chunks. */
export type StreamSource<Chunk> = (context: { readonly signal: AbortSignal }) => Chunks<Chunk> | Promise<Chunks<Chunk>>
export type Chunks<Chunk> = AsyncIterable<Chunk> | Iterable<Chunk> | ReadableStream<Chunk>

interface Steps<Chunk> {
  next(): Promise<IteratorResult<Chunk, unknown>> | IteratorResult<Chunk, unknown>
  return?(): unknown
}

/**
 * Runs the source and hands over what it gives. Rejects with the signal's reason as soon as it is aborted; what the
 * source gives afterwards is dropped, and it is asked to close. `take` must not throw.
 */
export function listen<Chunk>(
  source: StreamSource<Chunk>,
  signal: AbortSignal,
  operation: string,
  take: (chunk: Chunk) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let steps: Steps<Chunk> | null = null
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error)
      if (steps !== null) close(steps)
    })
    const run = async (): Promise<void> => {
      steps = stepsOf(await source({ signal }), operation)
      // It was given up before it had anything to give.
      if (signal.aborted) return close(steps)
      for (;;) {
        const step = await steps.next()
        if (signal.aborted || step.done === true) return
        take(step.value)
      }
    }
    run().then(resolve, reject)
  })
}

/** Nobody waits for it: a generator that hangs closes when it comes back, if ever. */
function close(steps: Steps<unknown>): void {
  try {
    Promise.resolve(steps.return?.()).catch(() => {})
  } catch {
    // A generator can't be closed from within.
  }
}

function stepsOf<Chunk>(chunks: Chunks<Chunk>, operation: string): Steps<Chunk> {
  const shape = chunks as Partial<AsyncIterable<Chunk> & Iterable<Chunk> & ReadableStream<Chunk>> | null | undefined
  if (typeof shape === 'object' && shape !== null) {
    // By a reader of its own: the iterator of a web stream waits for the next chunk before it cancels.
    if (typeof shape.getReader === 'function') {
      const reader = shape.getReader()
      return { next: () => reader.read() as Promise<IteratorResult<Chunk, unknown>>, return: () => reader.cancel() }
    }
    if (shape[Symbol.asyncIterator] !== undefined) return (shape as AsyncIterable<Chunk>)[Symbol.asyncIterator]()
    if (shape[Symbol.iterator] !== undefined) return awaiting((shape as Iterable<Chunk>)[Symbol.iterator]())
  }
  const allowed = 'an async iterable, an iterable or a ReadableStream'
  throw invalid('source', `source answered ${describe(chunks)}; allowed: ${allowed}`, operation)
}

/** A list may hold promises of chunks, as `for await` takes them. */
function awaiting<Chunk>(steps: Iterator<Chunk>): Steps<Chunk> {
  return {
    next: async () => {
      const step = steps.next()
      return step.done === true ? step : { done: false, value: await step.value }
    },
    return: () => steps.return?.(),
  }
}
