// A disk that takes no more. The bound on the size of files that a shell gives its children stands for it:
// a write beyond it fails, as on a full disk, and Node doesn't die of the signal that comes with it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { createHoldfast } from 'holdfast'
import { describe, expect, it } from 'vitest'

import { freePort } from '../support/ports'

const program = fileURLToPath(new URL('full-disk.mjs', import.meta.url))

interface Answer {
  value?: unknown
  code?: string
  applied?: string
}

interface Said {
  full: Record<'set' | 'delete' | 'clear' | 'loaded' | 'read', Answer> & { problem?: string }
  healed: Record<'set' | 'delete', Answer>
  told: (string | null)[]
}

const TRUE = { value: true }
const NOT_ON_DISK = { code: 'E_FULL', applied: 'unknown' }

describe.skipIf(process.platform === 'win32')('a journal whose disk is full', () => {
  it.each([
    ['always', { set: NOT_ON_DISK, delete: NOT_ON_DISK, clear: NOT_ON_DISK }],
    ['everysec', { set: TRUE, delete: { value: false }, clear: {} }],
    ['no', { set: TRUE, delete: { value: false }, clear: {} }],
  ])('with journalSync %s answers writes as it promises, tells it, and heals', async (sync, writes) => {
    const journals = await mkdtemp(join(tmpdir(), 'holdfast-journal-'))
    const url = `redis://127.0.0.1:${await freePort()}`
    const bounded = 'ulimit -f 8; exec "$0" "$@"'
    const app = spawn('sh', ['-c', bounded, process.execPath, program, url, journals, sync], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said, [code]] = await Promise.all([text(app.stdout), once(app, 'close')])
    expect(code).toBe(0)
    const { full, healed, told } = JSON.parse(said) as Said
    expect(full).toEqual({
      ...writes,
      loaded: { value: 'from the factory' },
      read: { value: 'x'.repeat(100) },
      problem: expect.stringContaining('os error'),
    })
    expect(healed).toEqual({ set: TRUE, delete: { value: expect.any(Boolean) } })
    expect(told).toEqual([full.problem, null])

    // Memory kept what the disk did not take, and the file that was written anew has it.
    expect(await readdir(journals)).toHaveLength(1)
    const next = createHoldfast({ env: {}, url, keyPrefix: 'full:', fallback: { journalPath: journals } })
    expect(await next.cacheManager.get('d')).toBe(1)
    expect(next.getFallbackStats()).toMatchObject({ tornBytes: 0, journalOnDisk: true })
    await next.cacheManager.clear()
    await next.close()
    await rm(journals, { recursive: true })
  })
})
