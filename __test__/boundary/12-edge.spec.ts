// Point 12 of docs/boundary.md: where native modules can't run, the package imports, and every call
// throws one clear error.

import * as holdfast from 'holdfast'
import * as cacheManager from 'holdfast/cache-manager'
import * as fallbackManager from 'holdfast/fallback-manager'
import * as redisClient from 'holdfast/redis-client'
import { describe, expect, it } from 'vitest'

import { clean, run } from './child'

const modules: Record<string, object> = {
  'holdfast': holdfast,
  'holdfast/redis-client': redisClient,
  'holdfast/cache-manager': cacheManager,
  'holdfast/fallback-manager': fallbackManager,
}

describe.each(['edge-light', 'workerd', 'browser'])('under the condition %s', (condition) => {
  it('every import path works and each call throws E_UNSUPPORTED', async () => {
    const { stdout, ...ending } = await run('edge.mjs', { node: [`--conditions=${condition}`] })
    expect(ending).toEqual(clean)
    const said = JSON.parse(stdout) as Record<string, { names: string[]; wrong: string[] }>
    for (const [path, module] of Object.entries(modules)) {
      const promised = Object.keys(module).filter((name) => !['HoldfastError', 'default'].includes(name))
      for (const how of ['import', 'require']) {
        const { names, wrong } = said[`${how} ${path}`] ?? { names: [], wrong: ['not tried'] }
        expect(names, `${how} ${path}`).toEqual(expect.arrayContaining(promised))
        expect(wrong, `${how} ${path}`).toEqual([])
      }
    }
  })
})
