// Point 7 of docs/boundary.md: what is idle never holds a process, what is in flight does. And a process
// that ends in the middle of everything ends as it was told to.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import { onOwnServer } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { clean, run, start } from './child'

const { server, outside } = onOwnServer()

describe('a process', () => {
  it('with idle connections and listeners ends by itself', async () => {
    expect(await run('idle.mjs', { args: [server().url] })).toEqual({ ...clean, stdout: 'connected' })
  })

  it('without a server ends by itself, although the dialling goes on for ever', async () => {
    expect(await run('idle.mjs', { args: ['redis://127.0.0.1:1'] })).toEqual({ ...clean, stdout: 'not connected' })
  })

  it('whose last await is an operation in flight stays until the answer comes, and ends then', async () => {
    const keyPrefix = `in-flight:${randomUUID()}:`
    const child = start('in-flight.mjs', { args: [server().url, keyPrefix] })
    await waitFor('the server to owe an answer', async () =>
      String(await outside().call('INFO', 'clients')).includes('blocked_clients:1\r'),
    )
    expect(child.process.exitCode).toBeNull()
    await outside().call('RPUSH', `${keyPrefix}awaited`, 'the answer')
    expect(await child.ended).toEqual({ ...clean, stdout: 'came: the answer' })
  })

  it('that calls process.exit under load ends with its code', async () => {
    const { code, signal, stderr } = await run('under-load.mjs', {
      args: [server().url, `exit:${randomUUID()}:`, 'exit'],
    })
    expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: '' })
  })

  it('that gets SIGTERM under load ends by it, without a crash', async () => {
    const child = start('under-load.mjs', { args: [server().url, `signal:${randomUUID()}:`, 'signal'] })
    await child.printed('under load')
    child.process.kill('SIGTERM')
    const { code, signal, stderr } = await child.ended
    expect({ code, signal, stderr }).toEqual({ code: null, signal: 'SIGTERM', stderr: '' })
  })

  it('that closes at SIGTERM under load ends cleanly, and everything it was told is in Redis', async () => {
    const keyPrefix = `orderly:${randomUUID()}:`
    const child = start('under-load.mjs', { args: [server().url, keyPrefix, 'orderly'] })
    await child.printed('under load')
    child.process.kill('SIGTERM')
    const { stdout, ...ending } = await child.ended
    expect(ending).toEqual(clean)
    const numbers = (/acknowledged (.*)/.exec(stdout)?.[1] ?? '').split(',')
    expect(numbers.length).toBeGreaterThanOrEqual(2000)
    const replies = await outside().pipeline(numbers.map((n) => ['EXISTS', `${keyPrefix}cache:load:${n}`]))
    expect(numbers.filter((_, at) => replies[at] !== 1)).toEqual([])
  })
})
