// Several processes share their sessions: nothing that one of them writes is lost, and what one of them ends is ended.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clean, start } from '../boundary/child'
import { range } from '../boundary/inside'
import { onOwnServer } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { found, opening, type Manager } from './sessions'

const PROCESSES = 4
const TIMES = 25

const { server, outside, open } = onOwnServer()

interface Shared {
  sessions: Manager
  id: string
  /** Lets them write, and waits until they have. */
  written: () => Promise<void>
}

/** Processes that share a session. They must say this when `work` has ended it. */
async function shared(last: string, work: (shared: Shared) => Promise<void>): Promise<void> {
  const keyPrefix = `shared:${randomUUID()}:`
  const { sessionManager: sessions } = open({ keyPrefix })
  const id = await sessions.createSession('bea', { count: 0 })
  const processes = range(PROCESSES).map((n) =>
    start(new URL('children/shares.mjs', import.meta.url), { args: [server().url, keyPrefix, id, `process ${n}`, String(TIMES)] }),
  )
  const all = (line: string) => Promise.all(processes.map((each) => each.printed(line)))
  const push = (list: string) => outside().call('RPUSH', `${keyPrefix}${list}`, ...range(PROCESSES).map(() => 'word'))
  await all('ready')
  await work({
    sessions,
    id,
    written: async () => {
      await push('go')
      await all('written')
    },
  })
  await all(last)
  await push('end')
  for (const { ended } of processes) {
    const { stdout: _, ...ending } = await ended
    expect(ending).toEqual(clean)
  }
}

describe('four processes with one session', () => {
  it('lose no field and no count, and see its end', async () => {
    await shared('ended [false,null,null], mine true', async ({ sessions, id, written }) => {
      await written()
      const own = Object.fromEntries(range(PROCESSES).map((n) => [`process ${n}`, TIMES]))
      expect((await found(sessions, id)).data).toEqual({ count: PROCESSES * TIMES, ...own })
      const all = await sessions.getUserSessions('ann')
      expect(all.map(({ data }) => data['of']).sort()).toEqual(Object.keys(own).sort())
      expect(await sessions.deleteSession(id)).toBe(true)
    })
  })

  it('see the end of all of a user\'s', async () => {
    await shared('ended [false,null,null], mine false', async ({ sessions, id, written }) => {
      await written()
      expect(await sessions.invalidateUserSessions('ann')).toBe(PROCESSES)
      expect(await sessions.invalidateUserSessions('bea')).toBe(1)
      expect(await opening(sessions, [id])).toEqual([false])
    })
  })

  it('lose nothing where it gets another id meanwhile', async () => {
    await shared('ended [false,null,null], mine true', async ({ sessions, id, written }) => {
      const writing = written()
      await waitFor('them to write', async () => Number((await found(sessions, id)).data['count']) > 5)
      const next = (await sessions.rotate(id))!
      await writing
      const own = Object.fromEntries(range(PROCESSES).map((n) => [`process ${n}`, TIMES]))
      expect((await found(sessions, next)).data).toEqual({ count: PROCESSES * TIMES, ...own })
      expect(await sessions.deleteSession(next)).toBe(true)
    })
  })
})
