// Worker threads that run children/one-worker.mjs.

import { Worker } from 'node:worker_threads'

import type { InstanceOptions } from '../cache/stores'

export interface WorkerTask {
  options: InstanceOptions
  /** Written, and read back if it is to wait for the answers. */
  keys: string[]
  value: unknown
  wait: boolean
  /** Whether it stays until it is told to end. */
  stay?: boolean
  /** Whether it connects first, says so, and goes on when it is told to. */
  warm?: boolean
}

export interface StartedWorker {
  /** What it said first. */
  readonly message: Promise<unknown>
  /** What it says next. */
  next(): Promise<unknown>
  /** Its exit code. */
  readonly ended: Promise<number>
  /** Lets one that waits go on, and one that stays end by itself. */
  release(): void
  terminate(): Promise<number>
}

export function startWorker(task: WorkerTask): StartedWorker {
  const worker = new Worker(new URL('./children/one-worker.mjs', import.meta.url), { workerData: task })
  const ended = new Promise<number>((resolve) => worker.once('exit', resolve))
  const next = (): Promise<unknown> => {
    const message = new Promise<unknown>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.once('exit', () => reject(new Error('the worker ended without a word')))
    })
    message.catch(() => {})
    return message
  }
  return { message: next(), next, ended, release: () => worker.postMessage('go on'), terminate: () => worker.terminate() }
}
