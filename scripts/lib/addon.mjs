// Whether the addon and the JavaScript are built from the sources as they are now.

import { join } from 'node:path'

import { upToDate } from './fresh.mjs'
import { root } from './paths.mjs'
import { platformName } from './platform.mjs'

const made = ['dist/index.js', 'dist/index.mjs', 'dist/edge.js']
const from = ['src', 'js', 'build.rs', 'Cargo.toml', 'Cargo.lock', 'package.json', 'scripts/build-js.mjs', 'scripts/generate-operations.mjs']

export function addonIsUpToDate() {
  return upToDate({
    results: [`holdfast.${platformName()}.node`, ...made].map((name) => join(root, name)),
    sources: from.map((name) => join(root, name)),
  })
}
