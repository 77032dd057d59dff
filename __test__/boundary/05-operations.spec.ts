// Point 5 of docs/boundary.md: one list of operations, from which both sides come.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const script = 'scripts/generate-operations.mjs'
const files = [script, 'src/node/operations.json', 'src/node/operations.rs', 'js/generated/operations.ts']

const check = (folder: string) =>
  spawnSync(process.execPath, [join(folder, script), '--check'], { encoding: 'utf8' })

describe('the operations', () => {
  it('on both sides are those of src/node/operations.json', () => {
    const { status, stdout, stderr } = check(root)
    expect({ status, said: stdout + stderr }).toMatchObject({ status: 0 })
  })

  it.each(files.slice(1))('differ when %s is changed alone, and the check says so', (changed) => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-operations-'))
    try {
      for (const file of files) {
        mkdirSync(dirname(join(folder, file)), { recursive: true })
        cpSync(join(root, file), join(folder, file))
      }
      expect(check(folder).status).toBe(0)
      const text = readFileSync(join(folder, changed), 'utf8')
      const other = text.replace(/entryExists|ENTRY_EXISTS/, (name) => `${name}X`)
      expect(other).not.toBe(text)
      writeFileSync(join(folder, changed), other)
      expect(check(folder).status).toBe(1)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
