// Builds the TypeScript layer: js/ to dist/index.js (CommonJS, the one implementation; one file, because
// thirty small ones took longer to require than all else together), thin entries over it for the subpaths
// and for ESM, and the types: index.d.ts at the root, rolled up and committed, and a pointer for each entry.
// `--check` builds, and fails when the committed index.d.ts is not what the sources say.

import { spawnSync } from 'node:child_process'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { rollup } from 'rollup'
import ts from 'typescript'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const check = process.argv.includes('--check')
const require = createRequire(import.meta.url)

/** The subpaths that `exports` of package.json names, with their default export if they have one. */
const SUBPATHS = { 'redis-client': 'redisClient', 'cache-manager': null, 'fallback-manager': null, 'rate-limiter': null, 'session-manager': null, 'pubsub-manager': null }
/** What stands in for all entries where nothing native runs. */
const EDGE = 'edge'

/** Where the compiler puts the modules. */
const COMPILED = '.cache/js'
/** Where everything is made before it takes the place of dist/, so that no one meets half of it. */
const MADE = '.cache/dist'

const TYPES_HEADER = `// The public types of holdfast. Written by scripts/build-js.mjs from js/. Not to be edited.
/// <reference lib="esnext.disposable" />

`
const POINTER_HEADER = '// Written by scripts/build-js.mjs.\n'

process.chdir(root)
run('scripts/generate-operations.mjs', '--check')
for (const folder of [COMPILED, MADE]) rmSync(folder, { recursive: true, force: true })
run(require.resolve('typescript/bin/tsc'), '-p', 'tsconfig.build.json')
await bundle('index')
await bundle(EDGE)
const types = await rollUpTypes()
writeIndex()
for (const [subpath, byDefault] of Object.entries(SUBPATHS)) writeSubpath(subpath, byDefault)
writeEdge()
rmSync('dist', { recursive: true, force: true })
renameSync(MADE, 'dist')
writeTypes(types)

/** One compiled module with all that it imports, as one CommonJS file. */
async function bundle(entry) {
  const bundle = await rollup({
    input: `${COMPILED}/${entry}.js`,
    external: /^node:/,
    onwarn: (warning) => fail(warning.message),
  })
  await bundle.write({ file: `${MADE}/${entry}.js`, format: 'cjs', exports: 'named' })
  await bundle.close()
}

async function rollUpTypes() {
  const { default: config } = await import('../rollup.dts.config.mjs')
  const bundle = await rollup({ ...config, onwarn: (warning) => fail(warning.message) })
  const { output } = await bundle.generate(config.output)
  await bundle.close()
  return TYPES_HEADER + typesOnly(output[0].code)
}

/** The roll-up exports a class by its name; where the package exports its type alone, the types must, too. */
function typesOnly(text) {
  const { values, types } = exportsOf('index')
  const exported = /^export (?:type )?\{[^}]*\};\n?/gm
  const names = new Set([...text.matchAll(exported)].flatMap(([line]) => line.match(/\w+(?=[,\s]*[,}])/g) ?? []))
  const expected = new Set([...values, ...types])
  const odd = [...names].filter((name) => !expected.has(name)).concat([...expected].filter((name) => !names.has(name)))
  if (odd.length > 0) fail(`the roll-up and js/index.ts disagree about ${odd}`)
  const onlyTypes = types.filter((name) => !values.includes(name))
  return `${text.replace(exported, '').trimEnd()}\n\nexport { ${values.join(', ')} };\nexport type { ${onlyTypes.join(', ')} };\n`
}

/** The exports of a source: [values, types], without the default one. */
function exportsOf(entry) {
  const file = `js/${entry}.ts`
  const { config } = ts.readConfigFile('tsconfig.build.json', ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram([file], options)
  const checker = program.getTypeChecker()
  const module = checker.getSymbolAtLocation(program.getSourceFile(file))
  const values = []
  const types = []
  for (const symbol of checker.getExportsOfModule(module)) {
    if (symbol.name === 'default') continue
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    // `export type { X }` of a class names a type only.
    const typeOnly =
      symbol.declarations?.some((declaration) => ts.isTypeOnlyImportOrExportDeclaration(declaration)) ?? false
    if (!typeOnly && target.flags & ts.SymbolFlags.Value) values.push(symbol.name)
    else types.push(symbol.name)
  }
  return { values: values.sort(), types: types.sort() }
}

function writeIndex() {
  const { values } = exportsOf('index')
  const present = namesOf('index')
  if (String(present) !== String(values)) fail(`index.js exports ${present}; its types say ${values}`)
  write('index.mjs', wrapper('index', values))
  write('index.d.mts', "export * from '../index.js'")
}

function writeSubpath(subpath, byDefault) {
  const { values, types } = exportsOf(subpath)
  const odd = values.filter((name) => !namesOf('index').includes(name))
  if (odd.length > 0) fail(`js/${subpath}.ts exports ${odd}, which js/index.ts does not`)
  const commonJs = [
    "'use strict'",
    "Object.defineProperty(exports, '__esModule', { value: true })",
    "const holdfast = require('./index.js')",
  ]
  for (const name of values) commonJs.push(`exports.${name} = holdfast.${name}`)
  if (byDefault !== null) commonJs.push(`exports.default = holdfast.${byDefault}`)
  write(`${subpath}.js`, commonJs.join('\n'))
  write(`${subpath}.mjs`, wrapper('index', values, byDefault))
  // One declaration of everything, so that a type is the same type through whichever entry it came.
  const names = [
    ...values,
    ...types.map((name) => `type ${name}`),
    ...(byDefault === null ? [] : [`${byDefault} as default`]),
  ]
  for (const file of [`${subpath}.d.ts`, `${subpath}.d.mts`])
    write(file, `export { ${names.join(', ')} } from '../index.js'`)
}

function writeEdge() {
  const missing = namesOf('index').filter((name) => !namesOf(EDGE).includes(name))
  if (missing.length > 0) fail(`js/${EDGE}.ts lacks ${missing}`)
  write(`${EDGE}.mjs`, wrapper(EDGE, namesOf(EDGE), 'redisClient'))
}

/** The names that a built file exports, without the default one. */
function namesOf(entry) {
  const names = Object.keys(require(join(root, MADE, `${entry}.js`)))
  return names.filter((name) => name !== 'default').sort()
}

function write(file, text) {
  writeFileSync(join(MADE, file), `${POINTER_HEADER}${text}\n`)
}

/**
 * ESM names over a CommonJS file: one implementation, so one state. Names, not its default import: what
 * that is, Node and bundlers disagree about.
 */
function wrapper(file, names, byDefault = null) {
  const lines = [`export { ${names.join(', ')} } from './${file}.js'`]
  if (byDefault !== null) lines.push(`import { ${byDefault} } from './${file}.js'`, `export default ${byDefault}`)
  return lines.join('\n')
}

function writeTypes(text) {
  let present = ''
  try {
    present = readFileSync('index.d.ts', 'utf8')
  } catch {
    // Not there yet: the same as different.
  }
  if (present === text) return
  if (check) fail('index.d.ts is not what js/ says; run: node scripts/build-js.mjs')
  writeFileSync('index.d.ts', text)
  console.log('wrote index.d.ts')
}

/** Runs a script of node's; what it says about a failure is enough. */
function run(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}

function fail(message) {
  console.error(`build-js: ${message}`)
  process.exit(1)
}
