// The consumer suite alone, for `--pool forks`, `threads` and `vmThreads`: each must pass and end by itself.

import { mergeConfig } from 'vitest/config'

import base from './vitest.config.mts'

const config = mergeConfig(base, {})
config.test.include = ['__test__/consumer/**/*.spec.ts']
config.test.exclude = ['**/node_modules/**']

export default config
