// A process that shares a session with others: when there is a word in the list `go`, it writes fields of its own and counts
// up, each so often. It waits for the session to end, says so, and waits for a word in the list `end`.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, id, own, times] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {}, silenceMs: 20_000, commandTimeoutMs: 20_000 })
const { sessionManager: sessions } = holdfast
const client = holdfast.redisClient.getClient()

async function count() {
  for (;;) {
    try {
      return await sessions.update(id, (data) => ({ ...data, count: data.count + 1 }))
    } catch (error) {
      if (error.code !== 'E_CONFLICT') throw error
    }
  }
}

if ((await sessions.getSession(id)) === null) throw new Error('the session is not there')
const mine = await sessions.createSession('ann', { of: own })
console.log('ready')
await client.call('BLPOP', 'go', 0)
for (let n = 1; n <= Number(times); n++) {
  const done = await Promise.all([sessions.setSessionData(id, own, n), count()])
  if (done.includes(false) || done.includes(null)) throw new Error('the session is lost')
}
console.log('written')
while (await sessions.sessionExists(id)) await new Promise((resolve) => setTimeout(resolve, 5))
const late = [await sessions.updateSession(id, { late: true }), await sessions.getSession(id), await sessions.rotate(id)]
console.log(`ended ${JSON.stringify(late)}, mine ${await sessions.sessionExists(mine)}`)
await client.call('BLPOP', 'end', 0)
await holdfast.close()
