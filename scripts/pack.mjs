// The tarballs that would be published, for this machine: the root package and its platform package,
// into .cache/packages. `pack()` for the other scripts; `node scripts/pack.mjs` prints the paths, and with
// `--all` packs every platform (for a release; their binaries must be there).

import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { platformName } from './lib/platform.mjs'
import { cacheFolder, root } from './lib/paths.mjs'
import { npm } from './lib/processes.mjs'

/** [root tarball, platform tarball]; with `all`, a tarball for every platform. */
export async function pack({ all = false } = {}) {
  const packages = cacheFolder('packages')
  rmSync(packages, { recursive: true, force: true })
  mkdirSync(packages)
  const tarballs = [await packRoot(packages)]
  for (const name of all ? readdirSync(join(root, 'npm')).sort() : [platformName()]) {
    tarballs.push(await packPlatform(packages, name))
  }
  return tarballs
}

/** The tarballs of the last `pack()`: [root tarball, platform tarball]. */
export function packed() {
  const packages = cacheFolder('packages')
  const names = readdirSync(packages)
  const platform = names.find((name) => name.startsWith(`holdfast-${platformName()}-`))
  const main = names.find((name) => /^holdfast-\d/.test(name))
  if (!main || !platform) throw new Error('nothing is packed yet: run node scripts/pack.mjs first')
  return [join(packages, main), join(packages, platform)]
}

async function packRoot(packages) {
  const manifest = readJson(join(root, 'package.json'))
  const stage = emptyStage('holdfast')
  // npm itself says which files belong to the package.
  const { output } = await npm(['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })
  const files = listed(output)
  for (const name of ['dist/index.js', 'dist/index.mjs', 'dist/edge.js', 'native.js', 'index.d.ts']) {
    if (!files.includes(name)) throw new Error(`${name} is missing from the package: run npm run build first`)
  }
  for (const path of files) {
    mkdirSync(dirname(join(stage, path)), { recursive: true })
    copyFileSync(join(root, path), join(stage, path))
  }
  writeJson(join(stage, 'package.json'), publishedManifest(manifest))
  return packStage(stage, packages)
}

async function packPlatform(packages, name) {
  const source = join(root, 'npm', name)
  const manifest = readJson(join(source, 'package.json'))
  // Built here, or put there by `napi artifacts` from the machines that built it.
  const binary = [join(root, manifest.main), join(source, manifest.main)].find((path) => existsSync(path))
  if (!binary) throw new Error(`${manifest.main} is missing: run npm run build first`)
  const stage = emptyStage(manifest.name)
  for (const entry of readdirSync(source)) {
    if (!entry.endsWith('.node')) copyFileSync(join(source, entry), join(stage, entry))
  }
  // The folder under npm/ stays as it is in git: the binary is only ever in the staged copy.
  copyFileSync(binary, join(stage, manifest.main))
  writeJson(join(stage, 'package.json'), { ...manifest, version: readJson(join(root, 'package.json')).version })
  return packStage(stage, packages)
}

/**
 * What is published differs (scripts and tools aside, which nobody needs) from what is in git in one point: it depends, optionally, on every platform
 * package at its own version. In git it can't: those packages exist only once this version is published,
 * and a lock file can't name what the registry doesn't have, so `npm ci` would fail in a fresh clone.
 */
export function publishedManifest(manifest) {
  const platforms = readdirSync(join(root, 'npm')).map((folder) => readJson(join(root, 'npm', folder, 'package.json')).name)
  const { devDependencies: _, scripts: __, ...published } = manifest
  return {
    ...published,
    optionalDependencies: Object.fromEntries(platforms.sort().map((name) => [name, manifest.version])),
  }
}

async function packStage(stage, packages) {
  const { output } = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', packages], { cwd: stage })
  const [{ filename }] = parseOutput(output)
  return join(packages, filename)
}

function listed(output) {
  return parseOutput(output)[0].files.map(({ path }) => path.replaceAll('\\', '/'))
}

// npm may print warnings before the JSON, and newer ones give an object by package name instead of a list.
function parseOutput(output) {
  const start = output.search(/^[[{]/m)
  const value = JSON.parse(output.slice(start))
  return Array.isArray(value) ? value : Object.values(value)
}

function emptyStage(name) {
  const stage = cacheFolder('stage', name)
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage)
  return stage
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'))
}

function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const path of await pack({ all: process.argv.includes('--all') })) process.stdout.write(`${path}\n`)
}
