// The built typings keep every promise of promised.json, and this check can fail.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readTable, root, type PromisedTable } from './table'
import { problemsOf } from './typings'

const { table, exceptions } = readTable()
const typings = readFileSync(join(root, 'index.d.ts'), 'utf8')

describe('the built typings', () => {
  it('have every promised name, parameter, default and result, and no exception that is over', () => {
    expect(problemsOf(typings, table, exceptions)).toEqual([])
  })

  it.each([...new Set(table.promised.map((row) => row.member ?? row.name))])('are caught when %s is misspelt', (name) => {
    const misspelt = typings.replaceAll(new RegExp(String.raw`\b${name}\b`, 'g'), `${name}Misspelt`)
    const about = problemsOf(misspelt, table, exceptions).filter((problem) => problem.includes(name))
    expect(about).not.toEqual([])
  })

  it('are caught when the docs give no defaults', () => {
    const silent = typings.replaceAll(/default/gi, 'usual')
    const withDefaults = JSON.stringify(table.promised).match(/"default":/g) ?? []
    const about = problemsOf(silent, table, exceptions).filter((problem) => problem.includes('do not give its default'))
    expect(about).toHaveLength(withDefaults.length)
  })

  it('are caught when an exception has come true', () => {
    const more = `${typings}\n/** New. */\nexport declare const redisHealthChecker: { size: number }\n`
    expect(problemsOf(more, table, exceptions)).toContain(
      '000-IDX-05 redisHealthChecker: the exception is no longer needed, the typings have it',
    )
  })
})

const sampleTable: PromisedTable = {
  rows: { '000-SAM': 2 },
  modules: {},
  defaults: {},
  promised: [
    { id: '000-SAM-01', name: 'Settings', kind: 'type', fields: [{ name: 'ttl', type: 'number', optional: true, default: '3600' }] },
    {
      id: '000-SAM-02', name: 'shelf', member: 'put', kind: 'method', async: true, typeArguments: ['Sample'],
      parameters: [{ name: 'key', type: 'string' }, { name: 'value', type: 'Sample' }, { name: 'settings', type: 'Settings', optional: true }],
      result: "{ kept: boolean; where?: 'redis' | 'memory' } | null",
      use: ["const kept: Promise<unknown> = api.shelf.put('a', 1, { ttl: 5 })"],
    },
    {
      id: '000-SAM-02', name: 'shelf', member: 'size', kind: 'method', async: false, parameters: [],
      result: '{ entries: number; oldest?: Date }',
    },
  ],
}

const sampleTypings = `
/** Settings. */
export interface Settings {
  /** Seconds to keep. @default 3600 */
  ttl?: number
}
/** A shelf. */
export declare const shelf: {
  /** Puts something there. */
  put<T = unknown>(key: string, value: T, settings?: Settings): Promise<{ kept: boolean; where?: 'redis' | 'memory' } | null>
  /** How much is there. */
  size(): { entries: number; oldest?: Date }
}
`

describe('the check', () => {
  it('accepts a typing that keeps its promises', () => {
    expect(problemsOf(sampleTypings, sampleTable, [])).toEqual([])
  })

  it.each([
    ['a parameter order', 'key: string, value: T', 'value: T, key: string', 'parameter 1 is value, promised key'],
    ['an optional parameter', 'settings?: Settings', 'settings: Settings', 'settings is required, promised otherwise'],
    ['a missing parameter', ', settings?: Settings', '', 'lacks the parameter settings'],
    ['an extra parameter', 'settings?: Settings', 'settings?: Settings, extra?: string', null],
    ['a parameter that nobody promised', 'value: T, settings?: Settings', 'value: T, settings: Settings | undefined, more: string', 'wants more, which nobody promised'],
    ['a parameter type', 'key: string', 'key: number', 'key is number, promised string'],
    ['a lost null', ' | null>', '>', 'its result is'],
    ['a lost result field', 'kept: boolean; ', '', 'its result is'],
    ['a narrowed result', "where?: 'redis' | 'memory'", "where?: 'redis'", 'its result is'],
    ['a synchronous answer', "Promise<{ kept: boolean; where?: 'redis' | 'memory' } | null>", '{ kept: boolean } | null', 'must return a promise'],
    ['a lost optional field', '; oldest?: Date', '', 'its result lacks oldest'],
    ['a field that is not always there', 'entries: number', 'entries?: number', 'its result.entries is optional, promised otherwise'],
    ['a default', '@default 3600', '@default 360', 'the docs of ttl do not give its default, 3600'],
    ['a default in other words', '@default 3600', '3600 (the default).', null],
    ['a default in words', '@default 3600', 'The default is 3600.', null],
    ['lost docs', '/** Puts something there. */', '', 'has no docs'],
    ['an any', 'value: T,', 'value: any,', 'value is any'],
    ['lost generics', 'put<T = unknown>(key: string, value: T,', 'put(key: string, value: string,', 'can not be called with 1 type arguments'],
  ])('sees %s', (_, before, after, problem) => {
    expect(sampleTypings).toContain(before)
    const found = problemsOf(sampleTypings.replace(before, after), sampleTable, [])
    if (problem === null) expect(found).toEqual([])
    else expect(found.join('\n')).toContain(problem)
  })

  it('sees rows that nobody answers for, and exceptions without a reason or a spec', () => {
    const more: PromisedTable = { ...sampleTable, rows: { '000-SAM': 4 } }
    expect(problemsOf(sampleTypings, more, [{ row: '000-SAM-03', reason: 'short', heldBy: '__test__/nowhere.spec.ts' }])).toEqual([
      '000-SAM-03: __test__/nowhere.spec.ts, which holds it, does not exist',
      '000-SAM-03: an exception needs a reason',
      '000-SAM-04: neither promised nor an exception',
    ])
  })
})

describe('the subpaths', () => {
  it.each(Object.entries(table.modules))('holdfast/%s exports its names, the same objects as the root', async (module, names) => {
    const runtime = new Set(table.promised.filter((row) => row.kind !== 'type').map((row) => row.name))
    const subpath = (await import(/* @vite-ignore */ `holdfast/${module}`)) as Record<string, unknown>
    const whole = (await import('holdfast')) as unknown as Record<string, unknown>
    for (const name of names.filter((one) => runtime.has(one))) {
      expect(subpath[name], name).toBeDefined()
      expect(subpath[name], name).toBe(whole[name])
    }
    const byDefault = table.defaults[module]
    if (byDefault !== undefined) expect(subpath['default']).toBe(whole[byDefault])
  })
})
