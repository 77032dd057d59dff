// The fault proxy and the raw client of the tests, for programs that are plain JavaScript.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import ts from 'typescript'

import { root } from '../lib/paths.mjs'

/** What `__test__/support/<name>.ts` exports. */
export function testSupport(name) {
  return import(asModule(name))
}

/** The file as an address that can be imported, and in it the files beside it that it imports. */
function asModule(name) {
  const source = readFileSync(join(root, '__test__', 'support', `${name}.ts`), 'utf8')
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  const { outputText } = ts.transpileModule(source, { compilerOptions })
  const whole = outputText.replace(/from '\.\/([\w-]+)'/g, (_, beside) => `from '${asModule(beside)}'`)
  return `data:text/javascript;base64,${Buffer.from(whole).toString('base64')}`
}
