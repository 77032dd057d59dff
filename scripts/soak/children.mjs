// The other processes of the soak: what they say arrives as messages, and none of them outlives it.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** { send(type, fields), next(type), ended } for `<file>` run with `settings`. `hear(message)` gets what it says. */
export function child(file, settings, hear) {
  const forked = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(settings)], {
    execArgv: ['--expose-gc'],
    env: { PATH: process.env.PATH, NODE_ENV: 'production' },
  })
  const endWithUs = () => forked.kill('SIGKILL')
  process.once('exit', endWithUs)
  const waiting = new Map()
  let over = false
  const ended = new Promise((resolve) => forked.once('exit', resolve)).then(() => {
    over = true
    process.removeListener('exit', endWithUs)
  })
  forked.on('message', (message) => {
    hear(message)
    waiting.get(message.type)?.(message)
  })
  const next = (type) =>
    Promise.race([
      new Promise((resolve) => waiting.set(type, resolve)),
      ended.then(() => {
        throw new Error(`${file} ended before it said '${type}'`)
      }),
    ])
  return {
    send: (type, fields) => over || forked.send({ type, ...fields }),
    next,
    async end() {
      if (!over) forked.disconnect()
      await ended
    },
  }
}
