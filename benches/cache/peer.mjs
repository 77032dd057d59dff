// A second process beside a measurement, which does what it is told, one thing at a time.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Starts `cache/<script>`; answers `(message) => promise of its answer`. */
export function startPeer(script, settings) {
  const file = fileURLToPath(new URL(script, import.meta.url))
  const child = fork(file, [JSON.stringify(settings)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  process.once('exit', () => child.kill('SIGKILL'))
  return (message) =>
    new Promise((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`${script} ended with code ${code}.`)))
      child.once('message', (answer) => {
        child.removeAllListeners('exit')
        resolve(answer)
      })
      child.send(message)
    })
}

/** In the peer: its settings, and what it does with a message. It ends with whoever started it. */
export const settings = () => JSON.parse(process.argv[2])

export function serve(work) {
  process.on('disconnect', () => process.exit())
  process.on('message', async (message) => process.send(await work(message)))
}
