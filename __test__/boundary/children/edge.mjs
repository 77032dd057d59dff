// What the package answers under the conditions with which it was started.
import { createRequire } from 'node:module'

const paths = ['holdfast', 'holdfast/redis-client', 'holdfast/cache-manager', 'holdfast/fallback-manager']
const require = createRequire(import.meta.url)
const said = {}
for (const path of paths) {
  for (const [how, module] of [
    ['import', await import(path)],
    ['require', require(path)],
  ]) {
    const names = Object.keys(module).filter((name) => !['HoldfastError', 'default', '__esModule', 'module.exports'].includes(name))
    const calls = names.flatMap((name) => [
      [name, () => module[name]()],
      [`${name}.get`, () => module[name].get('key')],
    ])
    said[`${how} ${path}`] = {
      names: names.sort(),
      wrong: calls.filter(([name, call]) => !refuses(name, call, module.HoldfastError)).map(([name]) => name),
    }
  }
}
console.log(JSON.stringify(said))

function refuses(name, call, HoldfastError) {
  try {
    call()
    return false
  } catch (error) {
    return (
      error.name === 'HoldfastError' &&
      error.code === 'E_UNSUPPORTED' &&
      error.applied === 'no' &&
      error.operation === name &&
      error.message.includes("runtime = 'nodejs'") &&
      (HoldfastError === undefined || HoldfastError.isInstance(error))
    )
  }
}
