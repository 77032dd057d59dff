// An app whose Redis goes away: it knows sessions, and when it is told, changes, ends and begins some, and prints what was
// acknowledged, until somebody kills it.
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

import { createHoldfast } from 'holdfast'

const [url, keyPrefix, journalPath, journalSync, part] = process.argv.slice(2)
const holdfast = createHoldfast({ env: {}, url, keyPrefix, fallback: { journalPath, journalSync } })
const { fallbackManager } = holdfast
const sessions = holdfast.createSessionManager({ degradedLogins: true })
const say = (line) => writeSync(1, `${JSON.stringify(line)}\n`)

if (part === 'last') {
  fallbackManager.getStats()
  const timer = setInterval(() => {
    const { journalDepth, redisAvailable } = fallbackManager.getStats()
    if (!redisAvailable || journalDepth > 0) return
    clearInterval(timer)
    void holdfast.close()
  }, 10)
} else {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const { ids } = JSON.parse((await lines.next()).value)
  for (const id of ids) if ((await sessions.getSession(id)) === null) throw new Error(`${id} is not there`)
  say({ known: ids.length })
  await lines.next()
  while (!fallbackManager.getStats().isUsingFallback) await sessions.getStats()
  let number = 0
  const work = async (worker) => {
    for (;;) {
      const n = number++
      const id = ids[n % ids.length]
      const user = `user ${part}:${n % 7}`
      switch (n % 6) {
        case 0:
        case 1:
          if (await sessions.updateSession(id, { [`${part}:${n}`]: n, [`last ${worker}`]: n })) say({ act: 'set', id, n, worker })
          break
        case 2:
          say({ act: 'create', id: await sessions.createSession(n % 4 === 0 ? null : user, { n }), user, n })
          break
        case 3: {
          const own = await sessions.createSession(null, { n })
          await sessions.deleteSession(own)
          say({ act: 'end', id: own })
          break
        }
        case 4:
          if (n % 5 === 0) {
            await sessions.deleteSession(id)
            say({ act: 'end', id })
          }
          break
        default:
          if (n % 9 === 0) {
            say({ act: 'about to end all', user })
            await sessions.invalidateUserSessions(user)
            say({ act: 'end all', user })
          }
      }
    }
  }
  for (let worker = 0; worker < 4; worker++) void work(worker)
}
