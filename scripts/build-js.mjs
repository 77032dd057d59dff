// Builds the TypeScript layer: js/ to dist/ (CommonJS, the one implementation), thin ESM entries over it,
// and the types: index.d.ts at the root, rolled up and committed, and a pointer to it for each entry.
// `--check` builds, and fails when the committed index.d.ts is not what the sources say.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { rollup } from 'rollup'
import ts from 'typescript'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const check = process.argv.includes('--check')
const require = createRequire(import.meta.url)

/** The modules that `exports` of package.json names; each has its source of that name in js/. */
const ENTRIES = ['index', 'redis-client', 'cache-manager', 'fallback-manager']
/** What stands in for all of them where nothing native runs. */
const EDGE = 'edge'

const TYPES_HEADER = `// The public types of holdfast. Written by scripts/build-js.mjs from js/. Not to be edited.
/// <reference lib="esnext.disposable" />

`
const POINTER_HEADER = '// Written by scripts/build-js.mjs.\n'

process.chdir(root)
run('scripts/generate-operations.mjs', '--check')
rmSync('dist', { recursive: true, force: true })
mkdirSync('dist')
compile()
const types = await rollUpTypes()
for (const entry of ENTRIES) writeEntry(entry)
writeEdge()
writeTypes(types)

function compile() {
  const tsc = require.resolve('typescript/bin/tsc')
  run(tsc, '-p', 'tsconfig.build.json')
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
    const typeOnly = symbol.declarations?.some((declaration) => ts.isTypeOnlyImportOrExportDeclaration(declaration)) ?? false
    if (!typeOnly && target.flags & ts.SymbolFlags.Value) values.push(symbol.name)
    else types.push(symbol.name)
  }
  return { values: values.sort(), types: types.sort() }
}

function writeEntry(entry) {
  const { values, types } = exportsOf(entry)
  const built = require(join(root, 'dist', `${entry}.js`))
  const present = Object.keys(built).filter((name) => name !== 'default').sort()
  if (String(present) !== String(values)) fail(`dist/${entry}.js exports ${present}; its types say ${values}`)
  const hasDefault = 'default' in built
  writeFileSync(`dist/${entry}.mjs`, wrapper(entry, values, hasDefault))
  // One declaration of everything, so that a type is the same type through whichever entry it came.
  if (entry === 'index') {
    writeFileSync('dist/index.d.mts', `${POINTER_HEADER}export * from '../index.js'\n`)
    return
  }
  const names = [...values, ...types.map((name) => `type ${name}`), ...(hasDefault ? [`${defaultName(entry, built)} as default`] : [])]
  const pointer = `${POINTER_HEADER}export { ${names.join(', ')} } from '../index.js'\n`
  writeFileSync(`dist/${entry}.d.ts`, pointer)
  writeFileSync(`dist/${entry}.d.mts`, pointer)
}

function writeEdge() {
  const built = require(join(root, 'dist', `${EDGE}.js`))
  const all = new Set(ENTRIES.flatMap((entry) => Object.keys(require(join(root, 'dist', `${entry}.js`)))))
  const missing = [...all].filter((name) => !(name in built))
  if (missing.length > 0) fail(`js/${EDGE}.ts lacks ${missing}`)
  writeFileSync(`dist/${EDGE}.mjs`, wrapper(EDGE, Object.keys(built).filter((name) => name !== 'default').sort(), true))
}

/** ESM names over the CommonJS file: one implementation, so one state. */
function wrapper(entry, names, hasDefault) {
  const lines = [`import holdfast from './${entry}.js'`, '']
  for (const name of names) lines.push(`export const ${name} = holdfast.${name}`)
  if (hasDefault) lines.push('export default holdfast.default')
  return `${POINTER_HEADER}${lines.join('\n')}\n`
}

function defaultName(entry, built) {
  const name = Object.keys(built).find((key) => key !== 'default' && built[key] === built.default)
  if (name === undefined) fail(`the default export of js/${entry}.ts is none of its named ones`)
  return name
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
