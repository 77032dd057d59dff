// Installing: the repository's own packages, and projects that consume Holdfast as a user would,
// from the packed tarballs. A linked package would hide missing files, wrong exports and bundler faults.

import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync, cpSync } from 'node:fs'
import { join } from 'node:path'

import { hashOf } from './fresh.mjs'
import { cacheFolder } from './paths.mjs'
import { npm } from './processes.mjs'

/** `npm ci`, unless node_modules already is what the lock file says. Tells whether it ran. */
export async function installLocked(folder) {
  const lock = join(folder, 'package-lock.json')
  const stamp = join(folder, 'node_modules', '.holdfast-lock')
  const wanted = hashOf(lock, join(folder, 'package.json'))
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return false
  await npm([existsSync(lock) ? 'ci' : 'install'], { cwd: folder })
  writeFileSync(stamp, wanted)
  return true
}

/** The packed tarballs into a project, on top of its locked packages. */
export async function installPacked(folder, tarballs) {
  await installLocked(folder)
  const modules = join(folder, 'node_modules')
  const stamp = join(modules, '.holdfast-packed')
  const wanted = hashOf(...tarballs)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  // Same version, other content: npm would take the one that is there for the one that is wanted.
  for (const name of readdirSync(modules)) {
    if (/^holdfast(-|$)/.test(name)) rmSync(join(modules, name), { recursive: true })
  }
  rmSync(join(modules, '.package-lock.json'), { force: true })
  await npm(['install', '--no-save', '--ignore-scripts', ...tarballs], { cwd: folder })
  writeFileSync(stamp, wanted)
}

/**
 * A copy of a consumer project under .cache/consumers with its locked packages; `installPacked` adds Holdfast.
 * The copy's sources are the template's, exactly; its node_modules are kept from the last time.
 */
export async function consumer(name, template) {
  const folder = cacheFolder('consumers', name)
  for (const entry of readdirSync(folder)) {
    if (entry !== 'node_modules') rmSync(join(folder, entry), { recursive: true, force: true })
  }
  cpSync(template, folder, {
    recursive: true,
    filter: (path) => !/[\\/](node_modules|\.next)([\\/]|$)/.test(path.slice(template.length)),
  })
  await installLocked(folder)
  return folder
}
