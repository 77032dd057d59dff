// The packed tarballs in an empty project: they install without a compiler and without running any script,
// and load as CommonJS, as an ES module, for the edge, and in TypeScript under every module resolution.

import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

import { packed } from '../../scripts/pack.mjs'
import { platformName } from '../../scripts/lib/platform.mjs'
import { root } from '../../scripts/lib/paths.mjs'
import { endOnSignals, must, npm } from '../../scripts/lib/processes.mjs'
import { which } from '../../scripts/lib/tools.mjs'

const platformPackage = `holdfast-${platformName()}`
const largestBinary = 8 * 1024 * 1024

endOnSignals()
const tarballs = packed()
let passed = 0
let failed = 0

// Only Node itself, npm and the system's shell are to be found: no compiler, no cargo.
const bare = { PATH: [dirname(process.execPath), dirname(which('npm') ?? process.execPath)].join(delimiter), CC: '/nonexistent', CXX: '/nonexistent' }

for (const flags of [[], ['--ignore-scripts']]) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-empty-'))
  const way = ['npm install', ...flags].join(' ')
  try {
    await part(`${way} into an empty project`, async () => {
      writeFileSync(join(folder, 'package.json'), '{ "name": "empty", "private": true }\n')
      await npm(['install', ...flags, ...tarballs], { cwd: folder, env: bare, timeoutMs: 180_000 })
      const installed = readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'))
      equal(installed.sort().join(' '), ['holdfast', platformPackage].join(' '), 'what is installed')
      for (const name of installed) {
        const { scripts } = JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8'))
        equal(scripts, undefined, `scripts of ${name}`)
      }
    })
    if (flags.length > 0) continue

    const use = `
      const told = await cacheManager.set('greeting', { hello: 'world' }, { ttl: 60 })
      const read = await cacheManager.get('greeting')
      if (!told || read?.hello !== 'world') throw new Error(JSON.stringify({ told, read }))
      console.log('it works')`
    await part('required', () => works(folder, 'use.cjs', `const { cacheManager } = require('holdfast');\n(async () => {${use}\n})()`))
    await part('imported', () => works(folder, 'use.mjs', `import { cacheManager } from 'holdfast'\n${use}`))
    await part('imported dynamically', () => works(folder, 'dynamic.cjs', `(async () => {\nconst { cacheManager } = await import('holdfast')\n${use}\n})()`))
    await part('required and imported in one process, as one cache', () =>
      works(folder, 'both.mjs', `
        import { createRequire } from 'node:module'
        import { cacheManager } from 'holdfast'
        await createRequire(import.meta.url)('holdfast').cacheManager.set('shared', 1)
        if ((await cacheManager.get('shared')) !== 1) throw new Error('two caches')
        console.log('it works')`))
    for (const condition of ['edge-light', 'workerd', 'browser']) {
      await part(`under the condition ${condition}, where every call fails with one clear error`, () =>
        works(folder, 'edge.mjs', `
          import { cacheManager } from 'holdfast'
          const message = await (async () => cacheManager.get('x'))().then(() => 'no error', (error) => error.message)
          if (!/edge/i.test(message)) throw new Error(message)
          console.log('it works')`, ['--conditions', condition]))
    }
    await part('without the platform package the error names it', async () => {
      const { output } = await must(process.execPath, ['-e', `
        const { Module } = require('node:module')
        const load = Module._load
        Module._load = (name, ...rest) => {
          if (/^holdfast-|\\.node$/.test(name)) throw Object.assign(new Error('Cannot find module ' + name), { code: 'MODULE_NOT_FOUND' })
          return load(name, ...rest)
        }
        Promise.resolve().then(() => require('holdfast').cacheManager.get('x')).then(() => console.log('no error'), (error) => {
          let text = ''
          for (let each = error; each; each = each.cause) text += each.message + '\\n'
          console.log(text)
        })`], { cwd: folder, env: { REDIS_URL: 'memory:' }, timeoutMs: 30_000 })
      if (!output.includes(platformPackage)) throw new Error(`the error does not name ${platformPackage}:\n${output}`)
    })
    await part('typed, strictly, under every module resolution', () => typed(folder))
    await part('nothing superfluous in the packages', () => contents(folder))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1

async function part(name, body) {
  try {
    await body()
    passed++
    process.stdout.write(`ok   ${name}\n`)
  } catch (error) {
    failed++
    process.stdout.write(`FAIL ${name}\n${error.message}\n`)
  }
}

async function works(folder, name, source, flags = []) {
  writeFileSync(join(folder, name), source)
  const { output } = await must(process.execPath, [...flags, name], {
    cwd: folder,
    env: { ...bare, REDIS_URL: 'memory:' },
    timeoutMs: 30_000,
  })
  equal(output.trim(), 'it works', 'output')
}

async function typed(folder) {
  const use = `
import { cacheManager, fallbackManager, isRedisAvailable, type CacheOptions, type CacheStats } from 'holdfast'
const options: CacheOptions = { ttl: 60 }
const stats: CacheStats = cacheManager.getStats()
const available: boolean = isRedisAvailable()
export const answer: Promise<{ a: number }> = cacheManager.getOrSet('key', async () => ({ a: 1 }), options)
export const told: Promise<boolean> = fallbackManager.set('key', [stats.hits, available], 60)
`
  writeFileSync(join(folder, 'use.cts'), use)
  writeFileSync(join(folder, 'use.mts'), use)
  writeFileSync(join(folder, 'use.ts'), use)
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const strict = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2023,esnext.disposable,dom',
    '--typeRoots', join(root, 'node_modules', '@types'), '--types', 'node']
  for (const [module, resolution, files] of [
    ['node16', 'node16', ['use.cts', 'use.mts']],
    ['esnext', 'bundler', ['use.ts']],
    ['commonjs', 'node10', ['use.ts']],
  ]) {
    await must(process.execPath, [tsc, ...strict, '--module', module, '--moduleResolution', resolution, ...files], {
      cwd: folder,
      timeoutMs: 120_000,
    })
  }
}

function contents(folder) {
  const main = filesOf(join(folder, 'node_modules', 'holdfast'))
  const strange = main.filter(({ name }) => !/^(package\.json|README\.md|LICENSE|index\.d\.ts|native\.(js|d\.ts)|dist\/.+\.(m?js|d\.m?ts)|docs\/.+)$/.test(name))
  equal(strange.map(({ name }) => name).join(' '), '', 'files that should not be in the root package')
  const platform = filesOf(join(folder, 'node_modules', platformPackage))
  equal(platform.map(({ name }) => name).sort().join(' '), `README.md ${`holdfast.${platformName()}.node`} package.json`, 'files of the platform package')
  const binary = platform.find(({ name }) => name.endsWith('.node'))
  if (binary.size > largestBinary) throw new Error(`${binary.name} has ${binary.size} bytes, more than 8 MB`)
}

function filesOf(folder, prefix = '') {
  return readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    const name = prefix + entry.name
    if (entry.isDirectory()) return filesOf(folder, `${name}/`)
    return [{ name, size: readFileSync(join(folder, name)).length }]
  })
}

function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`)
}
