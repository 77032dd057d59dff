// Every row of docs/bad-input.md is true, on memory and on a real Redis, and nothing else is touched.
import { HoldfastError } from 'holdfast'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { onStore, stores } from '../cache/stores'
import { cacheCases } from './cache-cases'
import { callCases } from './call-cases'
import { contextOf, maxValueBytes, type Case } from './contexts'
import { keyCases } from './key-cases'
import { stateCases } from './state-cases'
import { codeOf, readRows, type Row } from './table'

const rows = readRows()
const cases: Record<string, Case> = { ...keyCases, ...callCases, ...cacheCases, ...stateCases }
const nameOf = (row: Row): string => `${row.input} — ${row.call}`

describe('docs/bad-input.md', () => {
  it('has one case for every row and one row for every case', () => {
    expect(rows.map(nameOf).sort()).toEqual(Object.keys(cases).sort())
    expect(new Set(rows.map(nameOf)).size).toBe(rows.length)
    const counts = [keyCases, callCases, cacheCases, stateCases].map((some) => Object.keys(some).length)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(rows.length)
  })

  it.each(rows.map((row) => [nameOf(row), row] as const))('says in its row whether "%s" is refused', (name, row) => {
    const found = cases[name]
    expect(found?.refused !== undefined).toBe(codeOf(row) !== undefined)
    if (codeOf(row) === undefined) expect(found?.means).toBeDefined()
    expect(row.path !== '').toBe(codeOf(row) === 'E_INVALID')
  })
})

describe.each(stores)('bad input on %s', (store) => {
  const surroundings = onStore(store, { maxValueBytes })
  const { cacheManager, fallbackManager, redisClient } = surroundings.holdfast
  const sentinel = { text: 'untouched', list: [1, null] }

  beforeEach(async () => {
    await cacheManager.set('sentinel', sentinel)
    await fallbackManager.set('sentinel', 'untouched')
    await redisClient.execute('SET', 'sentinel', 'untouched')
  })
  afterEach(async () => {
    expect(await cacheManager.get('sentinel')).toEqual(sentinel)
    expect(await fallbackManager.get('sentinel')).toBe('untouched')
    expect(await redisClient.execute('GET', 'sentinel')).toBe('untouched')
    expect(await cacheManager.set('goes on', 1)).toBe(true)
  })

  const here = rows.filter((row) => cases[nameOf(row)]?.stores?.includes(store) ?? true)
  it.each(here.map((row) => [nameOf(row), row.answer, row] as const))('%s: %s', async (name, _, row) => {
    const found = cases[name]
    if (found === undefined) throw new Error('this row has no case')
    const context = contextOf(store, surroundings, `case ${rows.indexOf(row)}`)
    for (const call of (await found.refused?.(context)) ?? []) {
      const outcome: unknown = await attempt(call)
      expect(outcome).toBeInstanceOf(HoldfastError)
      const { code, path = '', message, applied, retryable, operation } = outcome as HoldfastError
      expect({ code, path, applied }).toEqual({ code: codeOf(row), path: row.path, applied: 'no' })
      if (code === 'E_INVALID') expect(message).toMatch(/; allowed: |over the limit/)
      if (code === 'E_INVALID' || code === 'E_CLOSED') expect({ retryable, isNamed: operation !== '' }).toEqual({ retryable: false, isNamed: true })
    }
    await found.means?.(context)
  })
})

/** What a call throws or rejects with, or a word when it does neither. */
async function attempt(call: () => unknown): Promise<unknown> {
  try {
    const answer: unknown = await call()
    return ['was accepted', answer]
  } catch (thrown) {
    return thrown
  }
}
