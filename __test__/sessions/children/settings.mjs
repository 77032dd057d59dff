// A process that is set up by its environment: it makes a session of a user and one of a guest by the shared manager, and
// says how long they live, which cookie they get, and which warnings came of it.
import { shutdownRedisSystem } from 'holdfast'
import { createGuestSession, createSessionManager, sessionManager } from 'holdfast/session-manager'

const [options] = process.argv.slice(2)
const warnings = []
process.on('warning', ({ name, code, message }) => warnings.push({ name, code, message }))
try {
  const manager = options === undefined ? sessionManager : createSessionManager(JSON.parse(options))
  const id = await manager.createSession('ann')
  await createGuestSession()
  const { createdAt, expiresAt, handle } = await manager.getSession(id, { sliding: false })
  const headers = new Headers()
  for (const _ of [1, 2]) manager.cookies.set(headers, id)
  await new Promise((resolve) => setImmediate(resolve))
  const cookie = headers.get('set-cookie').replaceAll(id, '<id>')
  console.log(JSON.stringify({ lifeMs: expiresAt - createdAt, handle, cookie, name: manager.cookies.name, warnings }))
} catch ({ name, code, path, message }) {
  console.log(JSON.stringify({ error: { name, code, path, message } }))
}
await shutdownRedisSystem()
